//! How many tickets people whose address is not confirmed take from one network. Accounts cost nothing, networks do.
//!
//! Called by the controllers of bookings, holds and waiting lists. Calls the users use case. What one account may hold is
//! bounded in the engine.

use std::net::IpAddr;

use boxoffice_engine::{BookLine, Caller, Engine, Result};

use crate::auth::{NetworkAllowance, Taken};

/// Counts the tickets; none where anybody may take as many as they like.
#[derive(Debug)]
pub(in crate::routes) struct UnconfirmedTickets(pub(in crate::routes) Option<NetworkAllowance>);

/// Tickets that count for a network until it turns out that nobody got them.
pub(super) struct Counted<'a> {
    /// Who wants them; whether their address is confirmed is known where it matters.
    pub(super) caller: Caller,
    taken: Taken<'a>,
}

impl UnconfirmedTickets {
    /// Counts tickets that a caller is to book, to hold or to wait for, if their address is not confirmed.
    ///
    /// # Errors
    /// `too-many-requests`, with the time after which so many are let through.
    pub(super) async fn count(
        &self,
        engine: &Engine,
        caller: Caller,
        address: Option<IpAddr>,
        lines: &[BookLine],
    ) -> Result<Counted<'_>> {
        let Some(allowance) = &self.0 else {
            let taken = Taken::nothing();
            return Ok(Counted { caller, taken });
        };
        let caller = engine.users().with_confirmation(&caller).await?;
        let taken = match caller.is_unconfirmed() {
            true => {
                let tickets = lines.iter().map(|line| line.quantity);
                let tickets = tickets.fold(0, u32::saturating_add);
                allowance.take(caller.tenant()?, address, tickets)?
            }
            false => Taken::nothing(),
        };
        Ok(Counted { caller, taken })
    }
}

impl Counted<'_> {
    /// Takes the outcome: what was refused counts for nothing.
    pub(super) fn settle<T>(self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.taken.give_back();
        }
        outcome
    }
}
