//! Bookings, holds and cancellations, asked of the engine and of the model.

use boxoffice_engine::{
    BookLine, BookTickets, BookingStatus, Caller, CancelTickets, EmailAddress, ErrorCode,
    HoldTickets, IdempotencyKey, Label, PageRequest, TicketStatus, TransferTicket,
};
use proptest::{prelude::*, test_runner::TestCaseError};

use super::{
    Run,
    carried::require_one,
    model::{CUSTOMERS_SHARE, Carries, HoldIs, ModelBooking, ModelHold, PRICE, total},
    world::{Context, HOLD_LASTS},
};

impl Run<'_> {
    pub(super) fn lines(&self, quantities: [u32; 2]) -> Vec<BookLine> {
        let types = self.event.ticket_types.iter().zip(quantities);
        types
            .filter(|(_, quantity)| *quantity > 0)
            .map(|(kind, quantity)| BookLine {
                ticket_type: Some(kind.id.clone()),
                quantity,
            })
            .collect()
    }

    pub(super) async fn book(
        &mut self,
        customer: usize,
        quantities: [u32; 2],
        key: Option<u8>,
        carries: Carries,
    ) -> Result<(), TestCaseError> {
        let idempotency_key = key.map(|key| {
            let text = format!("{}-{key}", self.event.id);
            IdempotencyKey::parse(&text).expect("visible ASCII")
        });
        let command = BookTickets {
            event: self.event.id,
            lines: self.lines(quantities),
            idempotency_key,
            expected_total_minor: Some(u64::from(total(quantities)) * PRICE),
            sell_to: None,
            details: self.details(carries),
        };
        let bookings = self.world.engine().bookings();
        let booked = bookings
            .book_tickets(&self.world.customers[customer], command)
            .await;
        let booked = booked
            .map(|booking| booking.id)
            .map_err(|error| error.code());
        let known = key.and_then(|key| self.model.keys.get(&(customer, key)));
        match known {
            Some((first, id)) if *first == (quantities, carries) => {
                prop_assert_eq!(booked, Ok(*id));
            }
            Some(_) => prop_assert_eq!(booked, Err(ErrorCode::IdempotencyKeyReused)),
            None => {
                let expected = self.model.refusals(quantities, carries);
                require_one(booked.map(drop), &expected)?;
                if let Ok(id) = booked {
                    let booking = ModelBooking::new(id, quantities, carries);
                    self.model.bookings.push(booking);
                    if let Some(key) = key {
                        let request = (quantities, carries);
                        self.model.keys.insert((customer, key), (request, id));
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) async fn hold(
        &mut self,
        customer: usize,
        quantities: [u32; 2],
        carries: Carries,
    ) -> Result<(), TestCaseError> {
        let command = HoldTickets {
            lines: self.lines(quantities),
            details: self.details(carries),
            ..HoldTickets::general(self.event.id, 1)
        };
        let holds = self.world.engine().holds();
        let held = holds
            .hold_tickets(&self.world.customers[customer], command)
            .await;
        let held = held.map_err(|error| error.code());
        let mut expected = self.model.refusals(quantities, carries);
        if self.model.has_open_hold(customer) {
            expected = vec![ErrorCode::HoldExists];
        }
        require_one(held.as_ref().map(drop).map_err(|code| *code), &expected)?;
        if let Ok(hold) = held {
            self.model.holds.push(ModelHold {
                id: hold.id,
                customer,
                quantities,
                carries,
                expires_at: hold.expires_at,
                is_extended: false,
                is_offer: false,
                state: HoldIs::Held,
            });
        }
        Ok(())
    }

    /// One of the holds there ever were, and its customer.
    pub(super) fn any_hold(&self, index: usize) -> Option<(usize, ModelHold, Caller)> {
        let index = index.checked_rem(self.model.holds.len())?;
        let hold = self.model.holds[index].clone();
        let customer = self.world.customers[hold.customer].clone();
        Some((index, hold, customer))
    }

    pub(super) async fn confirm(&mut self, index: usize) -> Result<(), TestCaseError> {
        let Some((index, hold, customer)) = self.any_hold(index) else {
            return Ok(());
        };
        let confirmed = self
            .world
            .engine()
            .holds()
            .confirm(&customer, hold.id)
            .await;
        let confirmed = confirmed
            .map(|booking| booking.id)
            .map_err(|error| error.code());
        let expected = match hold.state {
            HoldIs::Confirmed => Ok(hold.id.booking()),
            HoldIs::Released | HoldIs::Expired => Err(ErrorCode::HoldEnded),
            HoldIs::Held if self.model.is_off => Err(ErrorCode::EventCancelled),
            HoldIs::Held => {
                self.model.holds[index].state = HoldIs::Confirmed;
                let id = hold.id.booking();
                let booking = ModelBooking::new(id, hold.quantities, hold.carries);
                self.model.bookings.push(booking);
                Ok(hold.id.booking())
            }
        };
        prop_assert_eq!(confirmed, expected);
        Ok(())
    }

    pub(super) async fn extend(&mut self, index: usize) -> Result<(), TestCaseError> {
        let Some((index, hold, customer)) = self.any_hold(index) else {
            return Ok(());
        };
        let extended = self.world.engine().holds().extend(&customer, hold.id).await;
        let extended = extended
            .map(|hold| hold.expires_at)
            .map_err(|error| error.code());
        let expected = match hold.state {
            HoldIs::Held if hold.is_extended || hold.is_offer => {
                Err(ErrorCode::HoldAlreadyExtended)
            }
            HoldIs::Held => {
                let changed = &mut self.model.holds[index];
                changed.is_extended = true;
                changed.expires_at = changed.expires_at.checked_add(HOLD_LASTS).expect("soon");
                Ok(changed.expires_at)
            }
            _ => Err(ErrorCode::HoldEnded),
        };
        prop_assert_eq!(extended, expected);
        Ok(())
    }

    pub(super) async fn release(&mut self, index: usize) -> Result<(), TestCaseError> {
        let Some((index, hold, customer)) = self.any_hold(index) else {
            return Ok(());
        };
        let released = self
            .world
            .engine()
            .holds()
            .release(&customer, hold.id)
            .await;
        let expected = match hold.state {
            HoldIs::Confirmed => Err(ErrorCode::HoldEnded),
            HoldIs::Held => {
                self.model.holds[index].state = HoldIs::Released;
                Ok(())
            }
            HoldIs::Released | HoldIs::Expired => Ok(()),
        };
        prop_assert_eq!(released.map(drop).map_err(|error| error.code()), expected);
        if hold.state == HoldIs::Held {
            self.offer().await?;
        }
        Ok(())
    }

    /// Gives a ticket of a kind that its customer still has to one of the customers.
    pub(super) async fn transfer(
        &mut self,
        index: usize,
        kind: usize,
        to: usize,
    ) -> Result<(), TestCaseError> {
        let Some(index) = index.checked_rem(self.model.bookings.len()) else {
            return Ok(());
        };
        let booking = self.model.bookings[index].clone();
        let engine = self.world.engine();
        let page = PageRequest {
            cursor: None,
            limit: 100,
        };
        let tickets = engine.check_ins();
        let tickets = tickets.tickets(&self.world.organizer, booking.id, page);
        let tickets = tickets.await.expect("its tickets").items;
        let of_kind = &self.event.ticket_types[kind].id;
        let own = tickets.iter().find(|ticket| {
            ticket.ticket_type == *of_kind
                && ticket.status == TicketStatus::Valid
                && ticket.transferred_at.is_none()
        });
        let has_own = !self.model.is_off
            && !booking.is_cancelled
            && booking.quantities[kind] > booking.transferred[kind];
        prop_assert_eq!(own.is_some(), has_own);
        let Some(ticket) = own else {
            return Ok(());
        };
        let name = Context::NAMES[to];
        let command = TransferTicket {
            ticket: ticket.id,
            name: Label::parse("name", name).expect("a name"),
            email: EmailAddress::parse("email", &format!("{name}@north.test")).expect("an address"),
            answers: Default::default(),
        };
        let customer = Some(booking.id.customer());
        let mut customers = self.world.customers.iter();
        let customer = customers.find(|one| one.user_id() == customer);
        let customer = customer.expect("one of them booked");
        let is_self = customer.user_id() == self.world.customers[to].user_id();
        let given = engine.bookings().transfer_ticket(customer, command).await;
        let expected = match is_self {
            true => Err(ErrorCode::FieldInvalid),
            false => Ok(ticket.id),
        };
        let given = given.map(|ticket| ticket.id).map_err(|error| error.code());
        prop_assert_eq!(given, expected);
        self.model.bookings[index].transferred[kind] += u32::from(!is_self);
        Ok(())
    }

    pub(super) async fn cancel(&mut self, index: usize) -> Result<(), TestCaseError> {
        let Some(index) = index.checked_rem(self.model.bookings.len()) else {
            return Ok(());
        };
        let id = self.model.bookings[index].id;
        let bookings = self.world.engine().bookings();
        let cancelled = bookings.cancel(&self.world.organizer, id).await;
        let cancelled = cancelled.map(|booking| booking.status);
        prop_assert_eq!(
            cancelled.map_err(|error| error.code()),
            Ok(BookingStatus::Cancelled)
        );
        // With the event off, its counters stay as they were.
        let booking = &mut self.model.bookings[index];
        if !self.model.is_off && !booking.is_cancelled {
            booking.give_back(booking.quantities, 100);
            self.offer().await?;
        }
        Ok(())
    }

    pub(super) async fn cancel_some(
        &mut self,
        index: usize,
        quantities: [u32; 2],
        by_customer: bool,
    ) -> Result<(), TestCaseError> {
        let Some(index) = index.checked_rem(self.model.bookings.len()) else {
            return Ok(());
        };
        let booking = self.model.bookings[index].clone();
        let customer = Some(booking.id.customer());
        let mut customers = self.world.customers.iter();
        let (caller, percent) = match by_customer {
            true => {
                let own = customers.find(|one| one.user_id() == customer);
                (own.expect("one of them booked"), CUSTOMERS_SHARE)
            }
            false => (&self.world.organizer, 100),
        };
        let command = CancelTickets {
            lines: Some(self.lines(quantities)),
            ..CancelTickets::all(booking.id)
        };
        let bookings = self.world.engine().bookings();
        let cancelled = bookings.cancel_tickets(caller, command).await;
        let cancelled = cancelled
            .map(|booking| booking.refund_minor())
            .map_err(|error| error.code());
        let too_many = (0..2).any(|kind| quantities[kind] > booking.quantities[kind]);
        let own = |kind: usize| booking.quantities[kind] - booking.transferred[kind];
        let are_own = (0..2).all(|kind| quantities[kind] <= own(kind));
        let expected = if self.model.is_off || booking.is_cancelled {
            Err(ErrorCode::BookingCancelled)
        } else if too_many {
            Err(ErrorCode::FieldInvalid)
        } else if by_customer && !are_own {
            Err(ErrorCode::TicketTransferred)
        } else {
            let booking = &mut self.model.bookings[index];
            booking.give_back(quantities, percent);
            Ok(booking.due())
        };
        let is_free = expected.is_ok();
        prop_assert_eq!(cancelled, expected);
        if is_free {
            self.offer().await?;
        }
        Ok(())
    }
}
