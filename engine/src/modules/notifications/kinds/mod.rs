//! What is known of each kind of notification, one file per kind: who hears it, what overtakes or suppresses it, whether
//! it needs consent, and what its mails say.
//!
//! Called by fan-out, delivery, the composing of mails, and through [`NotificationKind`] by everybody. A new kind is a
//! variant of that enum, a file here, and a folder of templates.

mod api_key_created;
mod booking_cancelled;
mod booking_confirmed;
mod booking_summary;
mod email_change;
mod email_changed;
mod email_verification;
mod event_announcement;
mod event_cancelled;
mod event_reminder;
mod event_updated;
mod identity_linked;
mod invitation;
mod password_reset;
mod plugin_quarantined;
mod receipt;
mod sign_up_notice;
mod ticket_received;
mod ticket_voided;
mod waiting_list_offer;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;

use super::{
    mail::context::MailContext,
    mail_source::{KindParts, MailSource},
    source_reader::SourceReader,
};
use crate::{
    error::Result,
    types::{
        AccountLinkPurpose, Booking, BookingStatus, CancelCause, DeliveryRecord, EventStatus, Lane,
        NotificationId, NotificationKind, StoredEvent, StoredNotification,
    },
};

/// Who gets the mails of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audience {
    /// The customer of the one booking that a mail is about, or somebody who got tickets of it.
    Booking,
    /// The customer who is offered tickets by a hold.
    Offer,
    /// Everybody whose bookings of an event concern them: bulk mails.
    EventCustomers,
    /// Users whom something else than an event concerns.
    Users,
}

/// What a calendar does with the file that a mail has for it (RFC 5546).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CalendarAction {
    /// Puts the event in, or changes it.
    Publish,
    /// Takes the event out.
    Cancel,
}

/// What the link that a mail is about is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MailLink {
    /// Confirming the address.
    Verify,
    /// A change of the account.
    Account(AccountLinkPurpose),
}

/// The built-in templates of a kind.
pub(super) struct KindTemplates {
    pub(super) subject: &'static str,
    pub(super) text: &'static str,
    pub(super) html: &'static str,
}

/// The templates in a folder of `engine/templates`.
macro_rules! templates {
    ($folder:literal) => {
        $crate::modules::notifications::kinds::KindTemplates {
            subject: include_str!(concat!("../../../../templates/", $folder, "/subject.txt")),
            text: include_str!(concat!("../../../../templates/", $folder, "/body.txt")),
            html: include_str!(concat!("../../../../templates/", $folder, "/body.html")),
        }
    };
}
pub(super) use templates;

/// The rules of one kind.
#[async_trait]
pub(super) trait Kind: Sync {
    fn audience(&self) -> Audience;

    /// The built-in templates.
    fn templates(&self) -> KindTemplates;

    /// Whether a customer may do without it, and it needs a confirmed address where the tenant wants that. Whoever booked
    /// must hear of everything else.
    fn needs_consent(&self) -> bool {
        false
    }

    /// Returns whether it is sent again, with the same Message-ID, after an attempt with an unknown outcome. A duplicate
    /// mail is a nuisance; a customer who travels to a cancelled event is a loss.
    fn is_sent_again(&self) -> bool {
        self.lane() == Lane::Transactional
    }

    /// Whether readers bring its mails about themselves: an unconfirmed address gets a few of them in a day.
    fn is_caused_by_reader(&self) -> bool {
        false
    }

    /// Whether its mails show the codes of tickets.
    fn shows_tickets(&self) -> bool {
        false
    }

    /// Whether its mails have the link to the reader's tickets of each booking.
    fn links_to_tickets(&self) -> bool {
        self.shows_tickets()
    }

    /// The link that its mails are about, if they are about one. Without links they wait for a worker that makes some.
    fn link(&self) -> Option<MailLink> {
        None
    }

    /// Mails that answer something, or are for one reader only, go first. Bulk mails wait behind them.
    fn lane(&self) -> Lane {
        match self.audience() {
            Audience::EventCustomers => Lane::Bulk,
            Audience::Booking | Audience::Offer | Audience::Users => Lane::Transactional,
        }
    }

    fn is_about_event(&self) -> bool {
        self.audience() != Audience::Users
    }

    /// Whether a booking makes its customer a recipient of a notification to the event's customers.
    fn concerns(&self, _notification: &StoredNotification, _booking: &Booking) -> bool {
        false
    }

    /// Whether those on the event's waiting list are recipients, too.
    fn reaches_waiting_list(&self) -> bool {
        false
    }

    /// Whether a change of the event can make it pointless to list (more) recipients.
    fn can_become_pointless(&self) -> bool {
        true
    }

    /// Whether what became of the event makes it pointless to list (more) recipients.
    fn is_pointless(
        &self,
        _notification: &StoredNotification,
        _event: &StoredEvent,
        status: EventStatus,
        _now: Timestamp,
    ) -> bool {
        status == EventStatus::Cancelled
    }

