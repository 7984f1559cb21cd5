//! Tests of direct writes and reads: they are those of SurrealQL.

use std::{ops::Bound, sync::Arc};

use surrealdb::types::{Object, RecordIdKey, SurrealValue as _};

use super::{
    super::{Client, Db, Script, Straight},
    *,
};
use crate::{settings::Store, types::TenantId};

const TABLES: [&str; 2] = ["thing", "other"];

fn id(key: impl Into<RecordIdKey>) -> PublicId {
    PublicId::new("thing", key)
}

fn list(values: Vec<PublicValue>) -> RecordIdKey {
    RecordIdKey::Array(values.into())
}

fn object(fields: &[(&str, PublicValue)]) -> PublicValue {
    let mut object = Object::new();
    for (name, value) in fields {
        object.insert((*name).to_owned(), value.clone());
    }
    PublicValue::Object(object)
}

fn text(text: &str) -> PublicValue {
    PublicValue::String(text.to_owned())
}

/// A row with values of every kind that rows have.
fn row(id: &PublicId, revision: i64) -> PublicValue {
    let missing = object(&[("none", PublicValue::None), ("one", 1_i64.into_value())]);
    object(&[
        ("id", PublicValue::RecordId(id.clone())),
        ("revision", revision.into_value()),
        ("version", 7_i64.into_value()),
        ("name", text("Zoë's 🎷; DELETE thing")),
        ("none", PublicValue::None),
        ("is_open", true.into_value()),
        ("share", 0.25_f64.into_value()),
        ("largest", i64::MAX.into_value()),
        ("about", PublicValue::RecordId(id.clone())),
        ("nested", missing.clone()),
        (
            "list",
            PublicValue::Array(vec![missing, PublicValue::None, text("")].into()),
        ),
        (
            "empty",
            PublicValue::Array(Vec::<PublicValue>::new().into()),
        ),
        ("bytes", vec![0_u8, 255].into_value()),
        ("object", object(&[])),
        (
            "lists",
            PublicValue::Array(
                vec![PublicValue::Array(
                    vec![PublicValue::None, object(&[("none", PublicValue::None)])].into(),
                )]
                .into(),
            ),
        ),
    ])
}

fn ids() -> Vec<PublicId> {
    let parts = || vec![text("north"), text("01J"), 3_i64.into_value()];
    let mut nested = parts();
    nested.push(PublicValue::Array(parts().into()));
    vec![
        id("word"),
        id(12),
        id(-1),
        id(list(parts())),
        id(list(nested)),
        id("with ⟩ and `quotes`"),
    ]
}

fn script(build: impl FnOnce(&mut Script)) -> Script {
    let mut script = Script::transaction(&TenantId::trusted("north"));
    build(&mut script);
    script
}

/// One script for every kind of step, and for what can stop it, in the order in which they run.
fn steps() -> Vec<Script> {
    let all = ids();
    let rows = |revision| {
        all.iter()
            .map(move |id| row(id, revision))
            .collect::<Vec<_>>()
    };
    let first = all[0].clone();
    let merging = object(&[
        ("revision", 2_i64.into_value()),
        ("name", PublicValue::None),
        (
            "nested",
            object(&[("two", 2_i64.into_value()), ("one", PublicValue::None)]),
        ),
        ("added", text("new")),
    ]);
    let other = PublicId::new("other", "a");
    vec![
        script(|script| script.insert("thing", rows(1))),
        // The table counts, and not that of the row's id.
        script(|script| script.insert("other", [row(&first, 1)])),
        script(|script| script.insert("thing", [row(&id("new"), 1), row(&first, 9)])),
        script(|script| script.insert_new("thing", [row(&id("newer"), 1), row(&first, 9)])),
        script(|script| {
            script.merge_if(first.clone(), 1, merging.clone(), "stale");
            script.replace_if(all[1].clone(), 1, row(&all[1], 2), "stale");
        }),
        script(|script| {
            script.insert("other", [row(&id("never"), 1)]);
            script.replace_if(all[1].clone(), 1, row(&all[1], 3), "stale");
        }),
        script(|script| script.replace_if(id("missing"), 0, row(&id("missing"), 1), "stale")),
        script(|script| script.merge_if(id("missing"), 0, merging.clone(), "stale")),
        script(|script| {
            script.require_version(all[2].clone(), 7, "moved");
            script.require_version(id("missing"), 0, "moved");
            script.put(other.clone(), row(&other, 1));
        }),
        script(|script| {
            script.require_version(all[2].clone(), 8, "moved");
            script.put(other.clone(), row(&other, 2));
        }),
        script(|script| {
            script.put(other.clone(), row(&other, 3));
            script.replace([row(&all[3], 4), row(&id("missing"), 4)]);
            script.remove([all[4].clone(), id("missing")]);
            script.insert("thing", [row(&all[4], 5)]);
        }),
        script(|script| script.remove([all[5].clone()])),
        script(|script| script.insert("thing", [row(&id("twice"), 1), row(&id("twice"), 2)])),
        script(|script| {
            script.insert_new("thing", [row(&id("again"), 1), row(&id("again"), 2)]);
        }),
    ]
}

