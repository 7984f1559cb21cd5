//! The lanes that an operator has stopped, as this process last read them.
//!
//! Written by a loop of the worker, and where an operator stops one; read before tasks are fetched and mails are sent.

use std::sync::atomic::{AtomicBool, Ordering};

use super::MailJobs;
use crate::{error::Result, modules::DeliveryAdminModule, ports::Lane};

/// The last state, in the order of [`Lane::ALL`].
#[derive(Debug, Default)]
pub(crate) struct LanePauses {
    known: [AtomicBool; 2],
    /// Held while the store is read, so that an older answer never replaces a newer one.
    reading: tokio::sync::Mutex<()>,
}

impl LanePauses {
    /// Reads which lanes are stopped.
    pub(crate) async fn look(&self, delivery_admin: &DeliveryAdminModule) -> Result<()> {
        let _reading = self.reading.lock().await;
        let paused = delivery_admin.paused_lanes().await?;
        for (lane, known) in Lane::ALL.into_iter().zip(&self.known) {
            let is_paused = paused.iter().any(|pause| pause.lane == lane);
            if known.swap(is_paused, Ordering::Relaxed) != is_paused {
                tracing::warn!(
                    lane = lane.as_str(),
                    is_paused,
                    "an operator has stopped or restarted a lane"
                );
            }
        }
        Ok(())
    }
}

impl MailJobs {
    /// Reads which lanes are stopped.
    pub(crate) async fn look_at_lanes(&self) -> Result<()> {
        let lanes = self.0.lane_pauses.look(&self.0.modules.delivery_admin);
        lanes.await
    }

    /// Returns whether a lane is stopped, as far as is known.
    pub(crate) fn is_lane_paused(&self, lane: Lane) -> bool {
        let mut known = Lane::ALL.into_iter().zip(&self.0.lane_pauses.known);
        known.any(|(own, is_paused)| own == lane && is_paused.load(Ordering::Relaxed))
    }
}
