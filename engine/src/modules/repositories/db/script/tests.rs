//! Tests of scripts: their results, and the commits that they ask for.

use std::sync::Arc;

use super::{super::Db, *};
use crate::{counters::Counters, settings::Store};

async fn store() -> (Db, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    let db = Db::open(&Store::Memory, counters.clone()).await.unwrap();
    (db, counters)
}

fn commits(counters: &Counters) -> u64 {
    counters.read().store_commits
}

#[tokio::test]
async fn a_snapshot_reads_rows_records_and_names_and_commits_nothing() {
    let (db, counters) = store().await;
    let scope = SystemScope::new();
    let mut script = Script::transaction_across_tenants(scope);
    for (key, number) in [(1, 10), (2, 20)] {
        script.push(format!(
            "INSERT INTO thing {{ id: ['north', {key}], number: {number} }} RETURN NONE"
        ));
    }
    db.run(script).await.unwrap();
    assert_eq!(commits(&counters), 1);

    let mut script = Script::snapshot(&TenantId::parse("north").unwrap());
    let all = script.push("SELECT VALUE number FROM thing:[$tenant]..[$tenant, ..]");
    script.define("$first", "SELECT VALUE number FROM ONLY thing:[$tenant, 1]");
    let larger = script.push("SELECT VALUE number FROM thing WHERE number > $first");
    let one = script.push("SELECT VALUE number FROM ONLY thing:[$tenant, 2]");
    let none = script.push("SELECT VALUE number FROM ONLY thing:[$tenant, 3]");
    let mut answers = db.run(script).await.unwrap();
    assert_eq!(answers.rows::<i64>(all).unwrap(), [10, 20]);
    assert_eq!(answers.rows::<i64>(larger).unwrap(), [20]);
    assert_eq!(answers.row::<i64>(one).unwrap(), Some(20));
    assert_eq!(answers.row::<i64>(none).unwrap(), None);
    assert_eq!(commits(&counters), 1);
}

#[tokio::test]
async fn statements_outside_a_transaction_count_a_commit_for_each_that_writes() {
    let (db, counters) = store().await;
    let mut script = Script::across_tenants(SystemScope::new());
    script.push("INSERT INTO thing { id: 1, number: 1 } RETURN NONE");
    script.push("SELECT * FROM thing");
    script.push("DELETE thing:1");
    db.run(script).await.unwrap();
    assert_eq!(commits(&counters), 2);
}

#[tokio::test]
async fn a_script_without_statements_asks_for_nothing() {
    let (db, counters) = store().await;
    let script = Script::transaction(&TenantId::parse("north").unwrap());
    db.run(script).await.unwrap();
    assert_eq!(commits(&counters), 0);
}

#[tokio::test]
#[should_panic(expected = "syncs the log for nothing")]
async fn a_transaction_that_only_reads_is_refused_where_assertions_are_on() {
    let (db, _) = store().await;
    let mut script = Script::transaction(&TenantId::parse("north").unwrap());
    script.push("SELECT * FROM thing");
    let _ = db.run(script).await;
}

#[tokio::test]
#[should_panic(expected = "a snapshot only reads")]
async fn a_snapshot_that_writes_is_refused_where_assertions_are_on() {
    let mut script = Script::snapshot(&TenantId::parse("north").unwrap());
    script.push("UPDATE thing SET number = 1");
}
