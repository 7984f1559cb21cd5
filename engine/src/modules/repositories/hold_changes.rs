//! The rows that a change of holds writes, in whatever step changes them.
//!
//! Called by the repositories of bookings, events, holds and the waiting list.

use super::{
    claims::{ClaimReturn, add_returns},
    db::Script,
    models::{CustomerHoldRow, HoldDueRow, HoldRow, OpenHoldRow},
};
use crate::types::{ChangeKind, Hold, HoldStatus, TenantId};

/// A hold before and after a step.
#[derive(Debug, Clone)]
pub(in crate::modules) struct HoldChange {
    /// As it was read; `None` if the step creates it.
    pub(in crate::modules) before: Option<Hold>,
    /// As it is written.
    pub(in crate::modules) after: Hold,
}

impl HoldChange {
    fn kind(&self) -> ChangeKind {
        match (self.after.status, &self.before) {
            (HoldStatus::Held, None) => ChangeKind::HoldCreated,
            (HoldStatus::Held, Some(_)) => ChangeKind::HoldUpdated,
            (HoldStatus::Confirmed, _) => ChangeKind::HoldConfirmed,
            (HoldStatus::Released, _) => ChangeKind::HoldReleased,
            (HoldStatus::Expired, _) => ChangeKind::HoldExpired,
        }
    }
}

/// Adds holds, with the entries for their customers and their end: at most 5 rows for each, and what those that end give back. The
/// inventory's guard covers them, because every change of a hold also changes its event's inventory.
pub(in crate::modules::repositories) fn add_holds(
    script: &mut Script,
    tenant: &TenantId,
    holds: &[HoldChange],
) {
    let is_open = |hold: &&Hold| hold.status == HoldStatus::Held;
    let (mut new, mut changed, mut listed) = (Vec::new(), Vec::new(), Vec::new());
    let (mut opened, mut due, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for change in holds {
        let row = HoldRow::of(tenant, &change.after);
        let row = script.telling(change.kind(), row);
        let before = change.before.as_ref().filter(is_open);
        let after = Some(&change.after).filter(is_open);
        let due_row = |hold: &Hold| HoldDueRow::of(tenant, hold.id, hold.noted_at());
        let noted = change.before.as_ref();
        if noted.map(Hold::noted_at) != Some(change.after.noted_at()) {
            gone.extend(noted.map(|hold| due_row(hold).id));
            due.push(due_row(&change.after));
        }
        match (before, after) {
            (None, Some(after)) => opened.push(OpenHoldRow::of(tenant, after)),
            (Some(before), None) => gone.push(OpenHoldRow::of(tenant, before).id),
            _ => {}
        }
        match change.before {
            None => {
                new.push(row);
                listed.push(CustomerHoldRow::of(tenant, change.after.id));
            }
            Some(_) => changed.push(row),
        }
    }
    let ended = holds.iter().map(|change| &change.after);
    let ended =
        ended.filter(|hold| matches!(hold.status, HoldStatus::Released | HoldStatus::Expired));
    for hold in ended.filter(|hold| !hold.claims.is_empty()) {
        let at = hold.ended_at.unwrap_or(hold.expires_at);
        let returns = ClaimReturn::all(hold.id.booking(), &hold.claims);
        add_returns(script, tenant, returns, at);
    }
    script.replace(changed);
    // Ended holds first: in one group a customer may confirm a hold and make another.
    script.remove(gone);
    script.insert("hold", new);
    script.insert("customer_hold", listed);
    script.insert("open_hold", opened);
    script.insert("hold_due", due);
}
