//! Changes: what programs hear of a tenant's objects, in a feed without gaps.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::Serialize;

use super::{Booking, BookingReceipt, Event, Hold, Payment, User, WaitlistEntry};
use crate::error::{Error, ErrorCode, Fact, Result};

/// Defines the kinds of changes with their names.
macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// What happened to an object.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ChangeKind {
            $($(#[$doc])* $variant,)*
        }

        impl ChangeKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name: the object, a dot, and what happened.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// An event was made.
    EventCreated = "event.created",
    /// An organizer changed an event.
    EventUpdated = "event.updated",
    /// An event was cancelled. Its bookings are told of one by one, as `booking.cancelled`.
    EventCancelled = "event.cancelled",
    /// An event without bookings was deleted.
    EventDeleted = "event.deleted",
    /// Tickets were booked.
    BookingConfirmed = "booking.confirmed",
    /// Answers, attendees, metadata or the reference of a booking changed, or a payment was assigned to it.
    BookingUpdated = "booking.updated",
    /// A booking was cancelled, all of it or some tickets.
    BookingCancelled = "booking.cancelled",
    /// A ticket was given to somebody else.
    BookingTicketTransferred = "booking.ticket-transferred",
    /// A ticket was checked in.
    BookingCheckedIn = "booking.checked-in",
    /// A check-in was undone.
    BookingCheckInUndone = "booking.check-in-undone",
    /// Tickets were reserved.
    HoldCreated = "hold.created",
    /// A hold was extended, or its details changed.
    HoldUpdated = "hold.updated",
    /// A hold became a booking.
    HoldConfirmed = "hold.confirmed",
    /// A hold was released.
    HoldReleased = "hold.released",
    /// A hold expired.
    HoldExpired = "hold.expired",
    /// Somebody joined a waiting list.
    WaitlistJoined = "waitlist.joined",
    /// Somebody left a waiting list, or was removed from it.
    WaitlistLeft = "waitlist.left",
    /// Somebody on a waiting list was offered tickets, as a hold, and is no longer on it.
    WaitlistOffered = "waitlist.offered",
    /// A payment was opened, or its provider told of it first.
    PaymentCreated = "payment.created",
    /// Something about a payment changed: a notice came, it was booked, a refund became due or was settled.
    PaymentUpdated = "payment.updated",
    /// A receipt or a credit note got its number.
    ReceiptIssued = "receipt.issued",
    /// An account was made.
    CustomerCreated = "customer.created",
    /// Name, address, role or metadata of an account changed.
    CustomerUpdated = "customer.updated",
    /// The personal data of an account were erased. Earlier changes that name it have no data any more.
    CustomerErased = "customer.erased",
}

impl fmt::Display for ChangeKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for ChangeKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.iter().find(|kind| kind.as_str() == text);
        found
            .copied()
            .ok_or_else(|| Error::internal(format!("unknown kind of change {text}")))
    }
}

/// A place in a tenant's feed: everything up to it was read. Its text is `epoch.sequence`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "String")]
pub struct ChangeCursor {
    /// Which store numbered the changes: `0`, or what a restore from a backup made of it.
    pub epoch: String,
    /// The number of the last change that was read; 0 for none.
    pub sequence: u64,
}

impl From<ChangeCursor> for String {
    fn from(cursor: ChangeCursor) -> Self {
        cursor.to_string()
    }
}

impl fmt::Display for ChangeCursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.epoch, self.sequence)
    }
}

impl FromStr for ChangeCursor {
    type Err = Error;

    /// Parses `epoch.sequence`. Any other text is `field-invalid` of the field `after`.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('.').and_then(|(epoch, sequence)| {
            let is_epoch = !epoch.is_empty()
                && epoch.len() <= Self::EPOCH_MAX
                && epoch.bytes().all(|one| one.is_ascii_alphanumeric());
            let is_number =
                !sequence.is_empty() && sequence.bytes().all(|one| one.is_ascii_digit());
            let sequence = sequence.parse().ok().filter(|_| is_number)?;
            // Numbers are stored as signed ones.
            (is_epoch && sequence <= i64::MAX as u64).then(|| Self {
                epoch: epoch.to_owned(),
                sequence,
            })
        });
        parsed.ok_or_else(|| {
            let rule =
                "A cursor is the `cursor` of a change or the `nextCursor` of a page, such as 0.42.";
            Error::field("after", rule)
        })
    }
}

