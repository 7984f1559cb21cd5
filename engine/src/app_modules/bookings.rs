//! Use cases of bookings: permissions, and the order in which policies are asked.
//!
//! Called by hosts and platforms. Calls the bookings and events modules and the policy port.

mod holds;
mod waitlist;

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::Duration,
};

use serde_json::json;

use crate::{
    app_modules::policy_check::PolicyCheck,
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{
        BeforeCancelling, BookingIntent, CancelDecision, Placement, RequestedBooking,
        RequestedCancellation, keyed, read_with_event,
    },
    types::{
        BookTickets, Booking, BookingId, Caller, CancelCause, CancelTickets, Event, EventId, Page,
        PageRequest, PluginSet, RequestRoute, Role, TenantId, UserId,
    },
};

/// How often policies are asked about one request. Their input may become stale each time.
const DECISIONS_MAX: u32 = 3;

pub use holds::Holds;
pub use waitlist::Waitlist;

/// Use cases of bookings.
#[derive(Clone)]
pub struct Bookings(pub(crate) Arc<EngineContext>);

impl Bookings {
    /// Books tickets for the acting user. When it returns, the booking and its outbox entry are on disk.
    ///
    /// # Errors
    /// `field-invalid`, `email-unconfirmed`, `not-found`, `not-enough-tickets`, `event-not-published`, `event-cancelled`,
    /// `sales-not-open`, `sales-closed`, `price-changed`, `policy-rejected`, `policy-unavailable`,
    /// `policy-busy`, `policy-input-too-large`, `idempotency-key-reused`, `conflict-try-again`, `event-busy`, `outcome-unknown`.
    pub async fn book_tickets(&self, caller: &Caller, command: BookTickets) -> Result<Booking> {
        let customer = caller.acting_user()?;
        let tenant = caller.tenant()?;
        command.validate()?;
        self.0.require_may_take_tickets(caller).await?;
        let event = command.event;
        let request = requested(caller, customer, command, BookingIntent::Book);
        match self.check_policies(tenant, request).await {
            Ok(Placement::Booked(booking)) => Ok(booking),
            Ok(other) => Err(Error::internal(format!("a booking ended as {other:?}"))),
            Err(refusal) => Err(self.0.hide_draft(caller, event, refusal).await),
        }
    }

    /// Shows a booking to its customer, the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also for what the caller may not see.
    pub async fn show(&self, caller: &Caller, booking: BookingId) -> Result<Booking> {
        caller.require_signed_in()?;
        self.find_visible(caller, booking)
            .await
            .map(|(booking, _)| booking)
    }

    /// Lists the acting user's own bookings, newest first.
    ///
    /// # Errors
    /// `not-authenticated`, `field-invalid` for a broken cursor.
    pub async fn list_mine(&self, caller: &Caller, page: PageRequest) -> Result<Page<Booking>> {
        let customer = caller.acting_user()?;
        let tenant = caller.tenant()?;
        let list = self
            .0
            .modules
            .bookings
            .list_of_customer(tenant, customer, &page)
            .await?;
        let mut statuses = HashMap::new();
        for booking in &list.items {
            if let hash_map::Entry::Vacant(vacant) = statuses.entry(booking.event) {
                vacant.insert(self.0.modules.events.find(tenant, booking.event).await?);
            }
        }
        Ok(list.map(|booking| {
            let event = statuses.get(&booking.event).and_then(Option::as_ref);
            as_seen(booking, event)
        }))
    }