async fn as_text(db: &Db, script: Script) -> Result<(), StepError> {
    db.run_text(script.finished()).await.map(drop)
}

/// What is in the store, as bytes.
async fn contents(db: &Db) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Client::Embedded(store) = &db.client else {
        panic!("a store in memory")
    };
    let transaction = store.transaction(TransactionType::Read).await.unwrap();
    let mut contents = Vec::new();
    for table in TABLES {
        let table = TableName::from(table);
        let prefix = RecordPrefix {
            ns: store.namespace,
            db: store.database,
            tb: Cow::Borrowed(&table),
        };
        let all = (Bound::<Cow<'_, _>>::Unbounded, Bound::Unbounded);
        let range = prefix.range_where(all);
        let rows = transaction.scan_raw(range.unwrap(), 1_000, 0, None).await;
        contents.extend(rows.unwrap());
    }
    transaction.cancel().await.unwrap();
    contents
}

async fn store() -> Db {
    Db::open(&Store::Memory, Arc::default()).await.unwrap()
}

#[tokio::test]
async fn both_ways_write_the_same_bytes_and_stop_for_the_same_reasons() {
    let (direct, by_text) = (store().await, store().await);
    let mut stopped = 0;
    for (number, (one, same)) in steps().into_iter().zip(steps()).enumerate() {
        let outcome = direct.run(one).await.map(drop);
        let expected = as_text(&by_text, same).await;
        let is_same = match (&outcome, &expected) {
            (Ok(()), Ok(())) | (Err(StepError::Exists(_)), Err(StepError::Exists(_))) => true,
            (Err(StepError::Thrown(word)), Err(expected)) => expected.is_guard(word),
            _ => false,
        };
        assert!(
            is_same,
            "step {number}: {outcome:?}, but as text {expected:?}"
        );
        stopped += u32::from(outcome.is_err());
        let (found, expected) = (contents(&direct).await, contents(&by_text).await);
        assert_eq!(found.len(), expected.len(), "rows after step {number}");
        assert!(found == expected, "other bytes after step {number}");
    }
    assert_eq!(stopped, 6);
    assert!(contents(&direct).await.len() >= 8);
}

fn parts_of(script: Script) -> Vec<Part> {
    match script.straight() {
        Straight::Write(parts) | Straight::Read(parts) => parts,
        Straight::No(_) => panic!("a script of parts"),
    }
}

#[tokio::test]
async fn both_ways_read_the_same() {
    let db = store().await;
    for step in steps() {
        // Some are stopped.
        let _ = db.run(step).await;
    }
    let mut under = Vec::new();
    for number in 0..5_i64 {
        for name in ["a", "b", "b2"] {
            let parts = vec![text("south"), text(name), number.into_value()];
            under.push(row(&id(list(parts)), number));
        }
    }
    db.run(script(|script| script.insert("thing", under)))
        .await
        .unwrap();
    let read = || {
        let mut script = Script::snapshot(&TenantId::trusted("north"));
        for id in ids() {
            script.read(id);
        }
        script.read(id("missing"));
        let more = [id("missing"), id("new"), id("word")];
        script.read_all(ids().into_iter().chain(more));
        script.read_all([]);
        script.read_under("thing", ["south".to_owned(), "b".to_owned()]);
        script.read_under("thing", ["south".to_owned()]);
        script.read_under("thing", ["nobody".to_owned()]);
        script
    };
    let straight = db.run(read()).await.unwrap();
    let expected = db.run_text(read().finished()).await.unwrap();
    assert_eq!(straight, expected);
}

#[tokio::test]
async fn a_record_that_another_transaction_wrote_first_is_a_conflict() {
    let db = store().await;
    let Client::Embedded(store) = &db.client else {
        panic!("a store in memory")
    };
    let key = id("one");
    let insert = script(|script| script.insert("thing", [row(&key, 1)]));
    db.run(insert).await.unwrap();
    let open = store.transaction(TransactionType::Write).await.unwrap();
    let write = DirectWrite {
        store,
        transaction: &open,
        new_tables: Vec::new(),
    };
    let change = || script(|script| script.replace_if(key.clone(), 1, row(&key, 2), "stale"));
    assert!(write.all(parts_of(change())).await.is_ok());
    db.run(change()).await.unwrap();
    let error = commit_failed(open.commit().await.unwrap_err());
    assert!(matches!(error, StepError::Conflict), "{error:?}");
}
