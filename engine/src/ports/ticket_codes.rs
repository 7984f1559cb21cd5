//! What is shown at the door: the port. There is no default; without it tickets have no codes, and mails show none.

use crate::types::{TenantId, TicketId};

/// Makes and reads the codes of tickets.
///
/// Whoever holds a code can come in with it, so nobody else may be able to make one up: seal it with a key of its own
/// (a MAC), and keep the key for as long as tickets shall be good. A code that can be read is looked up all the same:
/// whether its ticket still admits somebody is for the store to say.
pub trait TicketCodes: Send + Sync + 'static {
    /// The code of a ticket: printable ASCII without blanks, at most 200 bytes, the same each time; it goes into a QR code.
    fn code(&self, tenant: &TenantId, ticket: TicketId) -> String;

    /// Reads a code that was made for this tenant; none for any other text.
    fn read(&self, tenant: &TenantId, code: &str) -> Option<TicketId>;
}
