//! The store of this process: SurrealDB's datastore, opened by ourselves, with the client library on it.
//!
//! Called by the database handle. The client library would open it with a cache of half the machine's memory and with tasks that
//! keep an idle process busy, and would allow nothing but SurrealQL.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use futures::future::BoxFuture;
use surrealdb::{Surreal, engine::local};
use surrealdb_cnf::ConfigMap;
use surrealdb_core::kvs::Datastore;
use surrealdb_datastore::{
    Transaction, TransactionType,
    catalog::{DatabaseId, NamespaceId, providers::DatabaseProvider as _},
    val::TableName,
};

pub(super) const NAMESPACE: &str = "boxoffice";
pub(super) const DATABASE: &str = "main";

/// Blocks of tables that are kept in memory, at most. The default is half of the machine's.
const BLOCK_CACHE_BYTES_MAX: u64 = 64 << 20;
/// What is written is kept in memory up to here, and then written as a table: some 100,000 bookings. While that happens there
/// are up to three of them. The default is up to 4 GB, by the machine's memory. A smaller one would make it more frequent that
/// a flush meets a read of a range (see `docs/design/store.md`, "Embedded store that hangs").
const MEMORY_TABLE_BYTES_MAX: u64 = 256 << 20;
const MEMORY_TABLE_BYTES_MIN: u64 = 64 << 20;
/// The parts of the machine's memory that both may take where that is less.
const MEMORY_PARTS: u64 = 16;

/// The memory of this machine, or of the container that the process runs in; none where nobody tells.
fn machine_memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    let total = machine
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = total.trim().trim_end_matches("kB").trim().parse().ok()?;
    let container = std::fs::read_to_string("/sys/fs/cgroup/memory.max");
    let container = container.ok().and_then(|max| max.trim().parse().ok());
    Some((kilobytes * 1_024).min(container.unwrap_or(u64::MAX)))
}

/// The limits of the store's memory, in bytes.
fn memory_limits() -> [(&'static str, u64); 2] {
    let part = machine_memory().map_or(u64::MAX, |memory| memory / MEMORY_PARTS);
    let table = part.clamp(MEMORY_TABLE_BYTES_MIN, MEMORY_TABLE_BYTES_MAX);
    [
        (
            "surrealkv_block_cache_capacity",
            part.min(BLOCK_CACHE_BYTES_MAX),
        ),
        ("surrealkv_max_memtable_size", table),
    ]
}

/// A store of this process. Dropping it closes the store, asynchronously.
pub(super) struct Embedded {
    /// Runs SurrealQL. Not cloned, because a clone is another session.
    pub(super) client: Surreal<local::Db>,
    datastore: Arc<Datastore>,
    pub(super) namespace: NamespaceId,
    pub(super) database: DatabaseId,
    /// Tables that are known to be defined.
    pub(super) tables: Mutex<HashSet<TableName>>,
}

impl Embedded {
    /// Opens a store by its URL, `mem://` or `surrealkv://…`. The future is boxed: those of SurrealDB are too large to be part of
    /// others.
    pub(super) fn open(url: String) -> BoxFuture<'static, anyhow::Result<Self>> {
        Box::pin(async move { Self::open_now(&url).await })
    }

    async fn open_now(url: &str) -> anyhow::Result<Self> {
        let settings = memory_limits()
            .into_iter()
            .fold(ConfigMap::empty(), |settings, (name, bytes)| {
                settings.with_key_value(name, bytes.to_string())
            });
        // Its maintenance serves clusters, indexes and change feeds, which we have none of.
        let builder = Datastore::builder().without_maintenance_tasks();
        let datastore = builder.with_config(settings).build_with_path(url).await?;
        // In this order: a store that something was written to before its version is refused for ever.
        datastore.check_version().await?;
        datastore.bootstrap().await?;
        let client = Surreal::unstable_from_datastore(datastore.clone(), None).await?;
        client.use_ns(NAMESPACE).use_db(DATABASE).await?;
        let transaction = datastore.transaction(TransactionType::Read).await?;
        let found = transaction.expect_db_by_name(NAMESPACE, DATABASE).await?;
        transaction.cancel().await?;
        Ok(Self {
            client,
            datastore,
            namespace: found.namespace_id,
            database: found.database_id,
            tables: Mutex::default(),
        })
    }

    pub(super) fn transaction(
        &self,
        kind: TransactionType,
    ) -> BoxFuture<'_, anyhow::Result<Transaction>> {
        Box::pin(self.datastore.transaction(kind))
    }
}
