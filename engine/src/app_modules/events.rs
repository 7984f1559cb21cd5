//! Use cases of events, with their permissions. Those of their teams are in `events/team.rs`.
//!
//! Called by hosts and platforms. Calls the events module.

mod team;

use std::{collections::HashMap, sync::Arc};

use serde_json::json;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{EventAsRead, keyed},
    types::{
        Availability, Caller, CloneEvent, CreateEvent, Event, EventChange, EventFilter, EventId,
        EventStatus, NewTicketType, Page, PageRequest, RecordedAnswer, Reference, RequestRoute,
        Role, Scope, SeenCounts, SeenEvent, ShownAvailability, StoredEvent, TeamRole, TenantId,
        UpdateEvent, UserId,
    },
};

/// Attempts to add a type to an event that others change at the same time. Few are enough, because organizers are few.
const ADD_TRIES_MAX: u32 = 32;

/// Use cases of events.
#[derive(Clone)]
pub struct Events(pub(crate) Arc<EngineContext>);

impl Events {
    /// Creates an event. The acting organizer owns it.
    ///
    /// # Errors
    /// `forbidden` for customers and staff, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn create(&self, caller: &Caller, command: CreateEvent) -> Result<Event> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        caller.require_any(
            &[Role::Owner, Role::Organizer],
            "Only organizers and owners may create events.",
        )?;
        command.validate()?;
        let modules = &self.0.modules;
        let tenant = modules.tenants.get(caller.tenant()?).await?;
        let request = keyed(caller, RequestRoute::Events, None, &json!(command));
        let (request, organizer) = (request.as_ref(), caller.user_id());
        let created = modules.events.create(&tenant, organizer, command, request);
        let idempotency = &modules.idempotency;
        idempotency
            .once(&tenant.id, request, RecordedAnswer::event, created)
            .await
    }

    /// Shows an event: published and cancelled ones to everybody, drafts to those who may change them. Its counts are for those who
    /// manage it.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn show(&self, caller: &Caller, event: EventId) -> Result<SeenEvent> {
        let (event, counts) = self.seen(caller, event).await?;
        Ok(event.seen_with(counts))
    }

    /// An event, and which of its counts the caller sees.
    async fn seen(&self, caller: &Caller, event: EventId) -> Result<(Event, SeenCounts)> {
        let found = self
            .0
            .visible_event(&*caller.scoped(Scope::EventsRead)?, event)
            .await?;
        let counts = self.0.seen_counts(caller, event, found.organizer).await?;
        Ok((found, counts))
    }

    /// Shows the event with a reference to those who may see it.
    ///
    /// # Errors
    /// `not-found`, also for a draft that the caller may not see.
    pub async fn show_by_reference(
        &self,
        caller: &Caller,
        reference: &Reference,
    ) -> Result<SeenEvent> {
        let none = || Error::not_found("event", reference);
        let events = &self.0.modules.events;
        let found = events.with_reference(caller.tenant()?, reference).await?;
        let shown = self.show(caller, found.ok_or_else(none)?).await;
        shown.map_err(|error| match error.code() {
            ErrorCode::NotFound => none(),
            _ => error,
        })
    }

    /// Shows what is left of an event and what can be booked now, before policies are asked, to those who may see the event.
    ///
    /// # Errors
    /// `not-found`.
    pub async fn availability(&self, caller: &Caller, event: EventId) -> Result<Availability> {
        let (event, counts) = self.seen(caller, event).await?;
        let shown = self.0.shown_availability(caller.tenant()?).await?;
        Ok(event.availability(self.0.context.now(), counts, shown))
    }

    /// Makes a draft of an event at another time, for those who may change it. The acting organizer owns it.
    ///
    /// # Errors
    /// `not-found`, also for a draft that the caller may not see; `forbidden`, `field-invalid`.
    pub async fn clone_event(&self, caller: &Caller, command: CloneEvent) -> Result<Event> {
        let event = self.show_to_manager(caller, command.event).await?;
        self.create(caller, command.of(&event)?).await
    }

    /// Shows an event to those who may change it, as the base of a change.
    ///
    /// # Errors
    /// `not-found`, also for a draft that the caller may not see; `forbidden`.
    pub async fn show_to_manager(&self, caller: &Caller, event: EventId) -> Result<Event> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        let read = self.read_managed(caller, event).await?;
        Ok(read.into_event())
    }

    /// Lists the events that pass a filter and that the caller may see. Their counts are for those who manage them.
    ///
    /// # Errors
    /// `not-found` for an unknown tenant, `field-invalid` for a broken cursor, or for an order that cannot be combined with a time.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: EventFilter,
        page: PageRequest,
    ) -> Result<Page<SeenEvent>> {
        let scoped = &caller.scoped(Scope::EventsRead)?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        let (events, shown) = (&self.0.modules.events, tenant.settings.shown_availability);
        let teams: HashMap<EventId, TeamRole> = match (caller.role(), caller.user_id()) {
            (Role::Customer | Role::Staff | Role::Organizer, Some(user)) => {
                let teams = events.teams_of(&tenant.id, user).await?.into_iter();
                teams.map(|member| (member.event, member.role)).collect()
            }
            _ => HashMap::new(),
        };
        let sees = |event: &StoredEvent, status| {
            sees(scoped, status, event.organizer) || teams.contains_key(&event.id)
        };
        let page = events.list(&tenant.id, &filter, &page, sees).await?;
        Ok(page.map(|event| {
            let role = teams.get(&event.id).copied();
            let counts = counts_of(caller, event.organizer, role);
            event.seen_with(counts.unwrap_or(SeenCounts::Public(shown)))
        }))
    }

    /// Replaces an event, and notifies customers if the change concerns them.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `version-mismatch`, `field-invalid`, `capacity-below-sold`, `event-has-bookings`,
    /// `event-cancelled`, `conflict-try-again`.
    pub async fn update(&self, caller: &Caller, command: UpdateEvent) -> Result<EventChange> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        caller.require_signed_in()?;
        let read = self.read_managed(caller, command.event).await?;
        command.validate()?;
        let modules = &self.0.modules;
        let tenant = modules.tenants.get(caller.tenant()?).await?;
        modules.events.update(&tenant, read, command, None).await
    }

    /// Adds a ticket type to an event; it is the last in the returned event. The event's total grows with it, unless the
    /// organizer set a lower one.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `event-cancelled`, `conflict-try-again`, `idempotency-key-reused`.
    pub async fn add_ticket_type(
        &self,
        caller: &Caller,
        event: EventId,
        ticket_type: NewTicketType,
    ) -> Result<EventChange> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        let mut read = Some(self.read_managed(caller, event).await?);
        let modules = &self.0.modules;
        let tenant = modules.tenants.get(caller.tenant()?).await?;
        let canonical = json!([event, ticket_type]);
        let request = keyed(caller, RequestRoute::TicketTypes, None, &canonical);
        let request = request.as_ref();
        // On the heap, because this is a large future.
        let adding = Box::pin(async {
            for _ in 0..ADD_TRIES_MAX {
                let read = match read.take() {
                    Some(read) => read,
                    None => self.0.read_visible(caller, event).await?,
                };
                let mut update = UpdateEvent::of(&read.clone().into_event());
                update.ticket_types.push(ticket_type.clone());
                update.validate()?;
                match modules.events.update(&tenant, read, update, request).await {
                    // Somebody changed the event meanwhile: add the type to the new version.
                    Err(refusal) if refusal.code() == ErrorCode::VersionMismatch => {}
                    other => return other,
                }
            }
            Err(Error::new(
                ErrorCode::ConflictTryAgain,
                "The event is being changed by others; try again.",
            ))
        });
        let idempotency = &modules.idempotency;
        idempotency
            .once(&tenant.id, request, RecordedAnswer::event_change, adding)
            .await
    }

    /// Cancels an event: bookings end, customers are notified, updates that were not sent are dropped.
    /// With an `expected_version`, another version is refused. Cancelling again returns the event unchanged.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `version-mismatch`, `conflict-try-again`.
    pub async fn cancel(
        &self,
        caller: &Caller,
        event: EventId,
        expected_version: Option<u64>,
    ) -> Result<EventChange> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        let read = self.read_managed(caller, event).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let canonical = json!([event, expected_version]);
        let request = keyed(caller, RequestRoute::EventCancellations, None, &canonical);
        let request = request.as_ref();
        let events = &modules.events;
        let cancelled = events.cancel(tenant, read, expected_version, request);
        let idempotency = &modules.idempotency;
        idempotency
            .once(tenant, request, RecordedAnswer::event_change, cancelled)
            .await
    }

    /// Deletes an event that nobody ever booked.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `version-mismatch`, `event-has-bookings`, `conflict-try-again`.
    pub async fn delete(
        &self,
        caller: &Caller,
        event: EventId,
        expected_version: u64,
    ) -> Result<()> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        let read = self.read_managed(caller, event).await?;
        let (events, tenant) = (&self.0.modules.events, caller.tenant()?);
        events.delete(tenant, read, expected_version).await
    }

    /// An event that the caller may change; what they may not even see is not there.
    async fn read_managed(&self, caller: &Caller, event: EventId) -> Result<EventAsRead> {
        caller.require_signed_in()?;
        let read = self.0.read_visible(caller, event).await?;
        let organizer = read.organizer();
        self.0.require_manager(caller, event, organizer).await?;
        Ok(read)
    }
}

