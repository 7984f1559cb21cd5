//! Goal: whatever is asked of the booking core in whatever order, its counters and answers are those of a model that fits
//! a screen, and its books can be recomputed.
//!
//! Method: random sequences of bookings, duplicates, holds, confirmations, payments, transfers, whole and partial cancellations, waiting
//! lists, resizings, passing time and crashes, with codes whose uses a policy counts and with answers (the engine is dropped and opened again on its folder), each on an event of its own, compared with the
//! model and verified after every step. BOXOFFICE_SEED=N plays the same sequences again. One that fails is shrunk, and kept in
//! `failures.seeds`, whose sequences are tried first.

mod carried;
mod course;
mod model;
mod tickets;
mod world;

use std::{sync::Mutex, time::Duration};

use boxoffice_engine::Event;
use boxoffice_tests::{is_long_run, seed};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{
        Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestRng, TestRunner,
    },
};

use model::{Carries, Model, total};
use world::Context;

const CUSTOMERS: usize = 5;

/// Something that is asked of the engine and of the model.
#[derive(Debug, Clone)]
enum Step {
    Book {
        customer: usize,
        quantities: [u32; 2],
        /// One of few, so that they come again, with the same request or another.
        key: Option<u8>,
        carries: Carries,
    },
    Hold {
        customer: usize,
        quantities: [u32; 2],
        carries: Carries,
    },
    Confirm(usize),
    Pay(usize),
    Extend(usize),
    Release(usize),
    Transfer {
        index: usize,
        kind: usize,
        to: usize,
    },
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
    let carries = || {
        let answer = proptest::option::weighted(0.3, any::<bool>());
        (any::<bool>(), answer).prop_map(|(has_code, answer)| Carries { has_code, answer })
    };
    let step = prop_oneof![
        6 => (0..CUSTOMERS, quantities(), proptest::option::weighted(0.4, 0..3_u8), carries())
            .prop_map(|(customer, quantities, key, carries)| {
                Step::Book { customer, quantities, key, carries }
            }),
        5 => (0..CUSTOMERS, quantities(), carries())
            .prop_map(|(customer, quantities, carries)| Step::Hold { customer, quantities, carries }),
        3 => any::<usize>().prop_map(Step::Confirm),
        3 => any::<usize>().prop_map(Step::Pay),
        2 => any::<usize>().prop_map(Step::Extend),
        2 => any::<usize>().prop_map(Step::Release),
        4 => (any::<usize>(), 0..2_usize, 0..CUSTOMERS)
            .prop_map(|(index, kind, to)| Step::Transfer { index, kind, to }),
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
    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step.clone() {
            Step::Book {
                customer,
                quantities,
                key,
                carries,
            } => {
                let quantities = at_least_one(quantities);
                self.book(customer, quantities, key, carries).await?;
            }
            Step::Hold {
                customer,
                quantities,
                carries,
            } => {
                let quantities = at_least_one(quantities);
                self.hold(customer, quantities, carries).await?;
            }
            Step::Confirm(index) => self.confirm(index).await?,
            Step::Pay(index) => self.pay(index).await?,
            Step::Extend(index) => self.extend(index).await?,
            Step::Release(index) => self.release(index).await?,
            Step::Transfer { index, kind, to } => self.transfer(index, kind, to).await?,
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
            "it/bookings/properties/failures.seeds",
        ))),
        // Every try takes a good part of a second.
        max_shrink_iters: 300,
        ..Config::default()
    };
    let world = Mutex::new(runtime.block_on(Context::make()));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed().to_le_bytes());
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let outcome = TestRunner::new_with_rng(config, random).run(&steps(), |steps| {
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
