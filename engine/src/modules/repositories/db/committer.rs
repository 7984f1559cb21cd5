//! The committer: steps of several tenants, events and deliveries that share a transaction.
//!
//! A transaction costs nearly the same for one step as for many, and a synced one holds up whoever waits for it. So steps
//! that arrive while transactions are being written go into the next one together. A merged transaction that fails is
//! tried again in halves, until the step that makes it fail stands alone: each step is answered as if it were alone.
//!
//! An optimisation only: what a step may rely on are its guards. Called by the database handle.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Mutex,
    time::{Duration, Instant},
};

use surrealdb::types::RecordId;
use tokio::sync::oneshot;

use super::{Db, Script, StepError, pause_after_conflict};
use crate::{locked::Locked as _, types::TenantId};

/// Transactions at a time: one is prepared while another is synced.
const IN_FLIGHT_MAX: usize = 2;
/// Transactions at a time to a server, whose answers take a round trip.
const IN_FLIGHT_REMOTE_MAX: usize = 8;
/// Rows of a transaction of several steps. A full group of bookings has about 500, and rates hardly grow beyond.
const ROWS_MAX: usize = 1_024;
/// How long a tenant's steps go alone after one of them made a merged transaction fail.
const ALONE_FOR: Duration = Duration::from_secs(1);
/// Tenants that go alone at a time; beyond it those whose time is over are forgotten.
const ALONE_MAX: usize = 1_024;
/// Conflicts of an ordered step before its owner hears of it; with the pauses some seconds.
const CONFLICTS_MAX: u32 = 64;

/// What else a step may want.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::modules::repositories) enum Order {
    /// It may be written before steps that came earlier.
    Any,
    /// It is written after all such steps that came earlier, and repeated after a conflict.
    Arrival,
}

#[derive(Default)]
pub(super) struct Committer {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// No longer than its owners: groups of events, and batches in hand.
    waiting: VecDeque<Waiting>,
    in_flight: usize,
    /// Records that transactions in flight guard.
    guarded: HashSet<RecordId>,
    /// Whether a transaction in flight has steps in order of arrival.
    has_ordered: bool,
    /// Until when each of these tenants' steps go alone.
    alone: HashMap<TenantId, Instant>,
    /// Whether the last transaction began with such a step.
    was_alone: bool,
}

struct Waiting {
    tenant: TenantId,
    script: Script,
    order: Order,
    answer: oneshot::Sender<Result<(), StepError>>,
}

impl Db {
    /// Writes a step in one transaction, perhaps with others. The step has parts of rows alone. It is in line when this
    /// returns, and is written even if nobody waits for the outcome.
    pub(in crate::modules::repositories) fn commit(
        &self,
        tenant: &TenantId,
        script: Script,
        order: Order,
    ) -> impl Future<Output = Result<(), StepError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let is_slot_free = {
            let mut line = self.committer.line.locked();
            line.waiting.push_back(Waiting {
                tenant: tenant.clone(),
                script,
                order,
                answer,
            });
            line.in_flight < self.in_flight_max()
        };
        if is_slot_free {
            // A task of its own: its owner may be gone before it is written.
            let db = self.clone();
            tokio::spawn(async move { db.write_line().await });
        }
        async move {
            let lost = |_| StepError::Lost("the committer ended without an answer".into());
            answered.await.map_err(lost)?
        }
    }

    fn in_flight_max(&self) -> usize {
        match self.is_remote() {
            true => IN_FLIGHT_REMOTE_MAX,
            false => IN_FLIGHT_MAX,
        }
    }

    /// Writes what waits, until nothing does or others write as many transactions as are allowed.
    async fn write_line(&self) {
        while let Some((group, _flight)) = Flight::begin(&self.committer, self.in_flight_max()) {
            self.write_together(group).await;
        }
    }

    async fn write_together(&self, group: Vec<Waiting>) {
        let mut groups = vec![group];
        let mut conflicts = 0;
        while let Some(mut group) = groups.pop() {
            match self.run(script_of(&mut group)).await {
                Ok(_) => group.into_iter().for_each(|waiting| waiting.tell(Ok(()))),
                // Nobody knows whether they were written, so that none can be tried again.
                Err(StepError::Lost(source)) => {
                    let reason = source.to_string();
                    for waiting in group {
                        waiting.tell(Err(StepError::Lost(reason.clone().into())));
                    }
                }
                Err(error) if group.len() == 1 => {
                    let Some(waiting) = group.pop() else { continue };
                    let is_repeated = waiting.order == Order::Arrival
                        && matches!(error, StepError::Conflict)
                        && conflicts < CONFLICTS_MAX;
                    if is_repeated {
                        pause_after_conflict(conflicts).await;
                        conflicts += 1;
                        groups.push(vec![waiting]);
                    } else {
                        self.committer.note_failed(&waiting.tenant);
                        waiting.tell(Err(error));
                    }
                }
                Err(_) => {
                    let second = group.split_off(group.len() / 2);
                    // The first half is written first, to keep the order of arrival.
                    groups.extend([second, group]);
                }
            }
        }
    }
}