    /// Lists an event's bookings in customer order, for its organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list_of_event(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<Booking>> {
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let found = self.0.visible_event(caller, event).await?;
        caller.require_manager_or_staff(found.organizer)?;
        let list = self
            .0
            .modules
            .bookings
            .list_of_event(tenant, event, &page)
            .await?;
        Ok(list.map(|booking| as_seen(booking, Some(&found))))
    }

    /// Cancels a whole booking; see [`Bookings::cancel_tickets`]. A cancelled booking is returned unchanged.
    ///
    /// # Errors
    /// Those of `cancel_tickets` except `field-invalid` and `booking-cancelled`.
    pub async fn cancel(&self, caller: &Caller, booking: BookingId) -> Result<Booking> {
        self.cancel_tickets(caller, CancelTickets::all(booking))
            .await
    }

    /// Cancels all or some tickets of a booking: for its customer under the event's terms, if policies agree, or for the
    /// event's organizer with a full refund. The tickets are free at once. The returned booking has the
    /// refund; Boxoffice does not pay it out.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid`, `booking-cancelled`, `cancellation-closed`, `policy-rejected`,
    /// `policy-unavailable`, `policy-busy`, `policy-input-too-large`, `idempotency-key-reused`, `conflict-try-again`,
    /// `outcome-unknown`.
    pub async fn cancel_tickets(&self, caller: &Caller, command: CancelTickets) -> Result<Booking> {
        caller.require_signed_in()?;
        let (found, event) = self.find_visible(caller, command.booking).await?;
        let own = caller.user_id() == Some(found.customer);
        let cause = match own {
            true => CancelCause::Customer,
            false => CancelCause::Organizer,
        };
        if !own {
            caller.require_manager(event.organizer)?;
        }
        let tenant = caller.tenant()?;
        let canonical = json!([command.booking.to_string(), command.lines, command.tickets]);
        let (route, key) = (RequestRoute::Cancellations, command.idempotency_key);
        let request = RequestedCancellation {
            booking: command.booking,
            lines: command.lines,
            tickets: command.tickets,
            cause,
            idempotency: keyed(caller, route, key, &canonical),
        };
        if own {
            self.cancel_by_customer(tenant, request).await
        } else {
            let cancelled = self.0.modules.bookings.cancel(tenant, &request, None);
            cancelled.await?.ok_or_else(kept_changing)
        }
    }

    /// The path of all bookings: policies, then the guarded transaction, and again if the policies' input
    /// has become stale. A confirmation uses the decision of its hold. The hold of an offer has
    /// none, so policies decide now.
    async fn check_policies(
        &self,
        tenant: &TenantId,
        mut request: RequestedBooking,
    ) -> Result<Placement> {
        let plugins = &self.0.modules.plugins;
        let mut set = plugins.set(tenant).await?;
        // Finding out that it is an offer has used one attempt.
        for _ in 0..DECISIONS_MAX + u32::from(matches!(request.door, BookingIntent::Confirm(_))) {
            request.policy_version = set.version;
            request.decision = None;
            let is_decided_here = !matches!(request.door, BookingIntent::Confirm(_));
            let asks =
                !self.0.policies.is_empty() || set.policies_of(request.event).next().is_some();
            if is_decided_here && asks {
                match self.0.ask_about_booking(tenant, &request, &set).await {
                    Ok(PolicyCheck::Recorded(placement)) => return Ok(placement),
                    Ok(PolicyCheck::Decided(decision)) => request.decision = Some(decision),
                    Err(refusal) => match self.moved(tenant, &set, &refusal).await {
                        Some(moved) => {
                            set = moved;
                            continue;
                        }
                        None => return Err(self.rejected(tenant, &request, refusal).await),
                    },
                }
            }
            match self
                .0
                .modules
                .bookings
                .place(tenant, request.clone())
                .await?
            {
                Placement::PolicyStale => set = plugins.fresh_set(tenant).await?,
                Placement::Offered(hold) => request.door = BookingIntent::Accept(hold.id),
                placement => return Ok(placement),
            }
        }
        Err(kept_changing())
    }

    /// The current plugin set, if policies rejected under another one: only a rejection under the current set counts. For an
    /// acceptance the transaction checks this. A rejection writes nothing, so a host that never sells would not notice
    /// that another host removed the policy.
    async fn moved(
        &self,
        tenant: &TenantId,
        seen: &PluginSet,
        refusal: &Error,
    ) -> Option<Arc<PluginSet>> {
        let is_a_policys = matches!(
            refusal.code(),
            ErrorCode::PolicyRejected | ErrorCode::PolicyUnavailable
        );
        // Without plugins the platform's own policy rejected.
        if !is_a_policys || seen.plugins.is_empty() {
            return None;
        }
        let present = self.0.modules.plugins.fresh_set(tenant).await.ok()?;
        (present.version != seen.version).then_some(present)
    }

    /// Handles a rejection. The tickets of a rejected offer go to the next in the list.
    async fn rejected(
        &self,
        tenant: &TenantId,
        request: &RequestedBooking,
        refusal: Error,
    ) -> Error {
        if let BookingIntent::Accept(hold) = request.door
            && refusal.code() == ErrorCode::PolicyRejected
        {
            let bookings = &self.0.modules.bookings;
            let given_back = bookings.reject_offer(tenant, hold, refusal.detail());
            if let Err(error) = given_back.await {
                // It then ends at its time.
                tracing::warn!(%tenant, %hold, %error, "releasing a rejected offer failed");
            }
        }
        refusal
    }

    /// Cancels if the policies accept. Their input must not be stale when the cancellation is written.
    async fn cancel_by_customer(
        &self,
        tenant: &TenantId,
        request: RequestedCancellation,
    ) -> Result<Booking> {
        let (modules, event) = (&self.0.modules, request.booking.event());
        let mut set = modules.plugins.set(tenant).await?;
        for _ in 0..DECISIONS_MAX {
            let mut decision = CancelDecision {
                policy_version: set.version,
                seen: None,
            };
            if !self.0.policies.is_empty() || set.policies_of(event).next().is_some() {
                let (booking, lines, tickets) =
                    match modules.bookings.before_cancelling(tenant, &request).await? {
                        BeforeCancelling::Answered(booking) => return Ok(booking),
                        BeforeCancelling::Open {
                            booking,
                            lines,
                            tickets_in_event,
                        } => (booking, lines, tickets_in_event),
                    };
                let event = modules.events.find(tenant, event).await?;
                let event = event.ok_or_else(|| Error::not_found("event", booking.event))?;
                let asked = self.0.ask_about_cancellation(
                    tenant,
                    (&booking, &lines),
                    &event,
                    tickets,
                    &set,
                );
                if let Err(refusal) = asked.await {
                    set = self.moved(tenant, &set, &refusal).await.ok_or(refusal)?;
                    continue;
                }
                decision.seen = Some((event.version, tickets));
            }
            let cancelled = modules.bookings.cancel(tenant, &request, Some(decision));
            match cancelled.await? {
                Some(booking) => return Ok(booking),
                None => set = modules.plugins.fresh_set(tenant).await?,
            }
        }
        Err(kept_changing())
    }

    /// A booking with its event, for those who may see it.
    async fn find_visible(&self, caller: &Caller, id: BookingId) -> Result<(Booking, Event)> {
        let tenant = caller.tenant()?;
        let none = || Error::not_found("booking", id);
        let booking = self
            .0
            .modules
            .bookings
            .find(tenant, id)
            .await?
            .ok_or_else(none)?;
        let event = self
            .0
            .modules
            .events
            .find(tenant, id.event())
            .await?
            .ok_or_else(none)?;
        let own = caller.user_id() == Some(booking.customer) && caller.role() != Role::Anonymous;
        if !own && caller.require_manager_or_staff(event.organizer).is_err() {
            return Err(none());
        }
        Ok((as_seen(booking, Some(&event)), event))
    }
}

/// A booking with the state of its event.
fn as_seen(booking: Booking, event: Option<&Event>) -> Booking {
    match event {
        Some(event) => read_with_event(booking, event.status, event.updated_at),
        None => booking,
    }
}

/// A customer's request, as the policy check takes it.
fn requested(
    caller: &Caller,
    customer: UserId,
    command: BookTickets,
    door: BookingIntent,
) -> RequestedBooking {
    let canonical = json!([command.event, command.lines, command.expected_total_minor]);
    let route = match door {
        BookingIntent::Hold => RequestRoute::Holds,
        BookingIntent::Book | BookingIntent::Confirm(_) | BookingIntent::Accept(_) => {
            RequestRoute::Bookings
        }
    };
    RequestedBooking {
        customer,
        event: command.event,
        door,
        lines: command.lines,
        expected_total_minor: command.expected_total_minor,
        idempotency: keyed(caller, route, command.idempotency_key, &canonical),
        policy_version: 0,
        decision: None,
        is_unconfirmed: false,
        trace: None,
    }
}

fn kept_changing() -> Error {
    Error::new(
        ErrorCode::ConflictTryAgain,
        "The data for the organizer's policy kept changing; send the request again.",
    )
    .retry_after(Duration::from_secs(1))
}
