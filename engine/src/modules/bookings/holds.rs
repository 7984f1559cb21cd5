//! Holds after they were made: given more time, released, and expired when they are due. What is free by that is offered
//! to those who wait. (They are made and confirmed in
//! groups, among bookings.)
//!
//! Called by the bookings module. Calls the holds repository.

use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use ulid::Ulid;

use super::{ATTEMPTS_MAX, Rules, counters::let_go};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    modules::{
        repositories::{
            DueHold, HoldChange, InventoryChange, Offers, STALE_INVENTORY, StepError, SystemScope,
        },
        support::{Attempts, event_queues::GROUP_MAX},
    },
    types::{
        CapacityCause, EventId, Hold, HoldId, HoldStatus, Inventory, KeyedRequest, RecordedAnswer,
        TenantId, WaitlistSkip,
    },
};

/// Due holds looked at in one pass, of all events.
const DUE_MAX: u32 = 500;
/// A look begins this long before the last one ended: another host's clock may be behind ours.
const LOOK_BACK: Duration = Duration::from_secs(600);
/// A look from the very beginning follows this often, for notes that lie still further back.
const WHOLE_LOOK_EVERY: Duration = Duration::from_secs(600);

/// Where looks for due holds begin. Saves work only.
#[derive(Default)]
pub(super) struct ExpiryScanCursor(Mutex<Option<(Timestamp, Instant)>>);

impl ExpiryScanCursor {
    fn begin(&self, now: Timestamp) -> Timestamp {
        let floor = self.0.locked();
        let back = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::UNIX_EPOCH);
        match *floor {
            // Of a clock that was set back meanwhile nobody knows where it will go.
            Some((from, whole_at)) if whole_at.elapsed() < WHOLE_LOOK_EVERY && from <= back => from,
            _ => Timestamp::UNIX_EPOCH,
        }
    }

    /// Notes that nothing is due up to `now`.
    fn reached(&self, begun: Timestamp, now: Timestamp) {
        let mut floor = self.0.locked();
        let from = now.checked_sub(LOOK_BACK).unwrap_or(Timestamp::UNIX_EPOCH);
        let whole_at = match *floor {
            Some((_, whole_at)) if begun > Timestamp::UNIX_EPOCH => whole_at,
            _ => Instant::now(),
        };
        *floor = Some((from, whole_at));
    }
}

/// What is to become of a hold, and whom a policy did not let have it; none leaves it as it is.
type Verdict = Option<(Hold, CapacityCause, Option<WaitlistSkip>)>;

impl Rules {
    /// Gives a hold more time, once.
    pub(super) async fn extend_hold(
        &self,
        tenant: &TenantId,
        id: HoldId,
        request: Option<&KeyedRequest>,
    ) -> Result<Hold> {
        let lasts = self.context.settings.bookings.hold_duration;
        self.change_hold(tenant, id, request, |hold, now| {
            open(hold)?;
            if hold.extended {
                return Err(Error::new(
                    ErrorCode::HoldAlreadyExtended,
                    "A hold is given more time once, and this one was.",
                ));
            }
            if hold.waitlist_number.is_some() {
                return Err(Error::new(
                    ErrorCode::HoldAlreadyExtended,
                    "An offer from the waiting list is given no more time: others wait.",
                ));
            }
            // From now, or from its end if that is later: nobody loses time by asking early.
            let later = hold.expires_at.max(now).checked_add(lasts);
            let extended = Hold {
                expires_at: later.map_err(Error::internal)?,
                extended: true,
                ..hold.clone()
            };
            Ok(Some((extended, CapacityCause::HoldExtended, None)))
        })
        .await
    }

    /// Gives a hold's tickets back; one that has ended without a booking is answered as it is.
    pub(super) async fn release_hold(
        &self,
        tenant: &TenantId,
        id: HoldId,
        request: Option<&KeyedRequest>,
    ) -> Result<Hold> {
        self.change_hold(tenant, id, request, |hold, now| match hold.status {
            HoldStatus::Released | HoldStatus::Expired => Ok(None),
            HoldStatus::Held | HoldStatus::Confirmed => {
                open(hold)?;
                let released = ended(hold, HoldStatus::Released, now);
                Ok(Some((released, CapacityCause::HoldReleased, None)))
            }
        })
        .await
    }

