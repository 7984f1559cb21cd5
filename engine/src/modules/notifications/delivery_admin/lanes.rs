//! Stopped lanes: one row for each, which all workers read.
//!
//! Called by app_modules and the worker's use cases. Calls the delivery_admin repository.

use super::DeliveryAdminModule;
use crate::{
    error::Result,
    modules::repositories::SystemScope,
    types::{AuditEntry, KeyedRequest, Lane, LanePause, RecordedAnswer},
};

impl DeliveryAdminModule {
    /// Stops a lane, or without a pause restarts it.
    pub(crate) async fn set_lane_pause(
        &self,
        lane: Lane,
        pause: Option<&LanePause>,
        audit: &AuditEntry,
        request: Option<&KeyedRequest>,
    ) -> Result<()> {
        let recorded = request.map(|one| one.recorded(RecordedAnswer::Done));
        let audit = (self.context.next_id(), audit);
        let scope = SystemScope::new();
        let step = self
            .repository
            .replace_lane_pause(scope, lane, pause, audit, recorded);
        step.await
    }

    /// The stopped lanes.
    pub(crate) async fn paused_lanes(&self) -> Result<Vec<LanePause>> {
        self.repository.lane_pauses(SystemScope::new()).await
    }
}