impl ChangeCursor {
    /// Most characters of an epoch.
    const EPOCH_MAX: usize = 16;

    /// What a reader is told whose cursor is of another epoch.
    pub(crate) fn restarted(oldest: &Self) -> Error {
        let detail = format!(
            "The store was restored from a backup since this cursor was given. Read your objects anew, and go on after {oldest}."
        );
        Error::new(ErrorCode::FeedRestarted, detail).with(Fact::OldestCursor(oldest.to_string()))
    }

    /// What a reader is told whose cursor is beyond the end.
    pub(crate) fn beyond(end: &Self) -> Error {
        let rule = format!("No change has this cursor yet; the last one is {end}.");
        Error::field("after", rule)
    }

    /// What a reader is told who is behind what is kept.
    pub(crate) fn expired(oldest: &Self) -> Error {
        let detail = format!(
            "Changes after this cursor are not kept any more. Read your objects anew, and go on after {oldest}."
        );
        Error::new(ErrorCode::ChangesExpired, detail).with(Fact::OldestCursor(oldest.to_string()))
    }
}

/// A change of one object, with the whole object as it was after it.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place in the feed. Sequences of a tenant have no gaps.
    pub cursor: ChangeCursor,
    /// What happened.
    pub kind: ChangeKind,
    /// When, UTC.
    pub at: Timestamp,
    /// The object's id in the API.
    pub id: String,
    /// How many changes of the object there were, this one included. A lower version never follows a higher one.
    pub version: u64,
    /// The object after the change, or before it was deleted; `None` once the person whom it names was erased.
    pub object: Option<ChangedObject>,
}

/// The object of a change.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangedObject {
    /// An event, with counters as of the change.
    Event(Box<Event>),
    /// A booking.
    Booking(Box<Booking>),
    /// A hold.
    Hold(Box<Hold>),
    /// A place on a waiting list.
    Waitlist(Box<WaitlistEntry>),
    /// A payment.
    Payment(Box<Payment>),
    /// A receipt or a credit note.
    Receipt(Box<BookingReceipt>),
    /// An account.
    Customer(Box<User>),
}

/// Changes in order, and where to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangePage {
    /// The changes that the filter lets through.
    pub changes: Vec<Change>,
    /// Where to go on: after the last change that was looked at.
    pub next: ChangeCursor,
    /// Whether there is more to be read now.
    pub has_more: bool,
}

impl ChangePage {
    /// Most changes of a page.
    pub const LIMIT_MAX: u32 = 1_000;
}

/// Which changes a reader wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChangeFilter {
    /// Kinds; empty for all.
    kinds: Vec<ChangeKind>,
    /// The object with this id in the API; `None` for all.
    pub object: Option<String>,
}

impl ChangeFilter {
    /// Changes of these names: kinds, or objects such as `booking.*`. None at all lets every change through.
    ///
    /// # Errors
    /// `field-invalid` of the field `types` for a name that no change has.
    pub fn of_types<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut kinds = Vec::new();
        for name in names {
            let before = kinds.len();
            let matching = ChangeKind::ALL
                .iter()
                .filter(|kind| match name.strip_suffix('*') {
                    Some(prefix) => prefix.ends_with('.') && kind.as_str().starts_with(prefix),
                    None => kind.as_str() == name,
                });
            kinds.extend(matching.copied());
            if kinds.len() == before {
                let shown: String = name
                    .chars()
                    .filter(|one| !one.is_control())
                    .take(80)
                    .collect();
                let rule = format!(
                    "No change has the type {shown:?}. Types are such as booking.confirmed, or booking.* for all of an object."
                );
                return Err(Error::field("types", rule));
            }
        }
        kinds.sort_unstable();
        kinds.dedup();
        Ok(Self {
            kinds,
            object: None,
        })
    }

    /// The kinds that it lets through; empty for all.
    pub fn kinds(&self) -> &[ChangeKind] {
        &self.kinds
    }

    /// Whether it lets a change through.
    pub(crate) fn lets(&self, kind: ChangeKind, id: impl FnOnce() -> String) -> bool {
        let is_kind = self.kinds.is_empty() || self.kinds.binary_search(&kind).is_ok();
        is_kind && self.object.as_ref().is_none_or(|object| *object == id())
    }
}
