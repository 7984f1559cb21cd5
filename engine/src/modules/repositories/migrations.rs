//! Brings a store's schema up to date: numbered files, each in one transaction that creates its `schema` record.
//!
//! Called when an engine is built. The loser of a race between two hosts sees the record and goes on.

use std::time::Duration;

use surrealdb::types::SurrealValue;

use super::db::{CONFLICTS_MAX, Db, Script, StepError, SystemScope, pause_after_conflict};
use crate::error::{Error, ErrorCode, Result};

/// A step of the schema. Append only: a step that has been released never changes.
struct Migration {
    number: i64,
    /// The oldest program (by the number of the last migration it knows) that may run after this step.
    oldest_program: i64,
    statements: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        oldest_program: 1,
        statements: include_str!("schema/0001_initial.surql"),
    },
    Migration {
        number: 2,
        // An older program would take a kind of notification that it does not know for damage.
        oldest_program: 2,
        statements: include_str!("schema/0002_mails.surql"),
    },
    // A program that knows no holds would let capacity fall below them, and expire none.
    Migration {
        number: 3,
        oldest_program: 3,
        statements: include_str!("schema/0003_holds.surql"),
    },
    Migration {
        number: 4,
        // An older program would book without asking a tenant's plugins.
        oldest_program: 4,
        statements: include_str!("schema/0004_plugins.surql"),
    },
    Migration {
        number: 5,
        // An older program would free seats without offering them, and take the kind of their mails for damage.
        oldest_program: 5,
        statements: include_str!("schema/0005_waitlist.surql"),
    },
    Migration {
        number: 6,
        // An older program would write bookings anew without their check-ins.
        oldest_program: 6,
        statements: include_str!("schema/0006_check_ins.surql"),
    },
    Migration {
        number: 7,
        // An older program would make and move events without writing when they begin.
        oldest_program: 7,
        statements: include_str!("schema/0007_event_starts.surql"),
    },
];

#[derive(Debug, SurrealValue)]
struct SchemaRow {
    number: i64,
    oldest_program: i64,
}

/// A step that writes a row for each that is there may take a large remote store this long.
const TAKES_MAX: Duration = Duration::from_secs(600);

/// Stands among the steps while a backup is being restored. No program runs then, older ones included: to them it is a step
/// that only a much newer one knows.
const RESTORING: i64 = 0;

/// The newest step that this program knows.
pub(in crate::modules) fn newest_schema() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

/// Runs what is missing.
///
/// # Errors
/// `store-too-new` if a newer program left word that this one may not run, `store-incomplete` while or after a backup was
/// restored halfway.
pub(in crate::modules) async fn migrate(db: &Db) -> Result<()> {
    if applied(db).await?.iter().any(|row| row.number == RESTORING) {
        return Err(Error::new(
            ErrorCode::StoreIncomplete,
            "A backup is being restored into this store, or that was broken off. Take an empty store and restore it again.",
        ));
    }
    migrate_to(db, newest_schema()).await
}

/// Says that a backup is being restored: 1 row. Returns false if somebody said so before.
pub(in crate::modules::repositories) async fn begin_restoring(
    db: &Db,
    scope: SystemScope,
) -> Result<bool> {
    // Makes the table.
    applied(db).await?;
    let mut script = Script::transaction_across_tenants(scope);
    script.bind_as("number", RESTORING);
    script.bind_as("oldest_program", i64::MAX);
    script.push("CREATE type::record('schema', $number) SET number = $number, oldest_program = $oldest_program");
    match db.run(&script).await {
        Ok(_) => Ok(true),
        Err(StepError::Exists(_) | StepError::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Adds that nothing is being restored any more: 1 row.
pub(in crate::modules::repositories) fn add_restored(script: &mut Script) {
    let number = script.bind(RESTORING);
    script.push(format!(
        "DELETE type::record('schema', {number}) RETURN NONE"
    ));
}

/// Runs what is missing up to a step.
pub(in crate::modules::repositories) async fn migrate_to(db: &Db, newest: i64) -> Result<()> {
    let newest_known = newest_schema();
    for _ in 0..=CONFLICTS_MAX {
        let mut done = applied(db).await?;
        done.retain(|row| row.number != RESTORING);
        if let Some(row) = done.iter().find(|row| row.oldest_program > newest_known) {
            return Err(Error::new(
                ErrorCode::StoreTooNew,
                format!(
                    "The store is at schema {}, which needs a program that knows at least schema {}; this one knows {newest_known}.",
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
        "The schema could not be migrated: other hosts kept interfering.",
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
    db.run_within(&script, TAKES_MAX).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Store;

    #[derive(SurrealValue)]
    struct Start {
        id: surrealdb::types::RecordId,
        event: surrealdb::types::RecordId,
        inventory: surrealdb::types::RecordId,
    }

    #[tokio::test]
    async fn events_of_before_are_listed_as_they_begin() {
        let db = Db::open(&Store::Memory, Default::default()).await.unwrap();
        migrate_to(&db, 6).await.unwrap();
        let mut script = Script::transaction_across_tenants(SystemScope::new());
        script.push(
            "INSERT INTO event [
                { id: ['north', 'a'], starts_at: 20 }, { id: ['north', 'b'], starts_at: 10 },
                { id: ['south', 'c'], starts_at: 10 },
            ] RETURN NONE",
        );
        db.run(&script).await.unwrap();
        migrate(&db).await.unwrap();
        migrate(&db).await.unwrap();
        let mut script = Script::across_tenants(SystemScope::new());
        let index = script.push("SELECT * FROM event_start");
        let rows: Vec<Start> = db.run(&script).await.unwrap().rows(index).unwrap();
        let shown = |row: &Start| [&row.id, &row.event, &row.inventory].map(|id| format!("{id:?}"));
        let shown: Vec<_> = rows.iter().map(shown).collect();
        assert_eq!(shown.len(), 3, "{shown:?}");
        for ([id, event, inventory], (tenant, at, name)) in
            shown
                .iter()
                .zip([("north", 10, "b"), ("north", 20, "a"), ("south", 10, "c")])
        {
            let at = at.to_string();
            assert!(id.contains(tenant) && id.contains(&at) && id.contains(&format!("\"{name}\"")));
            for (row, table) in [(event, "event"), (inventory, "inventory")] {
                assert!(
                    row.contains(&format!("\"{table}\"")) && row.contains(tenant),
                    "{row}"
                );
                assert!(row.contains(&format!("\"{name}\"")), "{row}");
            }
        }
    }
}
