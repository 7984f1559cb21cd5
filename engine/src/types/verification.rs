//! The result of verifying an event's counters.

use super::{EventId, TenantId};

/// An event's counters, compared with its capacity ledger and its bookings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventVerdict {
    /// The event's tenant.
    pub tenant: TenantId,
    /// The event's id.
    pub event: EventId,
    /// The revision of its inventory.
    pub revision: i64,
    /// Tickets sold, by its inventory.
    pub sold: u32,
    /// Tickets held, by its inventory.
    pub held: u32,
    /// The first difference, as text; `None` if there is none.
    pub difference: Option<String>,
}
