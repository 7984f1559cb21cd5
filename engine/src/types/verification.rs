//! What verifying an event's counters finds.

use super::{EventId, TenantId};

/// What came of recomputing an event's counters from its capacity ledger and from its bookings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventVerdict {
    /// Whose event.
    pub tenant: TenantId,
    /// Which event.
    pub event: EventId,
    /// How often its inventory was written, as it was read.
    pub revision: i64,
    /// Tickets sold, as its inventory says.
    pub sold: u32,
    /// Tickets held, as its inventory says.
    pub held: u32,
    /// The first thing that does not agree, in words; none if all does.
    pub difference: Option<String>,
}
