//! Joining and leaving an event's waiting list, and where somebody stands. Offers are made within the steps that free
//! tickets.
//!
//! Called by app_modules. Calls the waitlist repository.

use jiff::Timestamp;

use super::{
    ATTEMPTS_MAX, BookingsModule,
    orders::{Wanted, not_published, order, require_within_customer_limit},
    requests::WaitingCustomer,
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
        BookLine, BookingDetails, CapacityCause, EventId, EventStatus, Inventory, JoinWaitlist,
        KeyedRequest, Page, PageRequest, RecordedAnswer, RecordedRequest, TenantId, UserId,
        WaitlistEntry, WaitlistPlace,
    },
};

/// Due offers read in one pass; each is an event.
const OFFERS_DUE_MAX: u32 = 100;

/// A place on a waiting list that a step adds or takes away, with the inventory after it.
struct WaitlistChange {
    entry: WaitlistEntry,
    after: Inventory,
    cause: CapacityCause,
}

impl WaitlistChange {
    fn joins(&self) -> bool {
        self.cause == CapacityCause::WaitlistJoined
    }

    /// Whether this change was written although its answer was lost. Numbers are given once.
    fn was_written(&self, position: &WaitlistPosition) -> bool {
        let number = Some(self.entry.number);
        let open_hold = position.open_hold.as_ref();
        let is_there = position.entry.as_ref().map(|there| there.number) == number;
        let was_offered = open_hold.and_then(|hold| hold.waitlist_number) == number;
        self.joins() == (is_there || was_offered)
    }
}

/// Who wants to change an event's waiting list, with the request under its Idempotency-Key, if it has one.
#[derive(Clone, Copy)]
struct WaitlistRequest<'a> {
    event: EventId,
    customer: WaitingCustomer,
    keyed: Option<&'a KeyedRequest>,
}

impl BookingsModule {
    /// Puts a customer on an event's waiting list; who asks for the same again is answered where they stand.
    pub(crate) async fn join_waitlist(
        &self,
        tenant: &TenantId,
        customer: WaitingCustomer,
        (command, details): (&JoinWaitlist, Option<Box<BookingDetails>>),
        keyed: Option<&KeyedRequest>,
    ) -> Result<WaitlistPlace> {
        let event = command.event;
        let _lock = self.inventory_locks.lock(tenant, event).await;
        let request = WaitlistRequest {
            event,
            customer,
            keyed,
        };
        let joined = self.change_waitlist(tenant, request, |position, (inventory, has), now| {
            let new = (command.lines.as_slice(), details.clone());
            self.joined((customer.id, has), new, position, (inventory, now))
        });
        if let Some((entry, ahead)) = joined.await? {
            return Ok(WaitlistPlace::Waiting { entry, ahead });
        }
        let place = self.place_on_waitlist(tenant, event, customer.id).await?;
        if let (Some(keyed), WaitlistPlace::Waiting { .. }) = (keyed, &place) {
            // A request that changes nothing is recorded, too.
            let answer = RecordedAnswer::Place(Box::new(place.clone()));
            let (step, now) = (self.context.next_id(), self.context.now());
            let repository = &self.offer_maker.repository;
            let recorded = keyed.recorded(answer);
            let step = repository.record_unchanged(tenant, step, recorded, now);
            step.await?;
        }
        Ok(place)
    }

    /// The place that a customer gets at the end of a list; `None` if they have it already.
    fn joined(
        &self,
        (customer, has): (UserId, u32),
        (lines, details): (&[BookLine], Option<Box<BookingDetails>>),
        position: &WaitlistPosition,
        (inventory, now): (&Inventory, Timestamp),
    ) -> Result<Option<WaitlistChange>> {
        // First, so that the ticket types of a draft are not revealed.
        if inventory.status == EventStatus::Draft {
            return Err(not_published());
        }
        let lines = named(lines, inventory)?;
        if let Some(entry) = &position.entry {
            return match entry.lines == lines {
                true => Ok(None),
                false => Err(Error::new(
                    ErrorCode::AlreadyWaiting,
                    "You wait for other tickets of this event; leave its waiting list first.",
                )),
            };
        }
        can_wait(inventory, (&lines, has), now)?;
        if inventory.waiting >= self.context.settings.bookings.waitlist_entries_max {
            return Err(Error::new(
                ErrorCode::WaitlistFull,
                "The waiting list of this event is full.",
            ));
        }
        Ok(Some(WaitlistChange {
            entry: WaitlistEntry {
                event: inventory.event,
                number: inventory.waitlist_next,
                customer,
                lines,
                joined_at: now,
                details,
            },
            after: Inventory {
                waiting: inventory.waiting + 1,
                waitlist_next: inventory.waitlist_next + 1,
                ..inventory.clone()
            },
            cause: CapacityCause::WaitlistJoined,
        }))
    }

