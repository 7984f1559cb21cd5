//! Leases of singletons, independent of wall clocks: a process takes a lease over only after it has seen the holder's counter unchanged for the
//! whole lease time on its own monotonic clock. A process that no other can share its store with has all leases.
//!
//! Called by the worker's use cases; calls the leases repository.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::modules::{
    ModuleContext,
    repositories::{LeaseRecord, LeasesRepository, SystemScope},
};
use crate::{error::Result, locked::Locked as _};

pub(crate) struct LeasesModule {
    repository: LeasesRepository,
    context: ModuleContext,
    /// Per lease: the record as last read with another holder, and since when it is unchanged.
    seen: Mutex<HashMap<&'static str, (LeaseRecord, Instant)>>,
}

impl LeasesModule {
    pub(in crate::modules) fn new(repository: LeasesRepository, context: ModuleContext) -> Self {
        Self {
            repository,
            context,
            seen: Mutex::default(),
        }
    }

    /// Takes or keeps the lease `name` for `holder`. Call it several times within `lease` to keep it.
    /// Returns whether it is held now.
    pub(crate) async fn hold(
        &self,
        name: &'static str,
        holder: &str,
        lease: Duration,
    ) -> Result<bool> {
        if self.context.is_exclusive {
            return Ok(true);
        }
        let scope = SystemScope::new();
        let present = self.repository.find(scope, name).await?;
        let counter = present.as_ref().map_or(0, |record| record.counter);
        let new = LeaseRecord {
            holder: holder.to_owned(),
            counter: counter + 1,
        };
        let may_take = match &present {
            None => true,
            Some(record) if record.holder == holder => true,
            Some(record) => self.unchanged_for(name, record) >= lease,
        };
        let held = may_take
            && self
                .repository
                .replace(scope, name, present.as_ref(), &new)
                .await?;
        // Logged once, so that the log shows which process has the lease.
        if held && present.is_none_or(|record| record.holder != holder) {
            tracing::info!(lease = name, "took a lease");
        }
        Ok(held)
    }

    fn unchanged_for(&self, name: &'static str, record: &LeaseRecord) -> Duration {
        let mut seen = self.seen.locked();
        match seen.get(name) {
            Some((known, since)) if known == record => since.elapsed(),
            _ => {
                seen.insert(name, (record.clone(), Instant::now()));
                Duration::ZERO
            }
        }
    }
}
