//! Everything that one mail is made of.
//!
//! Called by pending mails, which fill it, and by whatever makes a part of a mail from it.

use jiff::Timestamp;
use serde_json::Value;

use crate::types::{
    Announcement, Booking, BookingId, BookingReceipt, EmailAddress, Event, EventDetails, Hold,
    Label, NotificationId, NotificationKind, PluginQuarantine, Tenant, User,
};

/// What templates call a recipient who has not confirmed the address.
pub(super) const UNCONFIRMED_NAME: &str = "Guest";

/// Everything the words of one mail are made of.
pub(crate) struct MailContext<'a> {
    /// The mail's kind.
    pub(crate) kind: NotificationKind,
    /// Its notification.
    pub(crate) notification: NotificationId,
    /// In whose name it is sent.
    pub(crate) tenant: &'a Tenant,
    /// The event as it is now, for kinds that are about one.
    pub(crate) event: Option<&'a Event>,
    /// What the customer knew of the event before, for `EventUpdated`.
    pub(crate) previous: Option<&'a EventDetails>,
    /// What the organizer says, for `EventAnnouncement`.
    pub(crate) announcement: Option<&'a Announcement>,
    /// Which plugin failed, for `PluginQuarantined`.
    pub(crate) quarantine: Option<&'a PluginQuarantine>,
    /// Where the recipient unsubscribes from mails of this kind; bulk kinds only.
    pub(crate) unsubscribe_url: Option<&'a str>,
    /// Where the recipient does what the mail asks for, for kinds about a link.
    pub(crate) link_url: Option<&'a str>,
    /// Who gets it.
    pub(crate) recipient: &'a User,
    /// The recipient's active bookings of the event, or the one booking the mail is about; none for an offer.
    pub(crate) bookings: &'a [Booking],
    /// The links to the recipient's tickets of those bookings, for kinds that have them.
    pub(crate) tickets_urls: &'a [(BookingId, String)],
    /// What the recipient is offered, for `WaitingListOffer`.
    pub(crate) offer: Option<&'a Hold>,
    /// The recipient's coming bookings, for `BookingSummary`.
    pub(crate) summary: Option<&'a Value>,
    /// Whether the recipient has tickets of the event left, so that a cancellation leaves it in their calendar.
    pub(crate) keeps_entry: bool,
    /// The tenant's uploaded logo.
    pub(crate) logo: Option<&'a MailLogo>,
    /// The numbered receipt or credit note, for `Receipt`.
    pub(crate) receipt: Option<&'a BookingReceipt>,
    /// Those of the bookings' tickets whose codes the mail shows, [`MailContext::TICKETS_MAX`] at most.
    pub(crate) tickets: &'a [MailTicket],
    /// The installation's own address: the sender's, unless the tenant has one. Message-IDs end with its domain.
    pub(crate) mail_from: &'a EmailAddress,
    /// Names the delivery; the Message-ID is made of it.
    pub(crate) delivery_key: &'a str,
    /// The moment of composing, UTC.
    pub(crate) now: Timestamp,
}

/// A tenant's uploaded logo, ready for mails.
#[derive(Debug)]
pub(crate) struct MailLogo {
    /// The PNG picture in base64, in lines.
    pub(crate) encoded: Vec<u8>,
    /// Its size in pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
}

/// A ticket with its code, in a mail.
#[derive(Debug, Clone)]
pub(crate) struct MailTicket {
    /// Its number in its booking.
    pub(crate) number: u32,
    /// What its type is called.
    pub(crate) name: String,
    /// The name of who has it, if the booking's customer named them.
    pub(crate) attendee: Option<Label>,
    /// What is shown at the door.
    pub(crate) code: String,
}

impl MailTicket {
    /// The Content-ID of its QR code's picture (RFC 2392), without angle brackets.
    pub(in crate::modules::notifications) fn image_id(&self) -> String {
        format!("ticket-{}@boxoffice", self.number)
    }
}

impl MailContext<'_> {
    /// Most tickets whose codes a mail shows: with a picture of 1 KB each it stays far below what clients cut. Larger
    /// bookings find theirs in the API, and on the page of the link to them.
    pub(crate) const TICKETS_MAX: usize = 10;

    /// The sender's address, in the envelope and in `From`.
    pub(super) fn sender(&self) -> &EmailAddress {
        self.tenant.sender_address(self.mail_from)
    }

    /// The link to the recipient's tickets of a booking, without signing in.
    pub(super) fn tickets_url(&self, booking: BookingId) -> Option<&str> {
        let mut urls = self.tickets_urls.iter();
        urls.find(|(of, _)| *of == booking)
            .map(|(_, url)| url.as_str())
    }

    /// How the recipient is greeted. Whoever typed an address that nobody confirmed typed the name, too.
    pub(super) fn recipient_name(&self) -> &str {
        match self.recipient.email_verified {
            true => self.recipient.name.as_str(),
            false => UNCONFIRMED_NAME,
        }
    }

    /// What the sender is called.
    pub(super) fn sender_name(&self) -> &str {
        self.tenant.sender_name()
    }
}