    /// Reads what its mails are made of beyond what all are, at the same time as that.
    async fn parts(&self, _: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts::default())
    }

    /// Reads what of it depends on the rest.
    async fn add_parts(
        &self,
        _: &SourceReader<'_>,
        _: &MailSource,
        _: &mut KindParts,
    ) -> Result<()> {
        Ok(())
    }

    /// Why a notification comes too late for everybody, if it does.
    fn overtaken(
        &self,
        _source: &MailSource,
        _notification: NotificationId,
        _now: Timestamp,
    ) -> Option<&'static str> {
        None
    }

    /// Whether a mail about a booking is still wanted.
    fn still_wanted(&self, _booking: &Booking, _event: EventStatus) -> bool {
        false
    }

    /// Whether one of a delivery's bookings still wants the mail.
    fn has_wanted_booking(&self, source: &MailSource, delivery: &DeliveryRecord) -> bool {
        let mut bookings = source.bookings_of(delivery);
        bookings.any(|booking| self.still_wanted(booking, source.status()))
    }

    /// Why a recipient no longer gets a mail, if they do not.
    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let is_left = !self.is_about_event() || self.has_wanted_booking(source, delivery);
        (!is_left).then_some(BOOKINGS_CANCELLED)
    }

    /// Puts what its templates see beyond what all see into their data.
    fn add_data(&self, _context: &MailContext<'_>, _data: &mut Value) {}

    /// Puts an example of that into a sample of the data.
    fn add_sample(&self, _sample: &mut Value) {}

    /// What the mail's file for calendars does, for kinds about an event.
    fn calendar(&self, _context: &MailContext<'_>) -> Option<CalendarAction> {
        self.is_about_event().then_some(CalendarAction::Publish)
    }
}

const BOOKINGS_CANCELLED: &str = "its bookings were cancelled before it was sent";

/// The rules of a kind.
pub(super) fn of(kind: NotificationKind) -> &'static dyn Kind {
    match kind {
        NotificationKind::BookingConfirmed => &booking_confirmed::BookingConfirmed,
        NotificationKind::BookingCancelled => &booking_cancelled::BookingCancelled,
        NotificationKind::WaitingListOffer => &waiting_list_offer::WaitingListOffer,
        NotificationKind::TicketReceived => &ticket_received::TicketReceived,
        NotificationKind::TicketVoided => &ticket_voided::TicketVoided,
        NotificationKind::Receipt => &receipt::Receipt,
        NotificationKind::EventUpdated => &event_updated::EventUpdated,
        NotificationKind::EventCancelled => &event_cancelled::EventCancelled,
        NotificationKind::EventReminder => &event_reminder::EventReminder,
        NotificationKind::EventAnnouncement => &event_announcement::EventAnnouncement,
        NotificationKind::PluginQuarantined => &plugin_quarantined::PluginQuarantined,
        NotificationKind::EmailVerification => &email_verification::EmailVerification,
        NotificationKind::SignUpNotice => &sign_up_notice::SignUpNotice,
        NotificationKind::BookingSummary => &booking_summary::BookingSummary,
        NotificationKind::PasswordReset => &password_reset::PasswordReset,
        NotificationKind::EmailChange => &email_change::EmailChange,
        NotificationKind::EmailChanged => &email_changed::EmailChanged,
        NotificationKind::Invitation => &invitation::Invitation,
        NotificationKind::ApiKeyCreated => &api_key_created::ApiKeyCreated,
        NotificationKind::IdentityLinked => &identity_linked::IdentityLinked,
    }
}

impl NotificationKind {
    /// The kinds that need consent: customers may unsubscribe from them, and they go to confirmed addresses only where the
    /// tenant wants that. Customers get all other kinds in any case.
    pub fn needing_consent() -> Vec<Self> {
        let all = Self::ALL.iter().copied();
        all.filter(|kind| kind.needs_consent()).collect()
    }

    /// Returns whether the mail answers something its reader did, or is for one reader only. Such mails go first and are sent at
    /// least once. Bulk mails but `EventCancelled` are sent at most once where SMTP leaves the outcome open.
    pub fn is_transactional(self) -> bool {
        self.lane() == Lane::Transactional
    }

    /// Returns whether customers may unsubscribe from it; see [`needing_consent`](Self::needing_consent).
    pub fn needs_consent(self) -> bool {
        of(self).needs_consent()
    }

    /// Returns whether a tenant or a platform may provide its templates.
    pub fn has_templates(self) -> bool {
        of(self).is_about_event()
    }

    pub(crate) fn lane(self) -> Lane {
        of(self).lane()
    }

    pub(super) fn is_sent_again(self) -> bool {
        of(self).is_sent_again()
    }
}

fn is_confirmed(booking: &Booking) -> bool {
    booking.status == BookingStatus::Confirmed
}

fn is_cancelled_with_event(booking: &Booking) -> bool {
    matches!(booking.cancelled, Some((CancelCause::Event, _)))
}

/// Whether a booking stands, or stood until its event was cancelled.
fn stands_or_fell_with_event(booking: &Booking) -> bool {
    is_confirmed(booking) || is_cancelled_with_event(booking)
}

/// Whether a booking stands, and its event takes place.
fn stands(booking: &Booking, event: EventStatus) -> bool {
    is_confirmed(booking) && event != EventStatus::Cancelled
}
