//! Waiting lists, resizings, passing time and crashes, and the comparison of the engine with the model.

use std::time::Duration;

use boxoffice_engine::{
    BookingStatus, Caller, ErrorCode, JoinWaitlist, NewTicketType, PageRequest, UpdateEvent,
    WaitlistPlace, ports::Clock as _,
};
use boxoffice_tests::{Patience, wait_for};
use proptest::{prelude::*, test_runner::TestCaseError};

use super::{
    Run,
    model::{Carries, HoldIs, ModelEntry, ModelHold, total},
    world::ticket_type,
};

impl Run<'_> {
    /// What became free is offered to who waits: in the model, and then the engine must have done the same.
    pub(super) async fn offer(&mut self) -> Result<(), TestCaseError> {
        for offer in self.model.offers() {
            let customer = &self.world.customers[offer.customer];
            let waitlist = self.world.engine().waitlist();
            let place = waitlist.place(customer, self.event.id).await;
            let Ok(WaitlistPlace::Offered(hold)) = place else {
                return Err(TestCaseError::fail(format!(
                    "{offer:?} was to be offered: {place:?}"
                )));
            };
            let quantity = |kind: &boxoffice_engine::TicketType| {
                let mut lines = hold.lines.iter();
                let line = lines.find(|line| line.ticket_type == kind.id);
                line.map_or(0, |line| line.quantity)
            };
            let held: Vec<u32> = self.event.ticket_types.iter().map(quantity).collect();
            prop_assert_eq!(held, offer.quantities);
            self.model.holds.push(ModelHold {
                id: hold.id,
                customer: offer.customer,
                quantities: offer.quantities,
                carries: Carries::default(),
                expires_at: hold.expires_at,
                is_extended: false,
                is_offer: true,
                state: HoldIs::Held,
            });
        }
        Ok(())
    }

    pub(super) async fn join(
        &mut self,
        customer: usize,
        quantities: [u32; 2],
    ) -> Result<(), TestCaseError> {
        let command = JoinWaitlist::new(self.event.id, self.lines(quantities));
        let waitlist = self.world.engine().waitlist();
        let joined = waitlist
            .join(&self.world.customers[customer], command)
            .await;
        let joined = match joined {
            Ok(WaitlistPlace::Waiting { ahead, .. }) => Ok(ahead),
            Ok(other) => return Err(TestCaseError::fail(format!("joined, and is {other:?}"))),
            Err(error) => Err(error.code()),
        };
        let mut waiting = self.model.waiting.iter();
        let expected = match waiting.position(|entry| entry.customer == customer) {
            Some(place) if self.model.waiting[place].quantities == quantities => Ok(place as u64),
            Some(_) => Err(ErrorCode::AlreadyWaiting),
            None => {
                let model = &self.model;
                let in_vain = (0..2).any(|kind| quantities[kind] > model.capacities[kind])
                    || total(quantities) > model.total;
                match model.order(quantities) {
                    Err(ErrorCode::NotEnoughTickets) if in_vain => Err(ErrorCode::FieldInvalid),
                    Err(ErrorCode::NotEnoughTickets) => {
                        let entry = ModelEntry {
                            customer,
                            quantities,
                        };
                        self.model.waiting.push(entry);
                        Ok(self.model.waiting.len() as u64 - 1)
                    }
                    Err(code) => Err(code),
                    Ok(()) => Err(ErrorCode::TicketsAvailable),
                }
            }
        };
        prop_assert_eq!(joined, expected);
        Ok(())
    }

    pub(super) async fn leave(&mut self, customer: usize) -> Result<(), TestCaseError> {
        let waitlist = self.world.engine().waitlist();
        let caller = &self.world.customers[customer];
        let left = waitlist.leave(caller, self.event.id).await;
        let mut waiting = self.model.waiting.iter();
        let expected = match waiting.position(|entry| entry.customer == customer) {
            Some(place) => {
                self.model.waiting.remove(place);
                Ok(())
            }
            None => Err(ErrorCode::NotFound),
        };
        prop_assert_eq!(left.map_err(|error| error.code()), expected);
        Ok(())
    }

    pub(super) async fn resize(
        &mut self,
        capacities: [u32; 2],
        wanted: Option<u32>,
    ) -> Result<(), TestCaseError> {
        let wanted = wanted.map(|wanted| wanted.min(total(capacities)));
        let types = self.event.ticket_types.iter().zip(capacities);
        let ticket_types = types.map(|(kind, capacity)| NewTicketType {
            id: Some(kind.id.clone()),
            ..ticket_type(kind.name.as_str(), capacity)
        });
        let events = self.world.engine().events();
        let now = events.show(&self.world.organizer, self.event.id).await;
        let now = now.expect("the event is there").event;
        let command = UpdateEvent {
            event: now.id,
            expected_version: now.version,
            details: now.details,
            status: boxoffice_engine::EventStatus::Published,
            ticket_types: ticket_types.collect(),
            total_tickets: wanted,
            cancellation_terms: now.cancellation_terms,
            max_tickets_per_customer: now.max_tickets_per_customer,
            notify_customers: Some(false),
        };
        let resized = events.update(&self.world.organizer, command).await;
        let (taken, new_total) = (self.model.taken(), wanted.unwrap_or(total(capacities)));
        let mut is_other = false;
        let short = (0..2).any(|kind| capacities[kind] < taken[kind]) || new_total < total(taken);
        let expected = if self.model.is_off {
            Err(ErrorCode::EventCancelled)
        } else if short {
            Err(ErrorCode::CapacityBelowSold)
        } else {
            is_other = (self.model.capacities, self.model.total) != (capacities, new_total);
            (self.model.capacities, self.model.total) = (capacities, new_total);
            Ok(())
        };
        prop_assert_eq!(resized.map(drop).map_err(|error| error.code()), expected);
        if is_other {
            self.offer().await?;
        }
        Ok(())
    }

    /// Lets time pass, and waits until every hold that is due then has ended.
    pub(super) async fn pass(&mut self, time: Duration) -> Result<(), TestCaseError> {
        self.world.clock.advance(time);
        let now = self.world.clock.now();
        let mut has_expired = false;
        for hold in &mut self.model.holds {
            if hold.state == HoldIs::Held && hold.expires_at <= now {
                hold.state = HoldIs::Expired;
                has_expired = true;
            }
        }
        if !has_expired {
            return Ok(());
        }
        // All that are due end in one step; either less is held then, or fewer wait.
        let mut after = self.model.clone();
        let offered: u32 = after
            .offers()
            .iter()
            .map(|offer| total(offer.quantities))
            .sum();
        let expected = (total(after.held()) + offered, after.waiting.len());
        let events = self.world.engine().events();
        wait_for(Patience::WORK, "due holds to end", || async {
            let seen = events.show(&self.world.organizer, self.event.id).await;
            let seen = seen.expect("the event is there").event;
            ((seen.tickets_held, seen.waiting as usize) == expected).then_some(())
        })
        .await;
        self.offer().await
    }

    /// Compares what the event says of itself with the model.
    pub(super) async fn compare(&self) -> Result<(), TestCaseError> {
        let events = self.world.engine().events();
        let seen = events.show(&self.world.organizer, self.event.id).await;
        let seen = seen.expect("the event is there").event;
        let of_types = |count: fn(&boxoffice_engine::TicketType) -> u32| -> Vec<u32> {
            seen.ticket_types.iter().map(count).collect()
        };
        let (sold, held) = (self.model.sold(), self.model.held());
        prop_assert_eq!(of_types(|kind| kind.capacity), self.model.capacities);
        prop_assert_eq!(of_types(|kind| kind.sold), sold);
        prop_assert_eq!(of_types(|kind| kind.held), held);
        let counters = (seen.total_tickets, seen.tickets_sold, seen.tickets_held);
        prop_assert_eq!(counters, (self.model.total, total(sold), total(held)));
        prop_assert_eq!(seen.waiting as usize, self.model.waiting.len());
        prop_assert!(total(sold) + total(held) <= seen.total_tickets);
        if !self.model.is_off {
            self.compare_money().await?;
        }
        self.verify().await.map(drop)
    }

    /// Recomputes the event's counters from its books. Returns the cursor behind it.
    pub(super) async fn verify(&self) -> Result<Option<String>, TestCaseError> {
        let page = PageRequest {
            cursor: self.world.verified.clone(),
            limit: 100,
        };
        let operators = self.world.engine().operators();
        let verified = operators.verify(&Caller::operator(), page).await;
        let mut behind = None;
        for verdict in verified.expect("verdicts").items {
            prop_assert_eq!(verdict.difference, None, "event {}", verdict.event);
            behind = Some(format!("{}/{}", verdict.tenant, verdict.event));
        }
        Ok(behind)
    }

    /// Compares the list of bookings with the model.
    pub(super) async fn close(&mut self) -> Result<(), TestCaseError> {
        let engine = self.world.engine().clone();
        let page = PageRequest {
            cursor: None,
            limit: 100,
        };
        let listed = engine
            .bookings()
            .list_of_event(&self.world.organizer, self.event.id, None, page)
            .await;
        let mut listed: Vec<_> = listed
            .expect("a list")
            .items
            .into_iter()
            .map(|booking| {
                let is_cancelled = booking.status == BookingStatus::Cancelled;
                let amounts = [
                    booking.paid_minor(),
                    booking.cancelled_minor(),
                    booking.refund_minor(),
                ];
                (booking.id, is_cancelled, booking.tickets(), amounts)
            })
            .collect();
        let off = self.model.is_off;
        let known = self.model.bookings.iter();
        let mut known: Vec<_> = known
            .map(|booking| {
                let is_cancelled = booking.is_cancelled || off;
                let amounts = booking.amounts(off);
                (booking.id, is_cancelled, total(booking.quantities), amounts)
            })
            .collect();
        listed.sort();
        known.sort();
        prop_assert_eq!(listed, known);
        self.world.compare_feed(self.event.id).await;
        self.compare_carried().await?;
        self.world.verified = self.verify().await?;
        Ok(())
    }
}