    /// Removes a customer from an event's waiting list.
    pub(crate) async fn leave_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
        keyed: Option<&KeyedRequest>,
    ) -> Result<()> {
        let _lock = self.inventory_locks.lock(tenant, event).await;
        let request = WaitlistRequest {
            event,
            customer: WaitingCustomer {
                id: customer,
                is_unconfirmed: false,
            },
            keyed,
        };
        let left = self.change_waitlist(tenant, request, |position, (inventory, _), _| {
            let entry = position.entry.clone().ok_or_else(|| not_waiting(event))?;
            let after = Inventory {
                waiting: inventory.waiting.saturating_sub(1),
                ..inventory.clone()
            };
            Ok(Some(WaitlistChange {
                entry,
                after,
                cause: CapacityCause::WaitlistLeft,
            }))
        });
        left.await.map(drop)
    }

    /// A customer's place: on the list, or with an offer.
    pub(crate) async fn place_on_waitlist(
        &self,
        tenant: &TenantId,
        event: EventId,
        customer: UserId,
    ) -> Result<WaitlistPlace> {
        let repository = &self.offer_maker.repository;
        let position = repository.position(tenant, event, customer).await?;
        let offer = position
            .open_hold
            .filter(|hold| hold.waitlist_number.is_some());
        match (position.entry, offer) {
            (Some(entry), _) => Ok(WaitlistPlace::Waiting {
                entry,
                ahead: position.ahead,
            }),
            (None, Some(hold)) => Ok(WaitlistPlace::Offered(hold)),
            (None, None) => Err(not_waiting(event)),
        }
    }

    /// A customer's places on waiting lists, and their offers, for a page of the events on whose lists they ever were.
    pub(crate) async fn list_places(
        &self,
        tenant: &TenantId,
        customer: UserId,
        page: &PageRequest,
    ) -> Result<Page<WaitlistPlace>> {
        let repository = &self.offer_maker.repository;
        let before = page.position::<EventId>()?.map(EventId::ulid);
        let rows = repository.mails_of_customer(tenant, customer, before, page.limit + 1);
        let events = rows.await?.into_iter().map(|(event, _)| event);
        let events = page.cut(events.collect(), EventId::to_string);
        let present = repository.present_at(tenant, customer, &events.items);
        let mut places = Vec::new();
        for event in present.await? {
            match self.place_on_waitlist(tenant, event, customer).await {
                Ok(place) => places.push(place),
                // Left since it was read.
                Err(error) if error.code() == ErrorCode::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Page {
            items: places,
            next: events.next,
        })
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
            // One failing event must not stop the others.
            if let Err(error) = self.offer_opened(&due, reach.1).await {
                failed = Some(error);
            }
        }
        failed.map_or(Ok(more), Err)
    }

    /// Offers an event's tickets whose sale has begun.
    async fn offer_opened(&self, due: &DueOffer, now: Timestamp) -> Result<()> {
        let _lock = self.inventory_locks.lock(&due.tenant, due.event).await;
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
                    self.context.outbox_added.notify_one();
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

    /// Writes what `decide` makes of a list, together with the event's inventory. Returns the entry that came or went, and how
    /// many were before it; `None` if nothing is to be done, and where that cannot be told any more.
    async fn change_waitlist(
        &self,
        tenant: &TenantId,
        request: WaitlistRequest<'_>,
        decide: impl Fn(
            &WaitlistPosition,
            (&Inventory, u32),
            Timestamp,
        ) -> Result<Option<WaitlistChange>>,
    ) -> Result<Option<(WaitlistEntry, u64)>> {
        let (event, customer) = (request.event, request.customer.id);
        let change = self.context.next_id();
        let repository = &self.offer_maker.repository;
        let mut sent: Option<WaitlistChange> = None;
        let mut attempts = Attempts::new("change_waitlist", ATTEMPTS_MAX);
        while let Some(attempt) = attempts.next().await {
            let position = repository.position(tenant, event, customer).await?;
            let Some(inventory) = &position.inventory else {
                return Err(Error::not_found("event", event));
            };
            if sent
                .as_ref()
                .is_some_and(|sent| sent.was_written(&position))
            {
                return Ok(None);
            }
            // Only those who come to wait, and only if the event has a limit.
            let has = match (inventory.max_tickets_per_customer, &position.entry) {
                (Some(_), None) => repository.tickets_of(tenant, (event, customer)).await?,
                _ => 0,
            };
            let now = self.context.now();
            let Some(changed) = decide(&position, (inventory, has), now)? else {
                return Ok(None);
            };
            // Everybody who waits is before whoever joins.
            let ahead = u64::from(inventory.waiting);
            let change = InventoryChange {
                before: inventory.clone(),
                inventory: changed.after.clone(),
                change,
                attempt,
                cause: changed.cause,
                at: now,
                recorded: recorded(request.keyed, &changed, ahead),
            };
            match self
                .write_waitlist(tenant, request, &changed, &change)
                .await?
            {
                Ok(()) => return Ok(Some((changed.entry, ahead))),
                Err(StepError::Lost(_)) => sent = Some(changed),
                // Another host may write an account's first row at the same time.
                Err(StepError::Conflict | StepError::Exists(_)) => {}
                Err(error) if error.is_any_guard(&[STALE_INVENTORY, STALE_ACCOUNT]) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StepError::Conflict.into())
    }

    /// Writes one change of a list, within what an account without a confirmed address may wait for.
    async fn write_waitlist(
        &self,
        tenant: &TenantId,
        request: WaitlistRequest<'_>,
        changed: &WaitlistChange,
        change: &InventoryChange,
    ) -> Result<std::result::Result<(), StepError>> {
        let (repository, entry) = (&self.offer_maker.repository, &changed.entry);
        if !changed.joins() {
            return Ok(repository.leave(tenant, change, entry).await);
        }
        let account = match request.customer.is_unconfirmed {
            true => {
                let customer = request.customer.id;
                let mut account = repository.unconfirmed(tenant, customer).await?;
                unconfirmed::count(&mut account, entry.event, entry.tickets())?;
                Some(account)
            }
            false => None,
        };
        Ok(repository
            .join(tenant, change, entry, account.as_ref())
            .await)
    }
}

/// What is recorded under the Idempotency-Key of a request, if it has one.
fn recorded(
    keyed: Option<&KeyedRequest>,
    changed: &WaitlistChange,
    ahead: u64,
) -> Vec<RecordedRequest> {
    let answer = || match changed.joins() {
        true => RecordedAnswer::Place(Box::new(WaitlistPlace::Waiting {
            entry: changed.entry.clone(),
            ahead,
        })),
        false => RecordedAnswer::Done,
    };
    let recorded = keyed.map(|one| one.recorded(answer()));
    recorded.into_iter().collect()
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
fn can_wait(inventory: &Inventory, (lines, has): (&[BookLine], u32), now: Timestamp) -> Result<()> {
    let wanted = Wanted {
        lines,
        unit_prices_minor: None,
        expected_total_minor: None,
        is_complimentary: false,
    };
    match order(inventory, &wanted, now) {
        Ok(_) => Err(Error::new(
            ErrorCode::TicketsAvailable,
            "There are enough tickets: book or hold them.",
        )),
        Err(error) if error.code() == ErrorCode::NotEnoughTickets => {
            can_ever_get(inventory, lines)?;
            // Whoever has all that one customer may have would only keep others behind them waiting.
            let wanted = lines.iter().map(|line| line.quantity).sum();
            require_within_customer_limit(inventory, (has, wanted), false)
        }
        Err(error) => Err(error),
    }
}

/// Refuses more tickets than there are, and more than one customer may have. Asked last, so that nobody learns a capacity beyond what one
/// booking may have.
fn can_ever_get(inventory: &Inventory, lines: &[BookLine]) -> Result<()> {
    let rule = "The event does not have that many tickets, so waiting is useless.";
    for (index, line) in lines.iter().enumerate() {
        let kind = line.ticket_type_of(index, &inventory.ticket_types)?;
        if line.quantity > kind.capacity.min(inventory.total) {
            return Err(Error::field(format!("lines[{index}].quantity"), rule));
        }
    }
    let wanted: u32 = lines.iter().map(|line| line.quantity).sum();
    if wanted > inventory.total {
        return Err(Error::field("lines", rule));
    }
    match inventory.max_tickets_per_customer {
        Some(max) if wanted > max => Err(Error::field(
            match lines.len() {
                1 => "lines[0].quantity",
                _ => "lines",
            },
            format!(
                "One customer may have at most {max} tickets of this event, so waiting is useless."
            ),
        )),
        _ => Ok(()),
    }
}

fn not_waiting(event: EventId) -> Error {
    Error::new(
        ErrorCode::NotFound,
        format!("You are not on the waiting list of event `{event}`."),
    )
}
