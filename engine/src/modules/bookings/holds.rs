//! Holds after they were made: extended, released, and expired when they are due. The tickets that this frees are offered
//! to those who wait. Holds are made and confirmed in groups, among bookings.
//!
//! Called by app_modules. Calls the holds repository.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ulid::Ulid;

use super::{ATTEMPTS_MAX, BookingsModule, counters::remove_held, details::changed_hold};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::{
        repositories::{
            DueHold, HoldChange, InventoryChange, Offers, STALE_INVENTORY, StepError, SystemScope,
        },
        support::{Attempts, event_queues::GROUP_MAX},
    },
    types::{
        CapacityCause, ChangeHold, Event, EventId, Hold, HoldId, HoldStatus, Inventory,
        KeyedRequest, RecordedAnswer, TenantId, WaitlistSkip,
    },
};

/// Due holds read in one pass, of all events.
const DUE_MAX: u32 = 500;
/// The new state of a hold, and the customer whom a policy rejected; `None` changes nothing.
type Verdict = Option<(Hold, CapacityCause, Option<WaitlistSkip>)>;

impl BookingsModule {
    /// Extends a hold once.
    pub(crate) async fn extend_hold(
        &self,
        tenant: &TenantId,
        id: HoldId,
        request: Option<&KeyedRequest>,
    ) -> Result<Hold> {
        let lasts = self.context.settings.bookings.hold_duration;
        self.change_hold(tenant, id, request, |hold, now| {
            hold.require_open()?;
            if hold.extended {
                return Err(Error::new(
                    ErrorCode::HoldAlreadyExtended,
                    "A hold can be extended once, and this one was extended already.",
                ));
            }
            if hold.waitlist_number.is_some() {
                return Err(Error::new(
                    ErrorCode::HoldAlreadyExtended,
                    "An offer from the waiting list cannot be extended, because others wait.",
                ));
            }
            // From now, or from its end if that is later: extending early loses no time.
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

    /// Changes what a hold carries beside its tickets, which the event's questions allow.
    pub(crate) async fn change_hold_details(
        &self,
        tenant: &TenantId,
        command: &ChangeHold,
        event: &Event,
        request: Option<&KeyedRequest>,
    ) -> Result<Hold> {
        self.change_hold(tenant, command.hold, request, |hold, _| {
            let changed = changed_hold(hold, event, &command.details)?;
            Ok((changed != *hold).then_some((changed, CapacityCause::HoldChanged, None)))
        })
        .await
    }

    /// Releases a hold. One that has ended without a booking is returned unchanged.
    pub(crate) async fn release_hold(
        &self,
        tenant: &TenantId,
        id: HoldId,
        request: Option<&KeyedRequest>,
    ) -> Result<Hold> {
        self.change_hold(tenant, id, request, |hold, now| match hold.status {
            HoldStatus::Released | HoldStatus::Expired => Ok(None),
            HoldStatus::Held | HoldStatus::Confirmed => {
                hold.require_open()?;
                let released = ended(hold, HoldStatus::Released, now);
                Ok(Some((released, CapacityCause::HoldReleased, None)))
            }
        })
        .await
    }

    /// Releases an offer that a policy rejected, and records why.
    pub(crate) async fn reject_offer(
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
        let _lock = self.inventory_locks.lock(tenant, id.event()).await;
        let change = self.context.next_id();
        let mut sent: Option<Hold> = None;
        let mut attempts = Attempts::new("change_hold", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let (inventory, holds) = self.holds.read(tenant, id.event(), &[id]).await?;
            let (Some(inventory), Some(hold)) = (inventory, holds.into_iter().next()) else {
                return Err(Error::not_found("hold", id));
            };
            if sent.as_ref() == Some(&hold) {
                // The answer was lost but the change was committed: the hold is exactly what was sent.
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
                    self.context.outbox_added.notify_one();
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

    /// Ends a batch of due holds, and makes offers for ticket types whose sale began. Returns whether there may be
    /// more.
    pub(crate) async fn expire_holds(&self) -> Result<bool> {
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
                // One failing event must not stop the others.
                if let Err(error) = self.expire_group(&key.0, key.1, group, now).await {
                    failed = Some(error);
                }
            }
        }
        // After the holds that end now, because their tickets are offered too.
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

    /// Ends an event's active holds that are due, and deletes those that ended long ago.
    async fn expire_group(
        &self,
        tenant: &TenantId,
        event: EventId,
        due: &[DueHold],
        now: Timestamp,
    ) -> Result<()> {
        let _lock = self.inventory_locks.lock(tenant, event).await;
        let change = self.context.next_id();
        let ids: Vec<HoldId> = due.iter().map(|due| due.hold).collect();
        let mut attempts = Attempts::new("expire_holds", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let (inventory, holds) = self.holds.read(tenant, event, &ids).await?;
            self.forget_stale(tenant, due, &holds).await?;
            let is_due = |hold: &Hold| hold.status == HoldStatus::Held && hold.expires_at <= now;
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
                    self.context.outbox_added.notify_one();
                    tracing::debug!(%event, count = expired.len(), "holds expired");
                    return Ok(());
                }
                // Reading again settles a lost answer: expired holds are no longer active.
                Err(StepError::Conflict | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(STALE_INVENTORY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Forgets notes about due holds that are open no more or due at another time, and holds that ended long ago.
    async fn forget_stale(&self, tenant: &TenantId, due: &[DueHold], holds: &[Hold]) -> Result<()> {
        let is_current = |due: &DueHold| {
            holds.iter().any(|hold| {
                hold.id == due.hold
                    && hold.status == HoldStatus::Held
                    && hold.expires_at == due.due_at
            })
        };
        let stale: Vec<DueHold> = due.iter().filter(|due| !is_current(due)).cloned().collect();
        if stale.is_empty() {
            return Ok(());
        }
        let is_over = |hold: &&Hold| {
            let mut notes = stale.iter();
            hold.status != HoldStatus::Held
                && notes.any(|due| due.hold == hold.id && due.due_at == hold.noted_at())
        };
        let over: Vec<HoldId> = holds.iter().filter(is_over).map(|hold| hold.id).collect();
        self.holds.forget(tenant, &stale, &over).await
    }
}

/// The ended hold.
pub(super) fn ended(hold: &Hold, status: HoldStatus, now: Timestamp) -> Hold {
    Hold {
        status,
        ended_at: Some(now),
        ..hold.clone()
    }
}

/// Applies changes of holds to the inventory: holds that end without a booking free their tickets.
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
        remove_held(inventory, &change.after.lines)
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