    /// Gives back what somebody was offered who may not have it.
    pub(super) async fn reject_offer(
        &self,
        tenant: &TenantId,
        id: HoldId,
        reason: &str,
    ) -> Result<()> {
        let rejected = self.change_hold(tenant, id, None, |hold, now| {
            let number = match (hold.status, hold.waitlist_number) {
                (HoldStatus::Held, Some(number)) => number,
                _ => return Ok(None),
            };
            let skip = WaitlistSkip {
                number,
                customer: hold.customer,
                tickets: hold.tickets(),
                reason: ErrorCode::PolicyRejected,
                detail: reason.to_owned(),
            };
            let released = ended(hold, HoldStatus::Released, now);
            Ok(Some((released, CapacityCause::OfferRejected, Some(skip))))
        });
        rejected.await.map(drop)
    }

    /// Changes a hold together with its event's inventory.
    async fn change_hold(
        &self,
        tenant: &TenantId,
        id: HoldId,
        request: Option<&KeyedRequest>,
        verdict: impl Fn(&Hold, Timestamp) -> Result<Verdict>,
    ) -> Result<Hold> {
        let change = self.context.next_id();
        let mut sent: Option<Hold> = None;
        let mut attempts = Attempts::new("change_hold", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let (inventory, holds) = self.holds.read(tenant, id.event(), &[id]).await?;
            let (Some(inventory), Some(hold)) = (inventory, holds.into_iter().next()) else {
                return Err(Error::not_found("hold", id));
            };
            if sent.as_ref() == Some(&hold) {
                // The answer was lost, the change was not: the hold is exactly what was sent.
                return Ok(hold);
            }
            let now = self.context.now();
            let Some((after, cause, rejected)) = verdict(&hold, now)? else {
                return Ok(hold);
            };
            let holds = [HoldChange {
                before: Some(hold),
                after: after.clone(),
            }];
            let mut change = change_of(inventory, &holds, (change, attempt), cause, now);
            let answer = || RecordedAnswer::Hold(Box::new(after.clone()));
            change.recorded = request
                .map(|one| one.recorded(answer()))
                .into_iter()
                .collect();
            let offers = match after.status {
                HoldStatus::Held => Offers::default(),
                _ => {
                    let offer_maker = &self.offer_maker;
                    offer_maker
                        .offer(tenant, &mut change, &[id], rejected)
                        .await?
                }
            };
            match self.holds.update(tenant, &change, &holds, &offers).await {
                Ok(()) => {
                    self.context.owed.notify_one();
                    return Ok(after);
                }
                Err(StepError::Lost(_)) => sent = Some(after),
                Err(StepError::Conflict) => {}
                Err(error) if error.is_guard(STALE_INVENTORY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Ends a batch of due holds, and makes the offers that are due because a sale opened. Returns whether there may be
    /// more.
    pub(super) async fn expire_holds(&self) -> Result<bool> {
        let now = self.context.now();
        let (scope, from) = (SystemScope::new(), self.expiry_cursor.begin(now));
        let (now, due) = self.holds.due(scope, (from, now), DUE_MAX).await?;
        let mut more = due.len() == DUE_MAX as usize;
        let mut by_event: BTreeMap<(TenantId, EventId), Vec<DueHold>> = BTreeMap::new();
        for one in due {
            let key = (one.tenant.clone(), one.hold.event());
            by_event.entry(key).or_default().push(one);
        }
        let mut failed = None;
        for (key, due) in by_event {
            for group in due.chunks(GROUP_MAX) {
                let turn = self.event_queues.turn(&key).await;
                let outcome = self.expire_group(&key.0, key.1, group, now).await;
                self.event_queues.done(&key, turn);
                // One event that cannot be written now must not keep the others from theirs.
                if let Err(error) = outcome {
                    failed = Some(error);
                }
            }
        }
        // Behind the holds that end now: their tickets are offered, too.
        match self.offer_due(scope, (from, now)).await {
            Ok(again) => more |= again,
            Err(error) => failed = Some(error),
        }
        match failed {
            Some(error) => Err(error),
            None => {
                if !more {
                    self.expiry_cursor.reached(from, now);
                }
                Ok(more)
            }
        }
    }

    /// Ends those of an event's holds that are open and due at this time, and forgets those that ended long ago.
    async fn expire_group(
        &self,
        tenant: &TenantId,
        event: EventId,
        due: &[DueHold],
        now: Timestamp,
    ) -> Result<()> {
        let change = self.context.next_id();
        let ids: Vec<HoldId> = due.iter().map(|due| due.hold).collect();
        let mut attempts = Attempts::new("expire_holds", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let (inventory, holds) = self.holds.read(tenant, event, &ids).await?;
            let is_due = |hold: &Hold| hold.status == HoldStatus::Held && hold.expires_at <= now;
            let stale: Vec<DueHold> = due
                .iter()
                .filter(|due| {
                    !holds.iter().any(|hold| {
                        hold.id == due.hold
                            && hold.status == HoldStatus::Held
                            && hold.expires_at == due.due_at
                    })
                })
                .cloned()
                .collect();
            if !stale.is_empty() {
                let is_over = |hold: &&Hold| {
                    let mut notes = stale.iter();
                    hold.status != HoldStatus::Held
                        && notes.any(|due| due.hold == hold.id && due.due_at == hold.noted_at())
                };
                let over: Vec<HoldId> = holds.iter().filter(is_over).map(|hold| hold.id).collect();
                self.holds.forget(tenant, &stale, &over).await?;
            }
            let expired: Vec<HoldChange> = holds
                .into_iter()
                .filter(is_due)
                .map(|hold| HoldChange {
                    after: ended(&hold, HoldStatus::Expired, now),
                    before: Some(hold),
                })
                .collect();
            let Some(inventory) = inventory.filter(|_| !expired.is_empty()) else {
                return Ok(());
            };
            let cause = CapacityCause::HoldExpired;
            let mut change = change_of(inventory, &expired, (change, attempt), cause, now);
            let ending: Vec<HoldId> = expired.iter().map(|hold| hold.after.id).collect();
            let offers = self
                .offer_maker
                .offer(tenant, &mut change, &ending, None)
                .await?;
            match self.holds.update(tenant, &change, &expired, &offers).await {
                Ok(()) => {
                    self.context.owed.notify_one();
                    tracing::debug!(%event, count = expired.len(), "holds expired");
                    return Ok(());
                }
                // A lost answer is settled by reading again: what has expired is no longer open.
                Err(StepError::Conflict | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(STALE_INVENTORY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }
}

/// Refuses what only an open hold can do.
pub(super) fn open(hold: &Hold) -> Result<()> {
    let how = match hold.status {
        HoldStatus::Held => return Ok(()),
        HoldStatus::Confirmed => "became a booking",
        HoldStatus::Released => "was released",
        HoldStatus::Expired => "has expired",
    };
    let detail = format!("This hold {how}; its tickets are no longer kept by it.");
    Err(Error::new(ErrorCode::HoldEnded, detail))
}

/// The hold as it ends.
pub(super) fn ended(hold: &Hold, status: HoldStatus, now: Timestamp) -> Hold {
    Hold {
        status,
        ended_at: Some(now),
        ..hold.clone()
    }
}

/// What changes of holds do to the inventory: tickets of those that end without a booking are free.
fn change_of(
    before: Inventory,
    holds: &[HoldChange],
    (change, attempt): (Ulid, u32),
    cause: CapacityCause,
    at: Timestamp,
) -> InventoryChange {
    let gone = holds
        .iter()
        .filter(|change| change.after.status != HoldStatus::Held);
    let inventory = gone.fold(before.clone(), |inventory, change| {
        let_go(inventory, &change.after.lines)
    });
    InventoryChange {
        before,
        inventory,
        change,
        attempt,
        cause,
        at,
        recorded: Vec::new(),
    }
}
