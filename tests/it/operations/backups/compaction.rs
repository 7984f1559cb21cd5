//! Goal: a backup has each row as it was when the backup began, or says that it has not.
//!
//! Method: a SurrealDB server whose store compacts often. A backup is begun and not read, all rows of a table are overwritten
//! many times past the engine, and then the backup is read. surrealkv 0.21.4 forgets an open snapshot as soon as another
//! transaction that began at the same point ends, and drops what the snapshot sees.

use boxoffice_engine::{Caller, ErrorCode};
use boxoffice_tests::SurrealServer;
use serde_json::Value;

const ROWS: usize = 600;
/// Each writes more than the store keeps in memory.
const ROUNDS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_compacted_while_a_backup_is_read_is_in_it_or_it_fails() {
    let server = SurrealServer::start_on_disk_with_memory_table(300_000).await;
    let engine = server.engine().await;
    write(&server, 0).await;
    let operators = engine.operators();
    let backup = operators.back_up(&Caller::operator()).await;
    let mut backup = backup.expect("a backup");
    for round in 1..=ROUNDS {
        write(&server, round).await;
    }
    let (mut bytes, mut refusal) = (Vec::new(), None);
    while let Some(piece) = backup.next().await {
        match piece {
            Ok(piece) => bytes.extend(piece),
            Err(error) => refusal = Some(error.code()),
        }
    }
    if let Some(code) = refusal {
        assert_eq!(code, ErrorCode::Unavailable);
        return;
    }
    let text = String::from_utf8(bytes).expect("lines of text");
    let rows: Vec<Value> = (text.lines())
        .filter(|line| line.contains("compacted-"))
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    assert_eq!(rows.len(), ROWS, "rows of a backup that ended well");
    let late = rows
        .iter()
        .filter(|row| !row.to_string().contains("round-0-"));
    assert_eq!(late.count(), 0, "rows from after its begin");
}

/// Writes all rows of a table that the backup reads late: `waiting` comes last in the alphabet.
async fn write(server: &SurrealServer, round: usize) {
    let database = SurrealServer::NAMESPACE;
    // A transaction fits into what the store keeps in memory.
    let statements: Vec<String> = (0..ROWS)
        .step_by(300)
        .map(|from| {
            let to = from + 300;
            format!(
                "FOR $n IN {from}..{to} {{ UPSERT type::record('waiting', ['north', $n]) \
                 SET name = 'compacted-' + <string> $n, value = 'round-{round}-' + string::repeat('x', 600) }};"
            )
        })
        .collect();
    server.sql(database, database, &statements.concat()).await;
}
