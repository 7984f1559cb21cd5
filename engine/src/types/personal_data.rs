//! What is kept about a person, as it is given to them.

use super::{
    Booking, BookingReceipt, CheckIn, Delivery, Hold, LinkedIdentity, ListedSession,
    NotificationKind, Payment, ReceivedTicket, TeamMember, User, WaitlistPlace,
};

/// A record about a person, in the order in which [`Users::personal_data`](crate::app_modules::Users::personal_data) lists them.
///
/// Bookings and holds are as the customer sees them: without who sold them and why they cost nothing.
#[derive(Debug, Clone)]
pub enum PersonalRecord {
    /// The account; after it those without a password that tickets were sold to at its address before.
    Account(User),
    /// A way to sign in at an OpenID provider.
    Identity(LinkedIdentity),
    /// A session.
    Session(ListedSession),
    /// A place in the team of an event.
    Team(TeamMember),
    /// A kind of mail that the person has unsubscribed from.
    Unsubscribed(NotificationKind),
    /// A booking, and the check-ins of its tickets by number.
    Booking(Booking, Vec<CheckIn>),
    /// A ticket that somebody gave to the person, without its code.
    ReceivedTicket(Box<ReceivedTicket>),
    /// A receipt of the booking before it, or a credit note.
    Receipt(Box<BookingReceipt>),
    /// A hold.
    Hold(Hold),
    /// A payment.
    Payment(Box<Payment>),
    /// A place on a waiting list, or an offer from one.
    WaitlistPlace(WaitlistPlace),
    /// A mail to the person, without its text.
    Delivery(Delivery),
}
