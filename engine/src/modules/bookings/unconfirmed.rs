//! Limits of what an unconfirmed account may hold and wait for. Accounts are free to make and must not block a
//! sold-out event. (The host limits networks.)
//!
//! Called by the planner and by the waiting list. Pure.

use crate::{
    error::{Error, Result},
    modules::repositories::UnconfirmedAccount,
    types::EventId,
};

/// Most events at a time: enough for a weekend until the confirmation mail is read.
const EVENTS_MAX: usize = 3;
/// Most tickets in all: enough for a family and its friends.
const TICKETS_MAX: u32 = 10;

/// Counts tickets of an event that an account wants to hold or to wait for.
///
/// # Errors
/// `email-unconfirmed` beyond the limits; nothing is counted then.
pub(super) fn count(account: &mut UnconfirmedAccount, event: EventId, tickets: u32) -> Result<()> {
    let is_new = !account.events.contains(&event);
    let sum = account.tickets.saturating_add(tickets);
    if (is_new && account.events.len() >= EVENTS_MAX) || sum > TICKETS_MAX {
        return Err(Error::email_unconfirmed(&format!(
            "Until you confirm your e-mail address you can hold or wait for tickets of at most {EVENTS_MAX} events at a time, \
             {TICKETS_MAX} tickets in all."
        )));
    }
    account.events.insert(event);
    account.tickets = sum;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ulid::Ulid;

    use super::*;

    #[test]
    fn events_and_tickets_are_bounded_and_a_refusal_counts_nothing() {
        let event = |number: u128| EventId::from_ulid(Ulid(number));
        let mut account = UnconfirmedAccount::default();
        for number in 0..3 {
            count(&mut account, event(number), 3).expect("within the bounds");
        }
        assert!(count(&mut account, event(3), 1).is_err(), "a fourth event");
        assert!(count(&mut account, event(0), 2).is_err(), "an 11th ticket");
        count(&mut account, event(0), 1).expect("the tenth ticket");
        assert_eq!((account.events.len(), account.tickets), (3, 10));
        assert!(count(&mut account, event(0), u32::MAX).is_err());
    }
}
