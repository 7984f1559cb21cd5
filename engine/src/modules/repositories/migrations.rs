//! Migrates a store's schema: numbered files, each in one transaction that creates its `schema` record.
//!
//! Called when an engine is built. If two hosts race, the second sees the record and continues.

use std::time::Duration;

use surrealdb::types::SurrealValue;

use super::db::{CONFLICTS_MAX, Db, Script, StepError, SystemScope, pause_after_conflict};
use crate::error::{Error, ErrorCode, Result};

/// A migration. A migration that has been released never changes.
struct Migration {
    number: i64,
    /// The oldest program (by the number of its last migration) that may run after this one.
    oldest_program: i64,
    statements: &'static str,
}

const MIGRATIONS: &[Migration] = &[Migration {
    number: 1,
    oldest_program: 1,
    statements: include_str!("schema/0001_initial.surql"),
}];

#[derive(Debug, SurrealValue)]
struct SchemaRow {
    number: i64,
    oldest_program: i64,
}

/// Time limit of one migration: one may rewrite every row of a table in a large remote store.
const TAKES_MAX: Duration = Duration::from_secs(600);

/// The number of a marker that is stored while a backup is being restored. No program runs then, older ones included: they take it for a
/// migration of a much newer program.
const RESTORING: i64 = 0;

/// The newest migration that this program knows.
pub(in crate::modules) fn newest_schema() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

/// Runs the missing migrations.
///
/// # Errors
/// `store-too-new` if a newer program's migration excludes this one, `store-incomplete` during or after an incomplete
/// restore.
pub(in crate::modules) async fn migrate(db: &Db) -> Result<()> {
    if applied(db).await?.iter().any(|row| row.number == RESTORING) {
        return Err(Error::new(
            ErrorCode::StoreIncomplete,
            "A backup is being restored into this store, or the restore was interrupted. Restore it again into an empty store.",
        ));
    }
    migrate_to(db, newest_schema()).await
}

/// Marks that a backup is being restored: 1 row. Returns false if that was marked before.
pub(in crate::modules::repositories) async fn begin_restoring(
    db: &Db,
    scope: SystemScope,
) -> Result<bool> {
    // Creates the table.
    applied(db).await?;
    let mut script = Script::transaction_across_tenants(scope);
    script.bind_as("number", RESTORING);
    script.bind_as("oldest_program", i64::MAX);
    script.push("CREATE type::record('schema', $number) SET number = $number, oldest_program = $oldest_program");
    match db.run(script).await {
        Ok(_) => Ok(true),
        Err(StepError::Exists(_) | StepError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Removes the mark: 1 row.
pub(in crate::modules::repositories) fn add_restored(script: &mut Script) {
    let number = script.bind(RESTORING);
    script.push(format!(
        "DELETE type::record('schema', {number}) RETURN NONE"
    ));
}

/// Runs the missing migrations up to one of them.
pub(in crate::modules::repositories) async fn migrate_to(db: &Db, newest: i64) -> Result<()> {
    let newest_known = newest_schema();
    for _ in 0..=CONFLICTS_MAX {
        let mut done = applied(db).await?;
        done.retain(|row| row.number != RESTORING);
        if let Some(row) = done.iter().find(|row| row.oldest_program > newest_known) {
            return Err(Error::new(
                ErrorCode::StoreTooNew,
                format!(
                    "The store is at schema {}, which needs a program that knows at least schema {}; this one knows \
                    {newest_known}.",
                    row.number, row.oldest_program
                ),
            ));
        }
        let missing = MIGRATIONS
            .iter()
            .filter(|migration| migration.number <= newest)
            .find(|migration| !done.iter().any(|row| row.number == migration.number));
        let Some(migration) = missing else {
            return Ok(());
        };
        match apply(db, migration).await {
            Ok(()) => tracing::info!(number = migration.number, "schema migrated"),
            Err(StepError::Conflict | StepError::Exists(_)) => pause_after_conflict(4).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(
        ErrorCode::Unavailable,
        "The schema could not be migrated, because other hosts were migrating it at the same time.",
    ))
}

async fn applied(db: &Db) -> Result<Vec<SchemaRow>> {
    let mut script = Script::across_tenants(SystemScope::new());
    script.push("DEFINE TABLE IF NOT EXISTS schema SCHEMALESS");
    let rows = script.push("SELECT number, oldest_program FROM schema ORDER BY number");
    db.run_retrying(&script).await?.rows(rows)
}

async fn apply(db: &Db, migration: &Migration) -> Result<(), StepError> {
    let mut script = Script::transaction_across_tenants(SystemScope::new());
    script.bind_as("number", migration.number);
    script.bind_as("oldest_program", migration.oldest_program);
    script.push("CREATE type::record('schema', $number) SET number = $number, oldest_program = $oldest_program");
    script.push(migration.statements.trim_end().trim_end_matches(';'));
    db.run_within(script, TAKES_MAX).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Store;

    /// A row of the table `schema`.
    async fn note_schema(db: &Db, number: i64, oldest_program: i64) {
        let mut script = Script::transaction_across_tenants(SystemScope::new());
        script.bind_as("number", number);
        script.bind_as("oldest_program", oldest_program);
        script.push("CREATE type::record('schema', $number) SET number = $number, oldest_program = $oldest_program");
        db.run(script).await.unwrap();
    }

    async fn numbers(db: &Db) -> Vec<i64> {
        let rows = applied(db).await.unwrap();
        rows.iter().map(|row| row.number).collect()
    }

    #[tokio::test]
    async fn migrating_twice_applies_each_step_once_and_keeps_rows() {
        let db = Db::open(&Store::Memory, Default::default()).await.unwrap();
        migrate(&db).await.unwrap();
        let mut script = Script::transaction_across_tenants(SystemScope::new());
        script.push("INSERT INTO event { id: ['north', 'a'], starts_at: 20 } RETURN NONE");
        db.run(script).await.unwrap();
        migrate(&db).await.unwrap();
        assert_eq!(numbers(&db).await, [1]);
        let mut script = Script::across_tenants(SystemScope::new());
        let index = script.push("SELECT VALUE starts_at FROM event");
        let kept: Vec<i64> = db.run(script).await.unwrap().rows(index).unwrap();
        assert_eq!(kept, [20]);
    }

    #[tokio::test]
    async fn two_programs_that_migrate_at_once_both_succeed() {
        let db = Db::open(&Store::Memory, Default::default()).await.unwrap();
        let (first, second) = tokio::join!(migrate(&db), migrate(&db));
        first.unwrap();
        second.unwrap();
        assert_eq!(numbers(&db).await, [1]);
    }

    #[tokio::test]
    async fn a_store_that_needs_a_newer_program_is_refused() {
        let db = Db::open(&Store::Memory, Default::default()).await.unwrap();
        migrate(&db).await.unwrap();
        let next = newest_schema() + 1;
        // A newer program's migration that this one can run with.
        note_schema(&db, next, newest_schema()).await;
        migrate(&db).await.unwrap();
        // And one that it cannot run with.
        note_schema(&db, next + 1, next).await;
        let error = migrate(&db).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::StoreTooNew);
        assert!(
            error.to_string().contains(&format!("schema {next}")),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_store_that_is_being_restored_is_refused() {
        let db = Db::open(&Store::Memory, Default::default()).await.unwrap();
        assert!(begin_restoring(&db, SystemScope::new()).await.unwrap());
        assert!(!begin_restoring(&db, SystemScope::new()).await.unwrap());
        let error = migrate(&db).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::StoreIncomplete);
    }
}