/// The script that writes a group. The steps keep theirs, if the group can be tried again.
fn script_of(group: &mut [Waiting]) -> Script {
    match group {
        [only] if only.order == Order::Any => std::mem::take(&mut only.script),
        [only] => only.script.clone(),
        all => Script::merged(all.iter().map(|waiting| waiting.script.clone())),
    }
}

impl Committer {
    fn note_failed(&self, tenant: &TenantId) {
        let mut line = self.line.locked();
        let now = Instant::now();
        if line.alone.len() >= ALONE_MAX {
            line.alone.retain(|_, until| *until > now);
        }
        if line.alone.len() < ALONE_MAX {
            line.alone.insert(tenant.clone(), now + ALONE_FOR);
        }
    }
}

impl Waiting {
    fn tell(self, outcome: Result<(), StepError>) {
        // Its owner may be gone.
        let _ = self.answer.send(outcome);
    }
}

impl Line {
    /// Takes the steps of the next transaction. Steps that go alone take turns with those that share.
    fn next_group(&mut self) -> Vec<Waiting> {
        let kinds = match self.was_alone {
            true => [false, true],
            false => [true, false],
        };
        for may_be_alone in kinds {
            let group = self.take_group(may_be_alone);
            if !group.is_empty() {
                return group;
            }
        }
        Vec::new()
    }

    /// Takes steps in order of arrival. Those that guard what a transaction in flight guards wait for it, because one of both
    /// would fail.
    fn take_group(&mut self, may_be_alone: bool) -> Vec<Waiting> {
        let now = Instant::now();
        let (mut group, mut left) = (Vec::new(), VecDeque::new());
        let (mut rows, mut is_full) = (0, false);
        let mut is_ordered_held_back = self.has_ordered;
        for waiting in std::mem::take(&mut self.waiting) {
            let until = self.alone.get(&waiting.tenant);
            let is_alone = until.is_some_and(|until| *until > now);
            let is_ordered = waiting.order == Order::Arrival;
            let more = waiting.script.rows();
            let fits = match group.is_empty() {
                true => may_be_alone || !is_alone,
                false => !is_full && !is_alone && rows + more <= ROWS_MAX,
            };
            let is_blocked = (is_ordered && is_ordered_held_back)
                || waiting.script.guarded().any(|id| self.guarded.contains(id));
            if !fits || is_blocked {
                is_ordered_held_back |= is_ordered;
                left.push_back(waiting);
                continue;
            }
            rows += more;
            is_full = is_alone;
            self.has_ordered |= is_ordered;
            self.was_alone = is_alone;
            self.guarded.extend(waiting.script.guarded().cloned());
            group.push(waiting);
        }
        self.waiting = left;
        group
    }
}

/// A transaction in flight. Dropped, also by a panic, it makes room for the next one.
struct Flight<'a> {
    committer: &'a Committer,
    guarded: Vec<RecordId>,
    has_ordered: bool,
}

