//! The rules of waiting lists: joining, leaving, and places. (Offers are made in the steps that free
//! tickets.)
//!
//! Called by the bookings module. Calls the waitlist repository.

use jiff::Timestamp;

use super::{
    ATTEMPTS_MAX, Rules,
    planner::{Wanted, not_published, order},
    unconfirmed,
};
use crate::{
    error::{Error, ErrorCode, Result},
    modules::repositories::{
        DueOffer, InventoryChange, STALE_ACCOUNT, STALE_INVENTORY, StepError, SystemScope,
        WaitlistPosition,
    },
    modules::support::Attempts,
    types::{
        BookLine, CapacityCause, EventId, EventStatus, Inventory, JoinWaitlist, KeyedRequest,
        RecordedAnswer, TenantId, UserId, WaitlistEntry, WaitlistPlace,
    },
};

/// Due offers that one pass reads; each is an event.
const OFFERS_DUE_MAX: u32 = 100;

impl Rules {
    /// Adds a customer to an event's list. Joining again for the same tickets returns
    /// the place.
    pub(super) async fn join_waitlist(
        &self,
        tenant: &TenantId,
        (customer, is_unconfirmed): (UserId, bool),
        command: &JoinWaitlist,
        request: Option<&KeyedRequest>,
    ) -> Result<WaitlistPlace> {
        let event = command.event;
        let who = (event, customer, is_unconfirmed, request);
        let joined = self.change_waitlist(tenant, who, |sight, inventory, now| {
            // First, so that the ticket types of a draft are not revealed.
            if inventory.status == EventStatus::Draft {
                return Err(not_published());
            }
            let lines = named(&command.lines, inventory)?;
            if let Some(entry) = &sight.entry {
                return match entry.lines == lines {
                    true => Ok(None),
                    false => Err(Error::new(
                        ErrorCode::AlreadyWaiting,
                        "You wait for other tickets of this event; leave its waiting list first.",
                    )),
                };
            }
            can_wait(inventory, &lines, now)?;
            if inventory.waiting >= self.context.settings.bookings.waitlist_entries_max {
                return Err(Error::new(
                    ErrorCode::WaitlistFull,
                    "The waiting list of this event is full.",
                ));
            }
            let entry = WaitlistEntry {
                event,
                number: inventory.waitlist_next,
                customer,
                lines,
                joined_at: now,
            };
            let after = Inventory {
                waiting: inventory.waiting + 1,
                waitlist_next: inventory.waitlist_next + 1,
                ..inventory.clone()
            };
            Ok(Some((entry, after, CapacityCause::WaitlistJoined)))
        });
        match joined.await? {
            Some((entry, ahead)) => Ok(WaitlistPlace::Waiting { entry, ahead }),
            None => {
                let place = self.place_on_waitlist(tenant, event, customer).await?;
                if let (Some(request), WaitlistPlace::Waiting { .. }) = (request, &place) {
                    // A request that changes nothing is recorded, too.
                    let answer = RecordedAnswer::Place(Box::new(place.clone()));
                    let (step, now) = (self.context.next_id(), self.context.now());
                    let repository = &self.offer_maker.repository;
                    let recorded = request.recorded(answer);
                    let step = repository.record_unchanged(tenant, step, recorded, now);
                    step.await?;
                }
                Ok(place)
            }
        }
    }

