//! The results of verifying an event's counters, a payment's money, and a tenant's counters.

use super::{ClaimKey, EventId, PaymentKey, PaymentMoney, TenantId};

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

/// Where a payment's money is, compared with its notices, its refunds and its booking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentVerdict {
    /// The payment's tenant.
    pub tenant: TenantId,
    /// What names it.
    pub payment: PaymentKey,
    /// ISO 4217 code of its amounts.
    pub currency: String,
    /// Where its money is, by its row.
    pub money: PaymentMoney,
    /// The first difference, as text; `None` if there is none.
    pub difference: Option<String>,
}

/// A counter of a tenant, compared with what bookings and holds have of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimVerdict {
    /// The tenant.
    pub tenant: TenantId,
    /// The counter.
    pub key: ClaimKey,
    /// What it counts.
    pub used: u64,
    /// The difference, as text; `None` if there is none.
    pub difference: Option<String>,
}