impl<'a> Flight<'a> {
    fn begin(committer: &'a Committer, in_flight_max: usize) -> Option<(Vec<Waiting>, Self)> {
        let mut line = committer.line.locked();
        if line.in_flight >= in_flight_max {
            return None;
        }
        let group = line.next_group();
        if group.is_empty() {
            return None;
        }
        line.in_flight += 1;
        let scripts = group.iter().map(|waiting| &waiting.script);
        let flight = Self {
            committer,
            guarded: scripts.flat_map(Script::guarded).cloned().collect(),
            has_ordered: group.iter().any(|waiting| waiting.order == Order::Arrival),
        };
        Some((group, flight))
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut line = self.committer.line.locked();
        line.in_flight -= 1;
        for id in &self.guarded {
            line.guarded.remove(id);
        }
        if self.has_ordered {
            line.has_ordered = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use futures::future::join_all;
    use surrealdb::types::SurrealValue;

    use super::*;
    use crate::{counters::Counters, settings::Store};

    const STALE: &str = "stale";

    #[derive(SurrealValue)]
    struct Thing {
        id: RecordId,
        revision: i64,
    }

    fn tenant(name: &str) -> TenantId {
        TenantId::trusted(name)
    }

    fn key(number: i64) -> RecordId {
        RecordId::new("thing", number)
    }

    fn thing(number: i64, revision: i64) -> Thing {
        let id = key(number);
        Thing { id, revision }
    }

    fn inserting(number: i64) -> Script {
        let mut script = Script::transaction(&tenant("north"));
        script.insert("thing", [thing(number, 1)]);
        script
    }

    /// Moves a thing from one revision to the next.
    fn moving(number: i64, seen: i64) -> Script {
        let mut script = Script::transaction(&tenant("north"));
        script.replace_if(key(number), seen, thing(number, seen + 1), STALE);
        script
    }

    struct Fixture {
        db: Db,
        counters: Arc<Counters>,
    }

    impl Fixture {
        async fn new() -> Self {
            let counters = Arc::new(Counters::default());
            let db = Db::open(&Store::Memory, counters.clone()).await.unwrap();
            Self { db, counters }
        }

        fn commits(&self) -> u64 {
            self.counters.read().store_commits
        }

        async fn commit_all(
            &self,
            steps: impl IntoIterator<Item = (&'static str, Script)>,
        ) -> Vec<Result<(), StepError>> {
            let steps = steps.into_iter();
            // All are in line before the first is written.
            let written: Vec<_> = steps
                .map(|(name, script)| self.db.commit(&tenant(name), script, Order::Any))
                .collect();
            join_all(written).await
        }

        async fn things(&self) -> Vec<(i64, i64)> {
            let mut script = Script::of(&tenant("north"));
            let index = script.push("SELECT id.id() AS number, revision FROM thing");
            let mut answers = self.db.run(script).await.unwrap();
            #[derive(SurrealValue)]
            struct Found {
                number: i64,
                revision: i64,
            }
            let found: Vec<Found> = answers.rows(index).unwrap();
            found
                .into_iter()
                .map(|one| (one.number, one.revision))
                .collect()
        }
    }

    #[tokio::test]
    async fn steps_in_line_share_a_transaction() {
        let fixture = Fixture::new().await;
        let outcomes = fixture.commit_all((0..20).map(|number| ("north", inserting(number))));
        assert!(outcomes.await.iter().all(Result::is_ok));
        assert_eq!(fixture.commits(), 1);
        assert_eq!(fixture.things().await.len(), 20);
        let outcomes = fixture.commit_all((0..20).map(|number| ("south", moving(number, 1))));
        assert!(outcomes.await.iter().all(Result::is_ok));
        assert_eq!(fixture.commits(), 2);
        assert!(
            fixture
                .things()
                .await
                .iter()
                .all(|(_, revision)| *revision == 2)
        );
    }

    #[tokio::test]
    async fn each_step_is_answered_as_if_it_were_alone() {
        let fixture = Fixture::new().await;
        fixture.db.run(inserting(3)).await.unwrap();
        let steps = (0..10).map(|number| match number {
            7 => ("north", moving(3, 9)),
            _ => ("north", inserting(number)),
        });
        let outcomes = fixture.commit_all(steps).await;
        for (number, outcome) in outcomes.iter().enumerate() {
            match number {
                3 => assert!(matches!(outcome, Err(StepError::Exists(_))), "{outcome:?}"),
                7 => assert!(outcome.as_ref().is_err_and(|error| error.is_guard(STALE))),
                _ => assert!(outcome.is_ok(), "{number}: {outcome:?}"),
            }
        }
        let written: BTreeSet<i64> = fixture.things().await.iter().map(|one| one.0).collect();
        assert_eq!(written, (0..10).filter(|number| *number != 7).collect());
    }

    #[tokio::test]
    async fn of_two_steps_on_one_record_the_second_sees_the_first() {
        let fixture = Fixture::new().await;
        fixture.db.run(inserting(1)).await.unwrap();
        let steps = [moving(1, 1), moving(1, 1), moving(1, 2)];
        let outcomes = fixture.commit_all(steps.map(|step| ("north", step))).await;
        assert!(outcomes[0].is_ok());
        assert!(
            outcomes[1]
                .as_ref()
                .is_err_and(|error| error.is_guard(STALE))
        );
        assert!(outcomes[2].is_ok());
        assert_eq!(fixture.things().await, [(1, 3)]);
    }

    #[tokio::test]
    async fn a_tenant_whose_step_failed_goes_alone_and_others_share() {
        let fixture = Fixture::new().await;
        let failed = fixture.commit_all([("bad", moving(1, 1))]).await;
        assert!(failed[0].is_err());
        let before = fixture.commits();
        let steps = (0..12).map(|number| match number % 3 {
            0 => ("bad", inserting(number)),
            _ => ("good", inserting(number)),
        });
        let outcomes = fixture.commit_all(steps).await;
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(
            fixture.commits() - before,
            4 + 1,
            "four alone, and one for all others"
        );
    }

    #[tokio::test]
    async fn steps_in_order_of_arrival_are_never_written_out_of_it() {
        let fixture = Fixture::new().await;
        fixture.db.run(inserting(0)).await.unwrap();
        let mut written = Vec::new();
        for revision in 1..=40 {
            let (step, other) = (moving(0, revision), inserting(revision));
            written.push(fixture.db.commit(&tenant("north"), step, Order::Arrival));
            let mut ordered = inserting(1_000 + revision);
            ordered.require_version(key(999), 0, STALE);
            written.push(fixture.db.commit(&tenant("north"), ordered, Order::Arrival));
            drop(fixture.db.commit(&tenant("south"), other, Order::Any));
        }
        for outcome in join_all(written).await {
            outcome.unwrap();
        }
        let things = fixture.things().await;
        assert_eq!(things[0], (0, 41));
        assert_eq!(things.len(), 81, "also those that nobody waited for");
    }
}