    /// Removes a customer from an event's list.
    pub(super) async fn leave_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
        request: Option<&KeyedRequest>,
    ) -> Result<()> {
        let who = (event, customer, false, request);
        let left = self.change_waitlist(tenant, who, |sight, inventory, _| {
            let entry = sight.entry.clone().ok_or_else(|| not_waiting(event))?;
            let after = Inventory {
                waiting: inventory.waiting.saturating_sub(1),
                ..inventory.clone()
            };
            Ok(Some((entry, after, CapacityCause::WaitlistLeft)))
        });
        left.await.map(drop)
    }

    /// A customer's place: on the list, or with an offer.
    pub(super) async fn place_on_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<WaitlistPlace> {
        let repository = &self.offer_maker.repository;
        let sight = repository.sight(tenant, event, customer).await?;
        let offer = sight
            .open_hold
            .filter(|hold| hold.waitlist_number.is_some());
        match (sight.entry, offer) {
            (Some(entry), _) => Ok(WaitlistPlace::Waiting {
                entry,
                ahead: sight.ahead,
            }),
            (None, Some(hold)) => Ok(WaitlistPlace::Offered(hold)),
            (None, None) => Err(not_waiting(event)),
        }
    }

    /// Makes a batch of offers for ticket types whose sale began. Returns whether there may be more.
    pub(super) async fn offer_due(
        &self,
        scope: SystemScope,
        reach: (Timestamp, Timestamp),
    ) -> Result<bool> {
        let repository = &self.offer_maker.repository;
        let due = repository.due(scope, reach, OFFERS_DUE_MAX).await?;
        let more = due.len() == OFFERS_DUE_MAX as usize;
        let mut failed = None;
        for due in due {
            let key = (due.tenant.clone(), due.event);
            let turn = self.event_queues.turn(&key).await;
            let outcome = self.offer_opened(&due, reach.1).await;
            self.event_queues.done(&key, turn);
            // One failing event must not stop the others.
            if let Err(error) = outcome {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(more), Err)
    }

    /// Offers an event's tickets whose sale has begun.
    async fn offer_opened(&self, due: &DueOffer, now: Timestamp) -> Result<()> {
        let (tenant, change) = (&due.tenant, self.context.next_id());
        let repository = &self.offer_maker.repository;
        let mut attempts = Attempts::new("offer_opened", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let (inventory, _) = self.holds.read(tenant, due.event, &[]).await?;
            let Some(inventory) = inventory.filter(|inventory| inventory.waiting > 0) else {
                return repository.forget(due).await;
            };
            let mut change = InventoryChange {
                inventory: inventory.clone(),
                before: inventory,
                change,
                attempt,
                cause: CapacityCause::SalesOpened,
                at: now,
                recorded: Vec::new(),
            };
            let offer_maker = &self.offer_maker;
            let offers = offer_maker.offer(tenant, &mut change, &[], None).await?;
            match repository.offer(due, &change, &offers).await {
                Ok(()) => {
                    self.context.owed.notify_one();
                    return Ok(());
                }
                // Repeating settles a lost answer: customers with an offer do not wait any more.
                Err(StepError::Conflict | StepError::Lost(_)) => {}
                Err(error) if error.is_guard(STALE_INVENTORY) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Writes the change of `decide` to a list, together with the event's inventory; nothing if there is no change. Returns
    /// the entry that was added or removed, and the number before it; `None` if nothing changed, or if that is no longer known.
    async fn change_waitlist(
        &self,
        tenant: &TenantId,
        (event, customer, is_unconfirmed, request): (EventId, UserId, bool, Option<&KeyedRequest>),
        decide: impl Fn(
            &WaitlistPosition,
            &Inventory,
            Timestamp,
        ) -> Result<Option<(WaitlistEntry, Inventory, CapacityCause)>>,
    ) -> Result<Option<(WaitlistEntry, u64)>> {
        let change = self.context.next_id();
        let repository = &self.offer_maker.repository;
        let mut sent: Option<(bool, WaitlistEntry)> = None;
        let mut attempts = Attempts::new("change_waitlist", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let sight = repository.sight(tenant, event, customer).await?;
            let Some(inventory) = &sight.inventory else {
                return Err(Error::not_found("event", event));
            };
            if let Some((joins, entry)) = &sent {
                // The answer was lost but the change was committed: numbers are given once.
                let is_there = sight.entry.as_ref().map(|there| there.number) == Some(entry.number);
                let was_offered = sight
                    .open_hold
                    .as_ref()
                    .and_then(|hold| hold.waitlist_number)
                    == Some(entry.number);
                if *joins == (is_there || was_offered) {
                    return Ok(None);
                }
            }
            let now = self.context.now();
            let Some((entry, after, cause)) = decide(&sight, inventory, now)? else {
                return Ok(None);
            };
            let joins = cause == CapacityCause::WaitlistJoined;
            let account = match is_unconfirmed {
                true => {
                    let mut account = repository.unconfirmed(tenant, customer).await?;
                    unconfirmed::count(&mut account, event, entry.tickets())?;
                    Some(account)
                }
                false => None,
            };
            // A new entry has all others before it.
            let ahead = u64::from(inventory.waiting);
            let answer = || match joins {
                true => RecordedAnswer::Place(Box::new(WaitlistPlace::Waiting {
                    entry: entry.clone(),
                    ahead,
                })),
                false => RecordedAnswer::Done,
            };
            let change = InventoryChange {
                before: inventory.clone(),
                inventory: after,
                change,
                attempt,
                cause,
                at: now,
                recorded: request
                    .map(|one| one.recorded(answer()))
                    .into_iter()
                    .collect(),
            };
            let written = match joins {
                true => {
                    repository
                        .join(tenant, &change, &entry, account.as_ref())
                        .await
                }
                false => repository.leave(tenant, &change, &entry).await,
            };
            match written {
                Ok(()) => return Ok(Some((entry, ahead))),
                Err(StepError::Lost(_)) => sent = Some((joins, entry)),
                // Another host may write an account's first row at the same time.
                Err(StepError::Conflict | StepError::Exists(_)) => {}
                Err(error) if error.is_guard(STALE_INVENTORY) || error.is_guard(STALE_ACCOUNT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }
}

/// The lines with their types filled in, so that they stay the same when the event gets more types.
fn named(lines: &[BookLine], inventory: &Inventory) -> Result<Vec<BookLine>> {
    let line = |(index, line): (usize, &BookLine)| {
        let kind = line.ticket_type_of(index, &inventory.ticket_types)?;
        Ok(BookLine {
            ticket_type: Some(kind.id.clone()),
            quantity: line.quantity,
        })
    };
    lines.iter().enumerate().map(line).collect()
}

/// Refuses customers who need not wait, or would wait in vain.
fn can_wait(inventory: &Inventory, lines: &[BookLine], now: Timestamp) -> Result<()> {
    // A cancelled event is refused first, before its tickets are checked.
    if inventory.status == EventStatus::Published {
        let types = &inventory.ticket_types;
        for (index, line) in lines.iter().enumerate() {
            let kind = line.ticket_type_of(index, types)?;
            if line.quantity > kind.capacity.min(inventory.total) {
                return Err(Error::field(
                    format!("lines[{index}].quantity"),
                    "The event does not have that many tickets, so waiting is useless.",
                ));
            }
        }
        let wanted: u32 = lines.iter().map(|line| line.quantity).sum();
        if wanted > inventory.total {
            return Err(Error::field(
                "lines",
                "The event does not have that many tickets, so waiting is useless.",
            ));
        }
    }
    let wanted = Wanted {
        lines,
        unit_prices_minor: None,
        expected_total_minor: None,
    };
    match order(inventory, &wanted, now) {
        Ok(_) => Err(Error::new(
            ErrorCode::TicketsAvailable,
            "There are enough tickets: book or hold them.",
        )),
        Err(error) if error.code() == ErrorCode::NotEnoughTickets => Ok(()),
        Err(error) => Err(error),
    }
}

fn not_waiting(event: EventId) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("You are not on the waiting list of event `{event}`."),
    )
}
