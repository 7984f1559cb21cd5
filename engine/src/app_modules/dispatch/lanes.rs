//! Stopping a lane for all tenants: an operator's, and nobody else's.
//!
//! Called by hosts and platforms. Calls the dispatch module; workers look at what it wrote once a second.

use super::Dispatch;
use crate::{
    Result,
    types::{Caller, Lane, LanePause, Reason},
};

impl Dispatch {
    /// Stops a lane for all tenants, by an operator: within seconds no worker takes or sends anything more of it, but what
    /// is on a connection. The database still owes it. One that is stopped already is stopped anew, for this reason.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub async fn pause_lane(&self, caller: &Caller, lane: Lane, why: Reason) -> Result<()> {
        caller.require_operator()?;
        let caller = caller.outside_tenants();
        let audit = self
            .audit_entry(&caller, "pause-lane", subject(lane), why, None)
            .await?;
        let pause = LanePause {
            lane,
            at: audit.at,
            who: Some(audit.who.clone()),
            why: Some(audit.why.clone()),
        };
        self.0.modules.dispatch.pause_lane(&pause, &audit).await
    }

    /// Lets a lane go on, by an operator. One that was not stopped goes on as it did.
    ///
    /// # Errors
    /// `forbidden`, `unavailable`.
    pub async fn resume_lane(&self, caller: &Caller, lane: Lane, why: Reason) -> Result<()> {
        caller.require_operator()?;
        let caller = caller.outside_tenants();
        let audit = self
            .audit_entry(&caller, "resume-lane", subject(lane), why, None)
            .await?;
        self.0.modules.dispatch.resume_lane(lane, &audit).await
    }
}

fn subject(lane: Lane) -> String {
    format!("lane {}", lane.as_str())
}
