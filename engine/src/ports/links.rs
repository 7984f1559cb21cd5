//! Links in mails that lead back to the platform: the port. There is no default, and mails do without them.

use crate::types::{EmailAddress, NotificationKind, TenantId, UserId};

/// Makes links that whoever holds them may use without signing in.
pub trait Links: Send + Sync + 'static {
    /// Where a customer unsubscribes from a tenant's mails of a bulk kind: an `https://` address in printable ASCII.
    ///
    /// It goes into the mail's text and into `List-Unsubscribe` (RFC 8058): a POST to it unsubscribes at once, a GET
    /// only shows how. Nobody else may be able to make it up, and it must hold as long as mails are read: sign it, and
    /// keep the key. It names no address, since links end in logs. What it is used for ends at
    /// [`Subscriptions::set`](crate::app_modules::Subscriptions::set).
    fn unsubscribe(&self, tenant: &TenantId, customer: UserId, kind: NotificationKind) -> String;

    /// Where a customer confirms that an address is theirs, as above: a GET only shows how. It names no address either, but
    /// holds for this one only. What it is used for ends at [`Users::verify`](crate::app_modules::Users::verify).
    fn verify(&self, tenant: &TenantId, customer: UserId, email: &EmailAddress) -> String;
}
