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

use super::{Db, Script, StepError};
use crate::{locked::Locked as _, types::TenantId};

/// Transactions at a time: one is prepared while another is synced.
const IN_FLIGHT_MAX: usize = 2;
/// Transactions at a time to a server, whose answers take a round trip.
const IN_FLIGHT_REMOTE_MAX: usize = 8;
/// Rows of a transaction of several steps. A full group of bookings has about 500, and rates hardly grow beyond.
const ROWS_MAX: usize = 1_024;
/// How long a tenant's steps go alone after one of them made a merged transaction fail.
const ALONE_FOR: Duration = Duration::from_secs(1);
/// Tenants that go alone at a time; beyond it no more are noted.
const ALONE_MAX: usize = 1_024;
/// How long a step waits for its turn. Those who wait for its outcome give up after 30 s.
const WAITING_MAX: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Committer {
    line: Mutex<Line>,
}

#[derive(Default)]
struct Line {
    /// No longer than its owners: one group of each event in sale, and one of deliveries.
    waiting: VecDeque<Waiting>,
    in_flight: usize,
    /// Records that transactions in flight write as guards.
    guarded: HashSet<RecordId>,
    /// Until when the steps of each of these tenants go alone.
    alone: HashMap<TenantId, Instant>,
    /// Whether the last transaction had such a step.
    was_alone: bool,
}

struct Waiting {
    tenant: Option<TenantId>,
    script: Script,
    since: Instant,
    answer: oneshot::Sender<Result<(), StepError>>,
}

impl Db {
    /// Writes a step in one transaction, perhaps with others. The step has rows alone. It is written even if nobody waits for the
    /// outcome. A step of several tenants names none.
    pub(in crate::modules::repositories) async fn commit(
        &self,
        tenant: Option<&TenantId>,
        mut script: Script,
    ) -> Result<(), StepError> {
        let tells = script.tells();
        script.seal();
        debug_assert!(script.has_rows_alone(), "text cannot be merged");
        let (answer, answered) = oneshot::channel();
        let is_slot_free = {
            let mut line = self.committer.line.locked();
            line.waiting.push_back(Waiting {
                tenant: tenant.cloned(),
                script,
                since: Instant::now(),
                answer,
            });
            line.in_flight < self.in_flight_max()
        };
        if is_slot_free {
            self.write_line();
        }
        let lost = |_| StepError::Lost("the committer ended without an answer".into());
        let outcome = answered.await.map_err(lost)?;
        if tells && matches!(outcome, Ok(()) | Err(StepError::Lost(_))) {
            self.changes_told.notify_one();
        }
        outcome
    }

    fn in_flight_max(&self) -> usize {
        match self.is_remote() {
            true => IN_FLIGHT_REMOTE_MAX,
            false => IN_FLIGHT_MAX,
        }
    }

    /// Starts a task that writes what waits, until nothing does or others write as many transactions as are allowed. A task of its
    /// own, because a step's owner may be gone before it is written.
    fn write_line(&self) {
        let db = self.clone();
        tokio::spawn(async move {
            while let Some((group, flight)) = Flight::begin(&db) {
                db.write_together(group).await;
                drop(flight);
            }
        });
    }

    async fn write_together(&self, group: Vec<Waiting>) {
        let is_merged = group.len() > 1;
        let mut groups = vec![group];
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
                Err(_) if group.len() > 1 => {
                    let second = group.split_off(group.len() / 2);
                    groups.extend([second, group]);
                }
                Err(error) => {
                    let Some(waiting) = group.pop() else { continue };
                    let is_culprit = is_merged && !matches!(error, StepError::Conflict);
                    if let (true, Some(tenant)) = (is_culprit, &waiting.tenant) {
                        self.committer.line.locked().note_failed(tenant);
                    }
                    waiting.tell(Err(error));
                }
            }
        }
    }
}

/// The script that writes a group. Steps of a merged one keep theirs, because they may be tried again.
fn script_of(group: &mut [Waiting]) -> Script {
    match group {
        [only] => std::mem::take(&mut only.script),
        all => Script::merged(all.iter().map(|waiting| waiting.script.clone())),
    }
}

