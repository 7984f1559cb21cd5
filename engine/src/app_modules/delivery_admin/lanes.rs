//! Stopping a lane for all tenants, for operators only.
//!
//! Called by hosts and platforms. Calls the delivery_admin module. Workers read its rows once a second.

use serde_json::json;

use super::DeliveryAdmin;
use crate::{
    error::Result,
    modules::keyed,
    types::{Caller, Lane, LanePause, Reason, RecordedAnswer, RequestRoute, TenantId},
};

/// Its name in the audit log.
const PAUSE: &str = "pause-lane";
const RESUME: &str = "resume-lane";

impl DeliveryAdmin {
    /// Stops a lane for all tenants. Within seconds no worker fetches its tasks or sends its mails, except mails
    /// on a connection. Its outbox entries stay. Stopping a stopped lane replaces the reason.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`, `idempotency-key-reused`.
    pub async fn pause_lane(&self, caller: &Caller, lane: Lane, why: Reason) -> Result<()> {
        self.set_lane_pause(caller, lane, PAUSE, why).await
    }

    /// Restarts a lane. A lane that was not stopped stays as it is.
    ///
    /// # Errors
    /// As [`pause_lane`](Self::pause_lane).
    pub async fn resume_lane(&self, caller: &Caller, lane: Lane, why: Reason) -> Result<()> {
        self.set_lane_pause(caller, lane, RESUME, why).await
    }

    async fn set_lane_pause(
        &self,
        caller: &Caller,
        lane: Lane,
        action: &'static str,
        why: Reason,
    ) -> Result<()> {
        caller.require_operator()?;
        let caller = caller.outside_tenants();
        let canonical = json!([action, lane.as_str(), why.as_str()]);
        let request = keyed(&caller, RequestRoute::LaneCommands, None, &canonical);
        let request = request.as_ref();
        let modules = &self.0.modules;
        let applied = async {
            let subject = format!("lane {}", lane.as_str());
            let audit = self.audit_entry(&caller, action, subject, why, None);
            let audit = audit.await?;
            let pause = (action == PAUSE).then(|| LanePause {
                lane,
                at: audit.at,
                who: Some(audit.who.clone()),
                why: Some(audit.why.clone()),
            });
            let delivery_admin = &modules.delivery_admin;
            let applied = delivery_admin.set_lane_pause(lane, pause.as_ref(), &audit, request);
            applied.await?;
            // Workers of other processes read it within a second, as this one does if reading fails now.
            if let Err(error) = self.0.lane_pauses.look(&modules.delivery_admin).await {
                tracing::warn!(error = ?error, "reading which lanes are stopped failed, will retry");
            }
            Ok(())
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(None::<&TenantId>, request, RecordedAnswer::done, applied)
            .await
    }
}
