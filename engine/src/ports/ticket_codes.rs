//! The port for ticket codes. There is no default: without it tickets have no codes, and mails show none.

use crate::types::{IssuedTicket, TenantId};

/// Makes and reads the codes of tickets.
///
/// Whoever has a code is admitted with it, so codes must be unforgeable: seal them with a separate key
/// (a MAC), and keep the key as long as tickets are valid. A valid code is looked up in any case:
/// the store decides whether its ticket still admits somebody.
pub trait TicketCodes: Send + Sync + 'static {
    /// The code of a ticket as it was issued: printable ASCII without spaces, at most 200 bytes, always the same. It becomes a QR code.
    fn code(&self, tenant: &TenantId, ticket: IssuedTicket) -> String;

    /// Reads a code that was made for this tenant; `None` for any other text.
    fn read(&self, tenant: &TenantId, code: &str) -> Option<IssuedTicket>;
}
