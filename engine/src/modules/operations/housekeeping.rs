//! Housekeeping: expired rows, and bookings of cancelled events. Called by the worker's use cases.

use crate::modules::{
    ModuleContext,
    plugins::uploads_overdue,
    repositories::{HousekeepingRepository, SystemScope},
};
use crate::{error::Result, types::TenantId};

/// Rows deleted or written in one step; keeps each transaction short.
const BATCH: u32 = 500;

pub(crate) struct HousekeepingModule {
    repository: HousekeepingRepository,
    context: ModuleContext,
}

impl HousekeepingModule {
    pub(in crate::modules) fn new(
        repository: HousekeepingRepository,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            context,
        }
    }

    /// Deletes a batch of expired rows. Returns whether there may be more, and the tenants with uploads that
    /// were interrupted.
    pub(crate) async fn delete_expired(&self) -> Result<(bool, Vec<TenantId>)> {
        let (scope, now) = (SystemScope::new(), self.context.now());
        let more = self.repository.delete_expired(scope, now, BATCH).await?;
        let overdue = uploads_overdue(now)?;
        let tenants = self.repository.broken_uploads(scope, overdue).await?;
        Ok((more, tenants))
    }

    /// The tenants with active plugins after this one, in order of names, and the version of each set. Returns none
    /// after the last.
    pub(crate) async fn plugin_sets(
        &self,
        after: Option<&TenantId>,
    ) -> Result<Vec<(TenantId, u64)>> {
        self.repository
            .plugin_sets(SystemScope::new(), after, BATCH)
            .await
    }

    /// Writes a batch of cancelled events' bookings as cancelled. Returns whether there may be more.
    pub(crate) async fn sweep_cancelled(&self) -> Result<bool> {
        let scope = SystemScope::new();
        let events = self.repository.cancelled_events(scope, 16).await?;
        for (tenant, event) in &events {
            self.repository
                .sweep_cancelled(tenant, *event, self.context.now(), BATCH)
                .await?;
        }
        Ok(!events.is_empty())
    }
}
