//! Use cases of check-ins, with their permissions.
//!
//! Called by hosts and platforms. Calls the check-ins, bookings, events and users modules, and the ticket codes port.

use std::{collections::BTreeSet, sync::Arc};

use jiff::tz::TimeZone;
use serde_json::json;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::{Admission, DoorListPage, keyed, read_with_event},
    types::{
        BookingId, Caller, CheckIn, DoorListEntry, Event, EventId, Label, ListedCheckIn, Page,
        PageRequest, RecordedAnswer, RequestRoute, Role, Scope, Ticket, TicketId, known_zone,
    },
};

/// Bookings of one read for a door list: some 500 KB.
const DOOR_LIST_READ_MAX: u32 = 1_000;

/// Use cases of check-ins.
#[derive(Clone)]
pub struct CheckIns(pub(crate) Arc<EngineContext>);

impl CheckIns {
    /// Checks a ticket in by its code; possible once. For the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `ticket-code-invalid`, `ticket-of-other-event`, `ticket-cancelled`, `ticket-transferred`,
    /// `already-checked-in` with time and name, `ticket-codes-off`, `conflict-try-again`.
    pub async fn check_in(
        &self,
        caller: &Caller,
        event: EventId,
        code: &str,
    ) -> Result<ListedCheckIn> {
        let caller = &caller.scoped(Scope::CheckIns)?;
        let event = self.at_the_door_of(caller, event).await?;
        let tenant = caller.tenant()?;
        let codes = self.0.ticket_codes.as_ref();
        let codes = codes.ok_or_else(|| {
            Error::new(
                ErrorCode::TicketCodesOff,
                "No keys for ticket codes are configured here.",
            )
        })?;
        let issued = codes.read(tenant, code.trim());
        let issued = issued.ok_or_else(no_code)?;
        if issued.ticket.booking.event() != event.id {
            return Err(Error::new(
                ErrorCode::TicketOfOtherEvent,
                "This ticket is valid, but for another event.",
            ));
        }
        let modules = &self.0.modules;
        let canonical = json!([event.id, issued.to_string()]);
        let request = keyed(caller, RequestRoute::CheckIns, None, &canonical);
        let request = request.as_ref();
        let by = caller.user_id();
        let let_in = async {
            let check_ins = &modules.check_ins;
            let came = check_ins.check_in(tenant, &event, issued, by, request);
            match came.await? {
                Admission::In(check_in) => Ok(check_in),
                Admission::InBefore(before) => {
                    let before = self.named_one(caller, before).await?;
                    Err(in_before(&event, &before))
                }
                Admission::Cancelled => Err(Error::new(
                    ErrorCode::TicketCancelled,
                    "This ticket was cancelled and admits nobody.",
                )),
                Admission::Transferred => Err(Error::new(
                    ErrorCode::TicketTransferred,
                    "This ticket was given to somebody else. Its owner has another code; this one admits nobody.",
                )),
                // The key is valid but the booking unknown: another installation has the same keys.
                Admission::Unknown => Err(no_code()),
            }
        };
        let idempotency = &modules.idempotency;
        let came = idempotency.once(tenant, request, RecordedAnswer::check_in, let_in);
        self.named_one(caller, came.await?).await
    }

    /// Shows the check-in of a ticket, to the event's organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also if the ticket is not checked in; `forbidden`.
    pub async fn show(&self, caller: &Caller, ticket: TicketId) -> Result<ListedCheckIn> {
        let caller = &caller.scoped(Scope::CheckIns)?;
        self.at_the_door_of(caller, ticket.booking.event()).await?;
        let check_ins = &self.0.modules.check_ins;
        let check_in = check_ins.show(caller.tenant()?, ticket).await?;
        let check_in = check_in.ok_or_else(|| Error::not_found("check-in", ticket))?;
        self.named_one(caller, check_in).await
    }

