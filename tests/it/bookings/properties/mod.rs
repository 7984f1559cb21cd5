//! Goal: whatever is asked of the booking core in whatever order, its counters and answers are those of a model that fits
//! a screen, and its books can be recomputed.
//!
//! Method: random sequences of bookings, duplicates, holds, confirmations, whole and partial cancellations, waiting lists, resizings,
//! passing time and crashes (the engine is dropped and opened again on its folder), each on an event of its own, compared with the
//! model and verified after every step. A sequence that fails is shrunk, and its seed is
//! kept in `failures.seeds` and tried first from then on.

mod model;
mod world;

use std::{sync::Mutex, time::Duration};

use boxoffice_engine::{
    BookLine, BookTickets, BookingStatus, Caller, CancelTickets, ErrorCode, Event, HoldTickets,
    IdempotencyKey, JoinWaitlist, NewTicketType, PageRequest, UpdateEvent, WaitlistPlace,
    ports::Clock as _,
};
use boxoffice_tests::{Patience, is_long_run, wait_for};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner},
};

use model::{CUSTOMERS_SHARE, HoldIs, Model, ModelBooking, ModelEntry, ModelHold, PRICE, total};
use world::{Context, HOLD_LASTS, ticket_type};

const CUSTOMERS: usize = 5;

/// Something that is asked of the engine and of the model.
#[derive(Debug, Clone)]
enum Step {
    Book {
        customer: usize,
        quantities: [u32; 2],
        /// One of few, so that they come again, with the same request or another.
        key: Option<u8>,
    },
    Hold {
        customer: usize,
        quantities: [u32; 2],
    },
    Confirm(usize),
    Extend(usize),
    Release(usize),
    Cancel(usize),
    CancelSome {
        index: usize,
        quantities: [u32; 2],
        by_customer: bool,
    },
    Join {
        customer: usize,
        quantities: [u32; 2],
    },
    Leave(usize),
    Resize {
        capacities: [u32; 2],
        total: Option<u32>,
    },
    Pass(Duration),
    CancelEvent,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let quantities = || [0..4_u32, 0..3_u32];
    let step = prop_oneof![
        6 => (0..CUSTOMERS, quantities(), proptest::option::weighted(0.4, 0..3_u8))
            .prop_map(|(customer, quantities, key)| Step::Book { customer, quantities, key }),
        5 => (0..CUSTOMERS, quantities())
            .prop_map(|(customer, quantities)| Step::Hold { customer, quantities }),
        4 => any::<usize>().prop_map(Step::Confirm),
        2 => any::<usize>().prop_map(Step::Extend),
        2 => any::<usize>().prop_map(Step::Release),
        3 => any::<usize>().prop_map(Step::Cancel),
        4 => (any::<usize>(), quantities(), any::<bool>()).prop_map(
            |(index, quantities, by_customer)| Step::CancelSome { index, quantities, by_customer }
        ),
        5 => (0..CUSTOMERS, quantities())
            .prop_map(|(customer, quantities)| Step::Join { customer, quantities }),
        1 => (0..CUSTOMERS).prop_map(Step::Leave),
        2 => ([1..9_u32, 1..7_u32], proptest::option::of(1..14_u32))
            .prop_map(|(capacities, total)| Step::Resize { capacities, total }),
        2 => (0..900_u64).prop_map(|seconds| Step::Pass(Duration::from_secs(seconds))),
        1 => prop_oneof![3 => Just(Step::Crash), 1 => Just(Step::CancelEvent)],
    ];
    vec(step, 1..40)
}

/// One sequence: the engine and the model side by side.
struct Run<'a> {
    world: &'a mut Context,
    model: Model,
    event: Event,
}

