//! Limits the tickets of unconfirmed accounts by network, because accounts are free to make, but networks are not.
//!
//! Called by the controllers of bookings, holds and waiting lists. Calls the users use case. The engine limits single
//! accounts.

use std::net::IpAddr;

use boxoffice_engine::{BookLine, Caller, Engine, Result};

use crate::auth::{NetworkAllowance, Taken};

/// Counts the tickets; `None` for no limit.
#[derive(Debug)]
pub(in crate::routes) struct UnconfirmedTickets(pub(in crate::routes) Option<NetworkAllowance>);

/// Tickets that count for a network until the request has failed.
pub(super) struct Counted<'a> {
    /// The caller, with whether the address is confirmed, if that matters.
    pub(super) caller: Caller,
    taken: Taken<'a>,
}

impl UnconfirmedTickets {
    /// Counts tickets that an unconfirmed caller wants to book, to hold or to wait for.
    ///
    /// # Errors
    /// `too-many-requests`, with the time after which so many are allowed.
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
    /// Sets the outcome: refused requests do not count.
    pub(super) fn settle<T>(self, outcome: Result<T>) -> Result<T> {
        if outcome.is_err() {
            self.taken.give_back();
        }
        outcome
    }
}