    /// Undoes a check-in, so the ticket is valid again, and returns the ticket. For the event's
    /// organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, also if the ticket is not checked in; `forbidden`, `conflict-try-again`.
    pub async fn undo(&self, caller: &Caller, event: EventId, ticket: TicketId) -> Result<Ticket> {
        let caller = &caller.scoped(Scope::CheckIns)?;
        let event = self.at_the_door_of(caller, event).await?;
        let none = || Error::not_found("check-in", ticket);
        if ticket.booking.event() != event.id {
            return Err(none());
        }
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let canonical = json!([event.id, ticket.to_string()]);
        let request = keyed(caller, RequestRoute::CheckInUndos, None, &canonical);
        let request = request.as_ref();
        let undo = async {
            let check_ins = &modules.check_ins;
            let undone = check_ins.undo(tenant, &event, ticket, request).await?;
            undone.ok_or_else(none)
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(tenant, request, RecordedAnswer::ticket, undo)
            .await
    }

    /// Lists an event's check-ins, in the order of customers, bookings and tickets. For its organizer, the tenant's
    /// owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<ListedCheckIn>> {
        let caller = &caller.scoped(Scope::CheckIns)?;
        let event = self.at_the_door_of(caller, event).await?;
        let check_ins = &self.0.modules.check_ins;
        let page = check_ins.list(caller.tenant()?, event.id, &page).await?;
        let listed = self.named(caller, page.items).await?;
        Ok(Page {
            items: listed,
            next: page.next,
        })
    }

    /// Lists an event's bookings with valid tickets for its door, in the order of the customers' names. Each page reads the
    /// event's bookings once. For its organizer, the tenant's owner and staff.
    ///
    /// # Errors
    /// `not-found`, `forbidden`, `field-invalid` for a broken cursor.
    pub async fn door_list(
        &self,
        caller: &Caller,
        event: EventId,
        page: PageRequest,
    ) -> Result<Page<DoorListEntry>> {
        let caller = &caller.scoped(Scope::CheckIns)?;
        let event = self.at_the_door_of(caller, event).await?;
        let (context, tenant) = (&self.0, caller.tenant()?);
        let after = page.position::<BookingId>()?;
        if after.is_some_and(|after| after.event() != event.id) {
            return Err(PageRequest::not_a_cursor());
        }
        let last = context.customers(tenant, after.map(BookingId::customer));
        let last = last.await?;
        let after = after.map(|after| (after, last.get(&after.customer())));
        let mut list = DoorListPage::new(&event, &page, after);
        let mut bookings = PageRequest {
            cursor: None,
            limit: DOOR_LIST_READ_MAX,
        };
        loop {
            let read = &context.modules.bookings;
            let read = read.list_of_event(tenant, event.id, &bookings).await?;
            let customers = read.items.iter().map(|booking| booking.customer);
            let customers = context.customers(tenant, customers).await?;
            for booking in read.items {
                let customer = customers.get(&booking.customer).cloned();
                let booking = read_with_event(booking, event.status, event.updated_at);
                list.add(&booking, customer);
            }
            match read.next {
                None => return Ok(list.finish()),
                next => bookings.cursor = next,
            }
        }
    }

    /// Lists a booking's tickets by number, for those who may see the booking. Only its customer and the
    /// tenant's own programs get the codes and the link to the tickets; of tickets that the customer gave to somebody else, programs
    /// alone.
    ///
    /// # Errors
    /// `not-found`, `field-invalid` for a broken cursor.
    pub async fn tickets(
        &self,
        caller: &Caller,
        booking: BookingId,
        page: PageRequest,
    ) -> Result<Page<Ticket>> {
        let caller = &caller.scoped(Scope::BookingsRead)?;
        caller.require_signed_in()?;
        let tenant = caller.tenant()?;
        let none = || Error::not_found("booking", booking);
        let modules = &self.0.modules;
        let found = modules.bookings.find(tenant, booking).await?;
        let event = modules.events.find(tenant, booking.event()).await?;
        let (found, event) = found.zip(event).ok_or_else(none)?;
        let own = self.0.is_own(caller, found.customer).await?;
        let organizer = event.organizer;
        let of = booking.event();
        if !own && !self.0.may_look_after(caller, of, organizer).await? {
            return Err(none());
        }
        let found = read_with_event(found, event.status, event.updated_at);
        let after: Option<TicketId> = page.position()?;
        if after.is_some_and(|after| after.booking != booking) {
            return Err(PageRequest::not_a_cursor());
        }
        // Whoever has a code comes in: no API key gets them, as no owner does.
        let is_platform = caller.role() == Role::Platform && caller.api_key_id().is_none();
        let first = after.map_or(0, |after| after.number).saturating_add(1);
        let tickets = (first..=found.numbers()).filter_map(|number| found.ticket(number));
        let tickets = tickets.take(page.limit as usize + 1).map(|ticket| {
            let number = ticket.id.number;
            let is_theirs = is_platform || found.owner_of(number) == found.customer;
            match (own || is_platform) && is_theirs {
                true => self.0.with_code(tenant, &found, ticket),
                false => ticket,
            }
        });
        Ok(page.cut(tickets.collect(), |ticket| ticket.id.to_string()))
    }

