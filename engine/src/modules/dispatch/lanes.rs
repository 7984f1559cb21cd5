//! The rule of stopped lanes: one row for each, which all workers read.
//!
//! Called by app_modules and the worker's use cases. Calls the dispatch repository.

use super::DispatchModule;
use crate::{
    Result,
    modules::repositories::SystemScope,
    types::{AuditEntry, Lane, LanePause},
};

impl DispatchModule {
    /// Stops a lane.
    pub(crate) async fn pause_lane(&self, pause: &LanePause, audit: &AuditEntry) -> Result<()> {
        let audit = (self.surroundings.next_id(), audit);
        let step = self
            .repository
            .write_lane_pause(SystemScope::new(), pause, audit);
        step.await
    }

    /// Lets a lane go on.
    pub(crate) async fn resume_lane(&self, lane: Lane, audit: &AuditEntry) -> Result<()> {
        let audit = (self.surroundings.next_id(), audit);
        let step = self
            .repository
            .delete_lane_pause(SystemScope::new(), lane, audit);
        step.await
    }

    /// The lanes that are stopped.
    pub(crate) async fn paused_lanes(&self) -> Result<Vec<LanePause>> {
        self.repository.lane_pauses(SystemScope::new()).await
    }
}
