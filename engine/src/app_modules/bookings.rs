//! Booking tickets, seeing and cancelling bookings: who may, and in which order things are asked.
//!
//! Called by hosts and platforms. Calls the bookings and events modules and the policy port.

mod holds;

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::Duration,
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    Error, ErrorCode, Result,
    engine::Inner,
    modules::{Door, Placement, PolicyDecision, RequestedBooking, read_with_event},
    ports::{BookingView, CustomerView, Decision, EventView, LineView, TicketTypeView},
    types::{
        BookTickets, Booking, BookingId, Caller, CancelCause, Event, EventId, Page, PageRequest,
        Role, TenantId, TicketType,
    },
};

/// How often policies are asked about one request before it is given up: what they see may move each time.
const DECISIONS_MAX: u32 = 3;
/// A policy may raise a price to this many times the list price; anything above is taken for its mistake.
const PRICE_FACTOR_MAX: u64 = 10;

/// What came of asking the policies.
enum Asked {
    Decided(PolicyDecision),
    /// The same request was answered before.
    Recorded(Placement),
}

pub use holds::Holds;

/// Use cases around bookings.
#[derive(Clone)]
pub struct Bookings(pub(crate) Arc<Inner>);

impl Bookings {
    /// Books tickets for the acting user; once it answers, the booking and the mail it owes are on disk.
    ///
    /// # Errors
    /// `field-invalid`, `not-found`, `not-enough-tickets`, `event-not-published`, `event-cancelled`,
    /// `sales-not-open`, `sales-closed`, `price-changed`, `policy-rejected`, `policy-unavailable`,
    /// `idempotency-key-reused`, `conflict-try-again`, `event-busy`, `outcome-unknown`.
    pub async fn book_tickets(&self, caller: &Caller, command: BookTickets) -> Result<Booking> {
        let customer = caller.acting_user()?;
        let tenant = caller.tenant()?;
        command.validate()?;
        let idempotency = command
            .idempotency_key
            .clone()
            .map(|key| (key, request_hash(&command)));
        let request = RequestedBooking {
            customer,
            event: command.event,
            door: Door::Book,
            lines: command.lines,
            expected_total_minor: command.expected_total_minor,
            idempotency,
            decision: None,
        };
        match self.pass_gate(tenant, request).await? {
            Placement::Booked(booking) => Ok(booking),
            other => Err(Error::internal(format!("a booking ended as {other:?}"))),
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
        let none = || Error::not_found("event", event);
        let found = self
            .0
            .modules
            .events
            .find(tenant, event)
            .await?
            .ok_or_else(none)?;
        caller.require_manager_or_staff(found.organizer)?;
        let list = self
            .0
            .modules
            .bookings
            .list_of_event(tenant, event, &page)
            .await?;
        Ok(list.map(|booking| as_seen(booking, Some(&found))))
    }

    /// Cancels a booking, by its customer or the event's organizer; its tickets go back on sale at once.
    /// A booking that is cancelled already is answered as it is.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `conflict-try-again`.
    pub async fn cancel(&self, caller: &Caller, booking: BookingId) -> Result<Booking> {
        caller.require_signed_in()?;
        let (found, event) = self.find_visible(caller, booking).await?;
        let own = caller.user_id() == Some(found.customer);
        let cause = if own {
            CancelCause::Customer
        } else {
            CancelCause::Organizer
        };
        if !own {
            caller.require_manager(event.organizer)?;
        }
        self.0
            .modules
            .bookings
            .cancel(caller.tenant()?, booking, cause)
            .await
    }

    /// The gate that every door into a booking leads through: policies, then the guarded transaction, and again if what
    /// the policies saw has moved. A confirmation passes on the decision that its hold was made with.
    async fn pass_gate(
        &self,
        tenant: &TenantId,
        mut request: RequestedBooking,
    ) -> Result<Placement> {
        let is_decided_here = !matches!(request.door, Door::Confirm(_));
        for _ in 0..DECISIONS_MAX {
            if is_decided_here && !self.0.policies.is_empty() {
                match self.ask_policies(tenant, &request).await? {
                    Asked::Recorded(placement) => return Ok(placement),
                    Asked::Decided(decision) => request.decision = Some(decision),
                }
            }
            match self
                .0
                .modules
                .bookings
                .place(tenant, request.clone())
                .await?
            {
                Placement::DecideAgain => {}
                placement => return Ok(placement),
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "What the organizer's policy decides on kept changing; send the request again.",
        )
        .retry_after(Duration::from_secs(1)))
    }

    /// Asks every policy in order; each sees prices as the one before left them, and the first no stops.
    async fn ask_policies(&self, tenant: &TenantId, request: &RequestedBooking) -> Result<Asked> {
        let seen = self
            .0
            .modules
            .bookings
            .before_policies(tenant, request)
            .await?;
        if let Some(placement) = seen.recorded {
            return Ok(Asked::Recorded(placement));
        }
        let none = || Error::not_found("event", request.event);
        let inventory = seen.inventory.ok_or_else(none)?;
        let tickets_in_event = seen.tickets_in_event;
        let event = self
            .0
            .modules
            .events
            .find(tenant, request.event)
            .await?
            .ok_or_else(none)?;
        let mut view = BookingView {
            tenant: tenant.clone(),
            lines: list_prices(&event.ticket_types, request)?,
            customer: CustomerView {
                pseudonym: pseudonym(tenant, request),
                tickets_in_event,
            },
            event: event_view(&event),
            now: self.0.surroundings.now(),
        };
        let list_prices: Vec<u32> = view
            .lines
            .iter()
            .map(|line| line.unit_price_minor)
            .collect();
        for policy in &self.0.policies {
            match policy.validate_booking(&view).await {
                Ok(Decision::Accept) => {}
                Ok(Decision::Reject { code, reason }) => {
                    return Err(Error::new(ErrorCode::PolicyRejected, reason).policy_code(code));
                }
                Ok(Decision::Adjust {
                    unit_prices_minor, ..
                }) => adjust(&mut view, &list_prices, unit_prices_minor)?,
                Err(failure) => return Err(policy_unavailable(failure)),
            }
        }
        Ok(Asked::Decided(PolicyDecision {
            event_version: inventory.event_version,
            tickets_in_event,
            unit_prices_minor: view
                .lines
                .iter()
                .map(|line| line.unit_price_minor)
                .collect(),
        }))
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

/// A booking as its event makes it read.
fn as_seen(booking: Booking, event: Option<&Event>) -> Booking {
    match event {
        Some(event) => read_with_event(booking, event.status, event.updated_at),
        None => booking,
    }
}

/// What makes two requests the same: everything but the key itself.
fn request_hash(command: &BookTickets) -> String {
    let canonical = json!([command.event, command.lines, command.expected_total_minor]);
    let digest = Sha256::digest(canonical.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name for the customer that is the same within the tenant and says nothing outside it.
fn pseudonym(tenant: &TenantId, request: &RequestedBooking) -> String {
    let digest = Sha256::digest(format!("{tenant}/{}", request.customer).as_bytes());
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn event_view(event: &Event) -> EventView {
    EventView {
        id: event.id,
        version: event.version,
        title: event.details.title.to_string(),
        starts_at: event.details.starts_at,
        ends_at: event.details.ends_at,
        time_zone: event.details.time_zone.clone(),
        location: event.details.location.as_ref().map(ToString::to_string),
        currency: event.currency.clone(),
        ticket_types: event
            .ticket_types
            .iter()
            .map(|kind| TicketTypeView {
                id: kind.id.to_string(),
                name: kind.name.to_string(),
                price_minor: kind.price_minor,
            })
            .collect(),
    }
}

fn list_prices(types: &[TicketType], request: &RequestedBooking) -> Result<Vec<LineView>> {
    let line = |(index, line): (usize, &crate::types::BookLine)| {
        let kind = line.ticket_type_of(index, types)?;
        Ok(LineView {
            ticket_type: kind.id.to_string(),
            quantity: line.quantity,
            unit_price_minor: kind.price_minor,
        })
    };
    request.lines.iter().enumerate().map(line).collect()
}

/// Takes over a policy's prices, unless they cannot be meant.
fn adjust(view: &mut BookingView, list_prices: &[u32], unit_prices_minor: Vec<u32>) -> Result<()> {
    if unit_prices_minor.len() != view.lines.len() {
        return Err(policy_unavailable(crate::ports::HookFailure::Failed(
            format!(
                "{} prices for {} lines",
                unit_prices_minor.len(),
                view.lines.len()
            ),
        )));
    }
    for ((line, price), list_price) in view
        .lines
        .iter_mut()
        .zip(unit_prices_minor)
        .zip(list_prices)
    {
        if u64::from(price) > u64::from(*list_price) * PRICE_FACTOR_MAX {
            let failure =
                format!("a price of {price} is more than ten times the list price {list_price}");
            return Err(policy_unavailable(crate::ports::HookFailure::Failed(
                failure,
            )));
        }
        line.unit_price_minor = price;
    }
    Ok(())
}

fn policy_unavailable(failure: crate::ports::HookFailure) -> Error {
    Error::new(
        ErrorCode::PolicyUnavailable,
        "The organizer's policy gave no usable answer, so that nothing was booked; try again later.",
    )
    .retry_after(Duration::from_secs(10))
    .caused_by(failure)
}
