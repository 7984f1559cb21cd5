//! Stopping a lane for all tenants: an operator's, and nobody else's.
//!
//! Called by hosts and platforms. Calls the delivery_admin module; workers look at what it wrote once a second.

use serde_json::json;

use super::DeliveryAdmin;
use crate::{
    error::Result,
    modules::keyed,
    types::{Caller, Lane, LanePause, Reason, RecordedAnswer, RequestRoute, TenantId},
};

/// What the audit calls it.
const PAUSE: &str = "pause-lane";
const RESUME: &str = "resume-lane";

impl DeliveryAdmin {
    /// Stops a lane for all tenants, by an operator: within seconds no worker takes or sends anything more of it, but what
    /// is on a connection. The database still owes it. One that is stopped already is stopped anew, for this reason.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`, `idempotency-key-reused`.
    pub async fn pause_lane(&self, caller: &Caller, lane: Lane, why: Reason) -> Result<()> {
        self.steer_lane(caller, lane, PAUSE, why).await
    }

    /// Lets a lane go on, by an operator. One that was not stopped goes on as it did.
    ///
    /// # Errors
    /// As [`pause_lane`](Self::pause_lane).
    pub async fn resume_lane(&self, caller: &Caller, lane: Lane, why: Reason) -> Result<()> {
        self.steer_lane(caller, lane, RESUME, why).await
    }

    async fn steer_lane(
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
        let steered = async {
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
            let steered = delivery_admin.steer_lane(lane, pause.as_ref(), &audit, request);
            steered.await
        };
        let idempotency = &modules.idempotency;
        idempotency
            .once(None::<&TenantId>, request, RecordedAnswer::done, steered)
            .await
    }
}