impl Run<'_> {
    fn lines(&self, quantities: [u32; 2]) -> Vec<BookLine> {
        let types = self.event.ticket_types.iter().zip(quantities);
        types
            .filter(|(_, quantity)| *quantity > 0)
            .map(|(kind, quantity)| BookLine {
                ticket_type: Some(kind.id.clone()),
                quantity,
            })
            .collect()
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step.clone() {
            Step::Book {
                customer,
                quantities,
                key,
            } => self.book(customer, at_least_one(quantities), key).await?,
            Step::Hold {
                customer,
                quantities,
            } => self.hold(customer, at_least_one(quantities)).await?,
            Step::Confirm(index) => self.confirm(index).await?,
            Step::Extend(index) => self.extend(index).await?,
            Step::Release(index) => self.release(index).await?,
            Step::Cancel(index) => self.cancel(index).await?,
            Step::CancelSome {
                index,
                quantities,
                by_customer,
            } => {
                let quantities = at_least_one(quantities);
                self.cancel_some(index, quantities, by_customer).await?;
            }
            Step::Join {
                customer,
                quantities,
            } => self.join(customer, at_least_one(quantities)).await?,
            Step::Leave(customer) => self.leave(customer).await?,
            Step::Resize { capacities, total } => self.resize(capacities, total).await?,
            Step::Pass(time) => self.pass(time).await?,
            Step::CancelEvent => {
                let events = self.world.engine().events();
                let off = events
                    .cancel(&self.world.organizer, self.event.id, None)
                    .await;
                prop_assert!(off.is_ok(), "{off:?}");
                self.model.is_off = true;
            }
            Step::Crash => self.world.crash().await,
        }
        self.compare().await
    }

    async fn book(
        &mut self,
        customer: usize,
        quantities: [u32; 2],
        key: Option<u8>,
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
            Some((first, id)) if *first == quantities => prop_assert_eq!(booked, Ok(*id)),
            Some(_) => prop_assert_eq!(booked, Err(ErrorCode::IdempotencyKeyReused)),
            None => {
                let expected = self.model.order(quantities);
                prop_assert_eq!(booked.map(drop), expected);
                if let Ok(id) = booked {
                    self.model.bookings.push(ModelBooking::new(id, quantities));
                    if let Some(key) = key {
                        self.model.keys.insert((customer, key), (quantities, id));
                    }
                }
            }
        }
        Ok(())
    }

    async fn hold(&mut self, customer: usize, quantities: [u32; 2]) -> Result<(), TestCaseError> {
        let command = HoldTickets {
            lines: self.lines(quantities),
            ..HoldTickets::general(self.event.id, 1)
        };
        let holds = self.world.engine().holds();
        let held = holds
            .hold_tickets(&self.world.customers[customer], command)
            .await;
        let held = held.map_err(|error| error.code());
        let expected = if self.model.has_open_hold(customer) {
            Err(ErrorCode::HoldExists)
        } else {
            self.model.order(quantities)
        };
        prop_assert_eq!(held.as_ref().map(drop).map_err(|code| *code), expected);
        if let Ok(hold) = held {
            self.model.holds.push(ModelHold {
                id: hold.id,
                customer,
                quantities,
                expires_at: hold.expires_at,
                is_extended: false,
                is_offer: false,
                state: HoldIs::Held,
            });
        }
        Ok(())
    }

    /// One of the holds there ever were, and its customer.
    fn any_hold(&self, index: usize) -> Option<(usize, ModelHold, Caller)> {
        let index = index.checked_rem(self.model.holds.len())?;
        let hold = self.model.holds[index].clone();
        let customer = self.world.customers[hold.customer].clone();
        Some((index, hold, customer))
    }

    async fn confirm(&mut self, index: usize) -> Result<(), TestCaseError> {
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
                let booking = ModelBooking::new(hold.id.booking(), hold.quantities);
                self.model.bookings.push(booking);
                Ok(hold.id.booking())
            }
        };
        prop_assert_eq!(confirmed, expected);
        Ok(())
    }

    async fn extend(&mut self, index: usize) -> Result<(), TestCaseError> {
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

    async fn release(&mut self, index: usize) -> Result<(), TestCaseError> {
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

    async fn cancel(&mut self, index: usize) -> Result<(), TestCaseError> {
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

    /// What became free is offered to who waits: in the model, and then the engine must have done the same.
    async fn offer(&mut self) -> Result<(), TestCaseError> {
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
                expires_at: hold.expires_at,
                is_extended: false,
                is_offer: true,
                state: HoldIs::Held,
            });
        }
        Ok(())
    }

    async fn join(&mut self, customer: usize, quantities: [u32; 2]) -> Result<(), TestCaseError> {
        let command = JoinWaitlist {
            event: self.event.id,
            lines: self.lines(quantities),
        };
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

    async fn leave(&mut self, customer: usize) -> Result<(), TestCaseError> {
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

    async fn cancel_some(
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
        let expected = if self.model.is_off || booking.is_cancelled {
            Err(ErrorCode::BookingCancelled)
        } else if too_many {
            Err(ErrorCode::FieldInvalid)
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

    async fn resize(
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
        let now = now.expect("the event is there");
        let command = UpdateEvent {
            event: now.id,
            expected_version: now.version,
            details: now.details,
            status: boxoffice_engine::EventStatus::Published,
            ticket_types: ticket_types.collect(),
            total_tickets: wanted,
            cancellation_terms: now.cancellation_terms,
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
    async fn pass(&mut self, time: Duration) -> Result<(), TestCaseError> {
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
            let seen = seen.expect("the event is there");
            ((seen.tickets_held, seen.waiting as usize) == expected).then_some(())
        })
        .await;
        self.offer().await
    }

    /// Compares what the event says of itself with the model.
    async fn compare(&self) -> Result<(), TestCaseError> {
        let events = self.world.engine().events();
        let seen = events.show(&self.world.organizer, self.event.id).await;
        let seen = seen.expect("the event is there");
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
        self.verify().await.map(drop)
    }

    /// Recomputes the event's counters from its books. Returns the cursor behind it.
    async fn verify(&self) -> Result<Option<String>, TestCaseError> {
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
    async fn close(&mut self) -> Result<(), TestCaseError> {
        let engine = self.world.engine().clone();
        let page = PageRequest {
            cursor: None,
            limit: 100,
        };
        let listed = engine
            .bookings()
            .list_of_event(&self.world.organizer, self.event.id, page)
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
        self.world.verified = self.verify().await?;
        Ok(())
    }
}

fn at_least_one(quantities: [u32; 2]) -> [u32; 2] {
    if total(quantities) == 0 {
        [1, 0]
    } else {
        quantities
    }
}

#[test]
fn random_sequences_end_as_in_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .thread_stack_size(10 * 1024 * 1024)
        .build()
        .expect("a runtime");
    let config = Config {
        cases: if is_long_run() { 2_000 } else { 24 },
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "it/properties/failures.seeds",
        ))),
        // Every try takes a good part of a second.
        max_shrink_iters: 300,
        ..Config::default()
    };
    let world = Mutex::new(runtime.block_on(Context::make()));
    let outcome = TestRunner::new(config).run(&steps(), |steps| {
        let mut world = world
            .lock()
            .expect("a failing case panics outside of the lock");
        runtime.block_on(async {
            let model = Model {
                capacities: [6, 4],
                total: 9,
                ..Model::default()
            };
            let event = world.event(&model).await;
            let mut run = Run {
                world: &mut world,
                model,
                event,
            };
            for step in &steps {
                run.take(step).await?;
            }
            run.close().await
        })
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
