//! What the mails of some batches are made of.
//!
//! Read by the next mails of a group of batches; asked by the kinds and by pending mails. Reads no store.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::mail::context::MailLogo;
use crate::{
    ports::{Links, TicketCodes},
    settings::Settings,
    types::{
        Announcement, Booking, BookingId, BookingReceipt, DeliveryRecord, EmailAddress, Event,
        EventDetails, EventStatus, Hold, HoldStatus, NotificationId, NotificationKind,
        NotificationStatus, PluginQuarantine, StoredNotification, Tenant, User, UserId,
    },
};

/// How old a source may be when a mail is marked as going out. A booking that is cancelled meanwhile still gets
/// its mail; this cannot be distinguished from a mail that was sent just before.
const FRESH_FOR: Duration = Duration::from_secs(2);

/// The ports that the links and codes in mails come from, if there are any.
#[derive(Clone)]
pub(crate) struct MailPorts {
    pub(crate) links: Option<Arc<dyn Links>>,
    pub(crate) ticket_codes: Option<Arc<dyn TicketCodes>>,
}

/// What the mails of one kind are made of beyond what all are; each kind reads its own.
#[derive(Default)]
pub(super) struct KindParts {
    /// What an organizer says.
    pub(super) announcement: Option<Announcement>,
    /// Which plugin failed.
    pub(super) quarantine: Option<PluginQuarantine>,
    /// The holds of offers to customers of a waiting list.
    pub(super) offers: HashMap<BookingId, Hold>,
    /// Customers without a booking whom a cancelled event concerns, because they wait for its tickets.
    pub(super) waiting: BTreeSet<UserId>,
    /// Customers who still have tickets of the event after a cancellation.
    pub(super) with_tickets_left: HashSet<UserId>,
    /// What older versions of the event said.
    pub(super) versions: HashMap<u64, EventDetails>,
    /// The coming bookings of each recipient.
    pub(super) summaries: HashMap<UserId, Value>,
    /// The receipts and credit notes that each notification is about, by booking.
    pub(super) receipts: HashMap<(NotificationId, BookingId), BookingReceipt>,
    /// What the link to change each recipient's account names.
    pub(super) stamps: HashMap<UserId, String>,
    /// Where the mail goes, if not to the account's address.
    pub(super) other_address: Option<OtherAddress>,
}

/// An address that a mail goes to instead of the account's own.
pub(super) struct OtherAddress {
    pub(super) email: EmailAddress,
    /// Whether the account's user confirmed it.
    pub(super) is_confirmed: bool,
}

/// Everything that the mails of some batches of one notification, or of one kind about one event, are made of.
pub(crate) struct MailSource {
    pub(super) read_at: Instant,
    pub(super) kind: NotificationKind,
    pub(super) tenant: Tenant,
    /// The event, for kinds that are about one.
    pub(super) event: Option<Event>,
    /// The event with neutral texts, if neither its organizer nor all of the customers have confirmed their addresses.
    pub(super) neutral_event: Option<Event>,
    pub(super) notification: Option<StoredNotification>,
    /// Whether mails that need consent are only for confirmed addresses.
    pub(super) require_email_verification: bool,
    /// Customers who unsubscribed from this kind.
    pub(super) unsubscribed: HashSet<UserId>,
    /// The tenant's uploaded logo.
    pub(super) logo: Option<Arc<MailLogo>>,
    pub(super) users: HashMap<UserId, User>,
    pub(super) bookings: HashMap<UserId, Vec<Booking>>,
    pub(super) parts: KindParts,
    pub(super) ports: MailPorts,
    pub(super) settings: Arc<Settings>,
}

impl MailSource {
    pub(crate) fn is_fresh(&self) -> bool {
        self.read_at.elapsed() < FRESH_FOR
    }

    /// Whether it is paused.
    pub(crate) fn is_paused(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|notification| notification.is_paused)
    }

    /// Whether the notification has recipients that are not listed yet.
    pub(crate) fn has_unlisted_recipients(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|notification| {
            matches!(
                notification.status,
                NotificationStatus::Scheduled | NotificationStatus::FanningOut
            )
        })
    }

    /// The hold of an offer, if it is still active.
    pub(super) fn offer(&self, delivery: &DeliveryRecord) -> Option<&Hold> {
        let hold = self.parts.offers.get(&delivery.booking?)?;
        let stands = hold.status == HoldStatus::Held && self.status() == EventStatus::Published;
        stands.then_some(hold)
    }

    /// The event with the texts that a recipient may see: texts of an unconfirmed organizer are sent to confirmed
    /// addresses only.
    pub(super) fn event_for(&self, recipient: &User) -> Option<&Event> {
        let neutral = self.neutral_event.as_ref();
        let neutral = neutral.filter(|_| !recipient.email_verified);
        neutral.or(self.event.as_ref())
    }

    /// An older version of the event with the texts that a recipient may see.
    pub(super) fn previous_for(&self, recipient: &User) -> Option<Cow<'_, EventDetails>> {
        let known = self.known_version(recipient.id)?;
        let previous = self.parts.versions.get(&known)?;
        let is_neutral = self.neutral_event.is_some() && !recipient.email_verified;
        Some(match is_neutral {
            true => Cow::Owned(previous.in_neutral_words()),
            false => Cow::Borrowed(previous),
        })
    }

    /// The bookings that a delivery is about: one, or all of its customer's.
    pub(super) fn bookings_of<'a>(
        &'a self,
        delivery: &'a DeliveryRecord,
    ) -> impl Iterator<Item = &'a Booking> {
        let bookings = self.bookings.get(&delivery.customer).into_iter().flatten();
        bookings.filter(|booking| delivery.booking.is_none_or(|own| own == booking.id))
    }

    /// A recipient with the address that the mail goes to.
    pub(super) fn recipient(&self, customer: UserId) -> Option<Cow<'_, User>> {
        let user = self.users.get(&customer)?;
        Some(match &self.parts.other_address {
            None => Cow::Borrowed(user),
            Some(other) => Cow::Owned(User {
                email: other.email.clone(),
                email_verified: other.is_confirmed,
                ..user.clone()
            }),
        })
    }

    pub(super) fn is_confirmed(&self, customer: UserId) -> bool {
        let user = self.users.get(&customer);
        user.is_some_and(|user| user.email_verified)
    }

    pub(super) fn is_erased(&self, customer: UserId) -> bool {
        let user = self.users.get(&customer);
        user.is_some_and(|user| user.erased_at.is_some())
    }

    /// The version of the event that a customer knows: the one they booked, or the one before this change.
    pub(super) fn known_version(&self, customer: UserId) -> Option<u64> {
        let notification = self.notification.as_ref()?;
        let oldest = self
            .bookings
            .get(&customer)?
            .iter()
            .map(|booking| booking.event_version)
            .min()?;
        Some(oldest.max(notification.from_version))
    }

    /// The event's status; `Published` for kinds without an event.
    pub(super) fn status(&self) -> EventStatus {
        let event = self.event.as_ref();
        event.map_or(EventStatus::Published, |event| event.status)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        let notification = self.notification.as_ref();
        notification.is_some_and(|one| one.status == NotificationStatus::Cancelled)
    }

    /// The customer, if the address is known not to be confirmed.
    pub(super) fn unconfirmed(&self, customer: UserId) -> Option<&User> {
        let user = self.users.get(&customer);
        user.filter(|user| !user.email_verified)
    }
}
