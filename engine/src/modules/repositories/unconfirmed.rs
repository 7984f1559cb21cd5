//! What unconfirmed accounts hold and wait for, in all events of their tenant.
//!
//! Guard: a step that makes a hold or a waiting-list place for such an account writes the account's row, if it is unchanged since it was
//! read. So two hosts cannot both accept the last one. When something ends, nothing is written here: the row names events, and what is
//! active there is read with it. Called by the steps of bookings and waiting lists; calls models.

use std::collections::{BTreeSet, HashMap};

use super::{
    db::{Answers, Db, Script},
    models::{OpenHoldRow, UnconfirmedAccountRow, WaitingRow},
};
use crate::{
    error::Result,
    types::{EventId, TenantId, UserId},
};

/// The guard's word when the account's row has changed.
pub(in crate::modules) const STALE_ACCOUNT: &str = "account-moved";

/// What an unconfirmed account holds and waits for.
#[derive(Debug, Clone, Default)]
pub(in crate::modules) struct UnconfirmedAccount {
    /// The revision of its row; `None` if it has none.
    revision: Option<i64>,
    /// Events in which it has an active hold or a place on the waiting list.
    pub(in crate::modules) events: BTreeSet<EventId>,
    /// Tickets of all of these.
    pub(in crate::modules) tickets: u32,
}

/// The indexes of an account's parts in a script's results.
pub(super) struct Places {
    account: usize,
    holds: usize,
    waiting: usize,
}

/// Adds the reads of accounts; returns the indexes of their results.
pub(super) fn ask_accounts(
    script: &mut Script,
    tenant: &TenantId,
    users: &[UserId],
) -> Vec<(UserId, Places)> {
    let mut places = Vec::with_capacity(users.len());
    for (number, user) in users.iter().enumerate() {
        let key = script.bind(UnconfirmedAccountRow::key(tenant, *user));
        let account = script.push(format!("SELECT VALUE revision FROM ONLY {key}"));
        let holds = format!("(SELECT VALUE holds FROM ONLY {key}) ?? []");
        script.define(&format!("$holds{number}"), holds);
        let holds = script.push(format!("SELECT * FROM $holds{number}"));
        let waiting = format!("(SELECT VALUE waiting FROM ONLY {key}) ?? []");
        script.define(&format!("$waiting{number}"), waiting);
        let waiting = script.push(format!("SELECT * FROM $waiting{number}"));
        let place = Places {
            account,
            holds,
            waiting,
        };
        places.push((*user, place));
    }
    places
}

/// Reads the results of [`ask_accounts`].
pub(super) fn accounts(
    answers: &mut Answers,
    places: Vec<(UserId, Places)>,
) -> Result<HashMap<UserId, UnconfirmedAccount>> {
    let mut accounts = HashMap::with_capacity(places.len());
    for (user, place) in places {
        let mut account = UnconfirmedAccount {
            revision: answers.row::<i64>(place.account)?,
            ..UnconfirmedAccount::default()
        };
        for row in answers.rows::<OpenHoldRow>(place.holds)? {
            account.events.insert(row.hold()?.event());
            account.tickets += row.tickets;
        }
        for row in answers.rows::<WaitingRow>(place.waiting)? {
            account.events.insert(row.event()?);
            account.tickets += row.tickets;
        }
        accounts.insert(user, account);
    }
    Ok(accounts)
}

/// Reads one account.
pub(super) async fn account(
    db: &Db,
    tenant: &TenantId,
    user: UserId,
) -> Result<UnconfirmedAccount> {
    let mut script = Script::snapshot(tenant);
    let places = ask_accounts(&mut script, tenant, &[user]);
    let mut answers = db.run_retrying(&script).await?;
    Ok(accounts(&mut answers, places)?
        .remove(&user)
        .unwrap_or_default())
}

/// Writes an account: 1 row, which names as many events as the rules of bookings allow. Stops with
/// [`STALE_ACCOUNT`], or as existing, if it has changed since it was read.
pub(super) fn add_account(
    script: &mut Script,
    tenant: &TenantId,
    user: UserId,
    account: &UnconfirmedAccount,
) {
    let revision = account.revision.map_or(1, |revision| revision + 1);
    let events = account.events.iter().copied();
    let row = UnconfirmedAccountRow::of(tenant, user, revision, events);
    let key = UnconfirmedAccountRow::key(tenant, user);
    match account.revision {
        None => script.insert("unconfirmed_account", [row]),
        Some(seen) => script.replace_if(key, seen, row, STALE_ACCOUNT),
    }
}