    /// The event, for those who may check in tickets.
    async fn at_the_door_of(&self, caller: &Caller, event: EventId) -> Result<Event> {
        caller.require_signed_in()?;
        let found = self.0.visible_event(caller, event).await?;
        let organizer = found.organizer;
        self.0
            .require_manager_or_staff(caller, event, organizer)
            .await?;
        Ok(found)
    }

    async fn named_one(&self, caller: &Caller, check_in: CheckIn) -> Result<ListedCheckIn> {
        let mut named = self.named(caller, vec![check_in]).await?;
        let named = named.pop();
        named.ok_or_else(|| Error::internal("a check-in lost its people"))
    }

    /// Check-ins with their people, read in one batch.
    async fn named(&self, caller: &Caller, check_ins: Vec<CheckIn>) -> Result<Vec<ListedCheckIn>> {
        let customers = check_ins.iter().map(CheckIn::customer);
        let staff = check_ins.iter().filter_map(|check_in| check_in.by);
        let tenant = caller.tenant()?;
        let people = self.0.customers(tenant, customers.chain(staff));
        let bookings = check_ins.iter().map(|check_in| check_in.ticket.booking);
        let bookings: BTreeSet<BookingId> = bookings.collect();
        let bookings: Vec<BookingId> = bookings.into_iter().collect();
        let bookings = self.0.modules.bookings.find_many(tenant, &bookings);
        let (people, bookings) = tokio::try_join!(people, bookings)?;
        let holder = |ticket: TicketId| {
            let booking = bookings.iter().find(|one| one.id == ticket.booking)?;
            booking.holder_of(ticket.number).cloned()
        };
        let named = check_ins.into_iter().map(|check_in| {
            let by = check_in.by.and_then(|by| people.get(&by));
            ListedCheckIn {
                customer: people.get(&check_in.customer()).cloned(),
                holder: holder(check_in.ticket),
                by_name: by.map(|person| person.name.clone()),
                check_in,
            }
        });
        Ok(named.collect())
    }
}

fn no_code() -> Error {
    let rule = "Unknown ticket code: scan the code again, or look the booking up by its customer.";
    Error::new(ErrorCode::TicketCodeInvalid, rule).at_field("code")
}

/// The error that says when, in the event's zone, and by whom the ticket was checked in.
fn in_before(event: &Event, before: &ListedCheckIn) -> Error {
    let zone = event.details.time_zone.as_str();
    let (zone, time_zone) = match known_zone(zone) {
        Some(time_zone) => (zone, time_zone),
        // Zones are checked in requests. If one was removed since then, the time is still shown.
        None => ("UTC", TimeZone::UTC),
    };
    let at = before.check_in.at.to_zoned(time_zone);
    let at = at.strftime("%Y-%m-%d %H:%M:%S");
    let by = before.by_name.as_ref().map_or("a program", Label::as_str);
    Error::new(
        ErrorCode::AlreadyCheckedIn,
        format!("This ticket was checked in at {at} ({zone}) by {by}."),
    )
}