impl EngineContext {
    /// An event that the caller may see. For everybody else a draft does not exist.
    ///
    /// # Errors
    /// `not-found`.
    pub(super) async fn visible_event(&self, caller: &Caller, event: EventId) -> Result<Event> {
        let read = self.read_visible(caller, event).await?;
        Ok(read.into_event())
    }

    async fn read_visible(&self, caller: &Caller, event: EventId) -> Result<EventAsRead> {
        let none = || Error::not_found("event", event);
        let read = self.modules.events.read(caller.tenant()?, event).await?;
        let read = read.ok_or_else(none)?;
        let is_seen = sees(caller, read.status(), read.organizer())
            || self.team_role(caller, event).await?.is_some();
        is_seen.then_some(read).ok_or_else(none)
    }

    /// Returns whether a caller may see a customer. An organizer may see those who booked or waited for their events (the
    /// newest 100 of each). `managed` caches which events are theirs, for checks of many customers.
    pub(super) async fn sees_customer(
        &self,
        caller: &Caller,
        customer: UserId,
        managed: &mut HashMap<EventId, bool>,
    ) -> Result<bool> {
        if caller.role() != Role::Organizer {
            return Ok(true);
        }
        let (modules, tenant) = (&self.modules, caller.tenant()?);
        let events = modules.notifications.events_of_customer(tenant, customer);
        for event in events.await? {
            let manages = match managed.get(&event) {
                Some(manages) => *manages,
                None => {
                    let found = modules.events.find(tenant, event).await?;
                    let manages = match found {
                        Some(found) => self.manages(caller, event, found.organizer).await?,
                        None => false,
                    };
                    managed.insert(event, manages);
                    manages
                }
            };
            if manages {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A refusal as the caller may see it: without a draft that they may not see, and with the number of tickets that are left for
    /// those who see that.
    pub(super) async fn refusal_seen_by(
        &self,
        caller: &Caller,
        event: EventId,
        refusal: Error,
    ) -> Error {
        match refusal.code() {
            ErrorCode::NotEnoughTickets => match self.is_told_left(caller, event).await {
                Ok(true) => refusal.telling_left(),
                Ok(false) | Err(_) => refusal,
            },
            ErrorCode::EventNotPublished | ErrorCode::NotFound => {
                match self.visible_event(caller, event).await {
                    Ok(_) => refusal,
                    Err(hidden) => hidden,
                }
            }
            _ => refusal,
        }
    }

    /// Returns whether a refused caller is told how many tickets are left. A customer is not, even if they manage the event as one
    /// of its team: whoever comes too late would cost a read.
    async fn is_told_left(&self, caller: &Caller, event: EventId) -> Result<bool> {
        let tenant = caller.tenant()?;
        if self.shown_availability(tenant).await? == ShownAvailability::Exact {
            return Ok(true);
        }
        if matches!(caller.role(), Role::Anonymous | Role::Customer) {
            return Ok(false);
        }
        let Some(found) = self.modules.events.cached(tenant, event).await? else {
            return Ok(false);
        };
        let counts = self.seen_counts(caller, event, found.organizer).await?;
        Ok(counts.tells_left())
    }

    /// Which counts of an event a caller sees: all of them those who manage it, and programs that read sales.
    async fn seen_counts(
        &self,
        caller: &Caller,
        event: EventId,
        organizer: Option<UserId>,
    ) -> Result<SeenCounts> {
        let counts = match counts_of(caller, organizer, None) {
            None => {
                let role = self.team_role(caller, event).await?;
                counts_of(caller, organizer, role)
            }
            known => known,
        };
        match counts {
            Some(counts) => Ok(counts),
            None => {
                let shown = self.shown_availability(caller.tenant()?).await?;
                Ok(SeenCounts::Public(shown))
            }
        }
    }

    /// What a tenant shows to everybody, as it was at most a second ago.
    async fn shown_availability(&self, tenant: &TenantId) -> Result<ShownAvailability> {
        let tenant = self.modules.tenants.recent(tenant).await?;
        let shown = tenant.map(|tenant| tenant.settings.shown_availability);
        Ok(shown.unwrap_or_default())
    }
}

/// The counts of an event that a caller sees by their role in its team, their role, or the scopes of their key; `None` for what
/// everybody sees. Staff, and those who only check tickets in, are no managers.
fn counts_of(
    caller: &Caller,
    organizer: Option<UserId>,
    team: Option<TeamRole>,
) -> Option<SeenCounts> {
    let manages = caller.require_manager(organizer).is_ok()
        || team == Some(TeamRole::Manager)
        || caller.is_key_for_sales();
    manages.then_some(SeenCounts::All)
}

/// Whether a caller may see an event.
fn sees(caller: &Caller, status: EventStatus, organizer: Option<UserId>) -> bool {
    status != EventStatus::Draft
        || caller.require_manager(organizer).is_ok()
        || caller.role() == Role::Staff
}