impl Waiting {
    fn tell(self, outcome: Result<(), StepError>) {
        // Its owner may be gone.
        let _ = self.answer.send(outcome);
    }
}

impl Line {
    fn note_failed(&mut self, tenant: &TenantId) {
        let now = Instant::now();
        if self.alone.len() >= ALONE_MAX {
            self.alone.retain(|_, until| *until > now);
        }
        if self.alone.len() < ALONE_MAX {
            self.alone.insert(tenant.clone(), now + ALONE_FOR);
        }
    }

    fn goes_alone(&self, waiting: &Waiting, now: Instant) -> bool {
        let tenant = waiting.tenant.as_ref();
        let until = tenant.and_then(|tenant| self.alone.get(tenant));
        until.is_some_and(|until| *until > now)
    }

    /// Takes the steps of the next transaction. Steps that go alone take turns with those that share.
    fn next_group(&mut self) -> Vec<Waiting> {
        let now = Instant::now();
        while let Some(first) = self.waiting.front()
            && now.duration_since(first.since) > WAITING_MAX
            && let Some(late) = self.waiting.pop_front()
        {
            // It was not written, and its owner tries again as long as somebody waits.
            late.tell(Err(StepError::Conflict));
        }
        let kinds = match self.was_alone {
            true => [false, true],
            false => [true, false],
        };
        for may_be_alone in kinds {
            let group = self.take_group(may_be_alone, now);
            if !group.is_empty() {
                return group;
            }
        }
        Vec::new()
    }

    /// Takes steps in order of arrival. Those that write the same guarded record as a transaction in flight, or as another step
    /// of this one, wait for it, because one of both would fail.
    fn take_group(&mut self, may_be_alone: bool, now: Instant) -> Vec<Waiting> {
        let (mut group, mut left) = (Vec::new(), VecDeque::new());
        let (mut rows, mut is_full) = (0, false);
        for waiting in std::mem::take(&mut self.waiting) {
            let is_alone = self.goes_alone(&waiting, now);
            let more = waiting.script.rows();
            let fits = match group.is_empty() {
                true => may_be_alone || !is_alone,
                false => !is_full && !is_alone && rows + more <= ROWS_MAX,
            };
            if !fits || waiting.script.guarded().any(|id| self.guarded.contains(id)) {
                left.push_back(waiting);
                continue;
            }
            rows += more;
            is_full = is_alone;
            self.was_alone = is_alone;
            self.guarded.extend(waiting.script.guarded().cloned());
            group.push(waiting);
        }
        self.waiting = left;
        group
    }
}

/// A transaction in flight. Dropped, it makes room for the next one.
struct Flight {
    db: Db,
    guarded: Vec<RecordId>,
}

impl Flight {
    fn begin(db: &Db) -> Option<(Vec<Waiting>, Self)> {
        let mut line = db.committer.line.locked();
        if line.in_flight >= db.in_flight_max() {
            return None;
        }
        let group = line.next_group();
        if group.is_empty() {
            return None;
        }
        line.in_flight += 1;
        let scripts = group.iter().map(|waiting| &waiting.script);
        let flight = Self {
            db: db.clone(),
            guarded: scripts.flat_map(Script::guarded).cloned().collect(),
        };
        Some((group, flight))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let is_next_waiting = {
            let mut line = self.db.committer.line.locked();
            line.in_flight -= 1;
            for id in &self.guarded {
                line.guarded.remove(id);
            }
            !line.waiting.is_empty()
        };
        // Otherwise the task that wrote this one goes on.
        if std::thread::panicking() && is_next_waiting {
            self.db.write_line();
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
            let written = steps.map(|(name, script)| async move {
                self.db.commit(Some(&tenant(name)), script).await
            });
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
        let steps = [("bad", moving(100, 1)), ("good", inserting(101))];
        let outcomes = fixture.commit_all(steps).await;
        assert!(outcomes[0].is_err() && outcomes[1].is_ok());
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
}
