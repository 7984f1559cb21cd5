//! The port for links that lead back to the platform, in mails and in answers about tickets. Without it there are none.

use crate::types::{AccountLink, BookingId, EmailAddress, NotificationKind, TenantId, UserId};

/// Makes links that work without signing in.
pub trait Links: Send + Sync + 'static {
    /// The link to unsubscribe a customer from a bulk kind of a tenant: an `https://` address in printable ASCII.
    ///
    /// It goes into the mail's text and into `List-Unsubscribe` (RFC 8058): a POST to it unsubscribes at once, a GET
    /// only shows a page. It must be unforgeable and stay valid as long as mails are read: sign it, and
    /// keep the key. It contains no address, because links end in logs. Its page calls
    /// [`Subscriptions::set`](crate::app_modules::Subscriptions::set).
    fn unsubscribe(&self, tenant: &TenantId, customer: UserId, kind: NotificationKind) -> String;

    /// The link to confirm an address. A GET only shows a page. It contains no address either, but
    /// is valid for this one only. Its page calls [`Users::verify`](crate::app_modules::Users::verify).
    fn verify(&self, tenant: &TenantId, customer: UserId, email: &EmailAddress) -> String;

    /// The link to choose a new password, or to move an account to another address. A GET only shows a page. Its page passes
    /// what it read on to [`Users::reset_password`](crate::app_modules::Users::reset_password) or
    /// [`Users::change_email`](crate::app_modules::Users::change_email), which check that it is not expired or used. It must be
    /// unforgeable, and valid for its purpose only.
    fn account(&self, link: &AccountLink) -> String;

    /// The link to the tickets that somebody has of a booking, to show or print. Whoever has the link has the tickets: it must be
    /// unforgeable and valid for nothing else. It stays valid as long as tickets are needed, because its page shows what
    /// [`Bookings::own_tickets`](crate::app_modules::Bookings::own_tickets) says of `owner` then. It names no address.
    fn tickets(&self, tenant: &TenantId, owner: UserId, booking: BookingId) -> String;
}
