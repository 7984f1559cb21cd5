//! The rows of failed batches, of the audit log, and of worker processes.

use serde::{Deserialize, Serialize};
use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::keys::{at_millisecond, key_number, key_text, key_ulid, millisecond, record};
use crate::{
    error::{Error, Result},
    types::{
        AuditEntry, DeliveryBatch, DeliveryState, DurationCounts, Lane, LaneCounts, LanePause,
        MailCounts, NotificationId, TenantId, WorkerStatus,
    },
};

/// A batch with failed deliveries (dead or unknown). Newest notification first.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct FailedBatchRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) dead: u32,
    pub(in crate::modules::repositories) unknown: u32,
}

impl FailedBatchRow {
    /// The row of a batch, if any of its deliveries failed.
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        batch: &DeliveryBatch,
    ) -> Option<Self> {
        let count = |state: DeliveryState| {
            let deliveries = batch.deliveries.iter();
            deliveries
                .filter(|delivery| delivery.state == state)
                .count() as u32
        };
        let (dead, unknown) = (count(DeliveryState::Dead), count(DeliveryState::Unknown));
        (dead + unknown > 0).then(|| Self {
            id: Self::key(tenant, batch.notification, batch.number),
            dead,
            unknown,
        })
    }

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        notification: NotificationId,
        batch: u32,
    ) -> RecordId {
        record(
            "failed_batch",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::String(Self::place(notification)),
                Value::from_t(i64::from(batch)),
            ],
        )
    }

    /// The key of a notification's batches: its id with inverted bits, so that the newest comes first.
    pub(in crate::modules::repositories) fn place(notification: NotificationId) -> String {
        Ulid(!notification.ulid().0).to_string()
    }

    pub(in crate::modules::repositories) fn batch(&self) -> Result<(NotificationId, u32)> {
        let Ulid(turned) = key_ulid(&self.id, 1)?;
        let number = u32::try_from(key_number(&self.id, 2)?).map_err(Error::internal)?;
        Ok((NotificationId::from_ulid(Ulid(!turned)), number))
    }
}

/// An audit entry. Newest first; never changed, never deleted.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct AuditRow {
    pub(in crate::modules::repositories) id: RecordId,
    at: i64,
    who: String,
    action: String,
    subject: String,
    why: String,
    count: Option<u64>,
}

impl AuditRow {
    /// The tenant of actions outside tenants; no tenant has an empty name.
    pub(in crate::modules::repositories) const OUTSIDE: &str = "";

    pub(in crate::modules::repositories) fn of(
        tenant: Option<&TenantId>,
        serial: Ulid,
        entry: &AuditEntry,
    ) -> Self {
        Self {
            id: record(
                "audit",
                [
                    Value::String(tenant.map_or(Self::OUTSIDE, TenantId::as_str).to_owned()),
                    Value::String(Self::place(serial)),
                ],
            ),
            at: millisecond(entry.at),
            who: entry.who.clone(),
            action: entry.action.clone(),
            subject: entry.subject.clone(),
            why: entry.why.clone(),
            count: entry.count,
        }
    }

    pub(in crate::modules::repositories) fn place(serial: Ulid) -> String {
        Ulid(!serial.0).to_string()
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<(Ulid, AuditEntry)> {
        let Ulid(turned) = key_ulid(&self.id, 1)?;
        let entry = AuditEntry {
            at: at_millisecond(self.at)?,
            who: self.who,
            action: self.action,
            subject: self.subject,
            why: self.why,
            count: self.count,
        };
        Ok((Ulid(!turned), entry))
    }
}

/// A stopped lane.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct LanePauseRow {
    id: RecordId,
    at: i64,
    who: String,
    why: String,
}

impl LanePauseRow {
    pub(in crate::modules::repositories) fn key(lane: Lane) -> RecordId {
        record("lane_pause", [Value::String(lane.as_str().to_owned())])
    }

    pub(in crate::modules::repositories) fn of(pause: &LanePause) -> Self {
        Self {
            id: Self::key(pause.lane),
            at: millisecond(pause.at),
            who: pause.who.clone().unwrap_or_default(),
            why: pause.why.clone().unwrap_or_default(),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<LanePause> {
        Ok(LanePause {
            lane: key_text(&self.id, 0)?.parse()?,
            at: at_millisecond(self.at)?,
            who: Some(self.who),
            why: Some(self.why),
        })
    }
}

/// A worker process, as of its last heartbeat.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct WorkerRow {
    pub(in crate::modules::repositories) id: RecordId,
    started_at: i64,
    at: i64,
    expires_at: i64,
    sent: u64,
    refused: u64,
    deferred: u64,
    unknown: u64,
    /// A JSON list of [`LaneText`]s.
    lanes: Option<String>,
}

impl WorkerRow {
    pub(in crate::modules::repositories) fn key(id: &str) -> RecordId {
        record("worker_process", [Value::String(id.to_owned())])
    }

    pub(in crate::modules::repositories) fn of(
        worker: &WorkerStatus,
        expires_at: i64,
    ) -> Result<Self> {
        let lanes: Vec<LaneText> = worker.lanes.iter().map(LaneText::of).collect();
        Ok(Self {
            id: Self::key(&worker.id),
            started_at: millisecond(worker.started_at),
            at: millisecond(worker.at),
            expires_at,
            sent: worker.mails.sent,
            refused: worker.mails.refused,
            deferred: worker.mails.deferred,
            unknown: worker.mails.unknown,
            lanes: Some(serde_json::to_string(&lanes).map_err(Error::internal)?),
        })
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<WorkerStatus> {
        let lanes = self.lanes.as_deref().unwrap_or("[]");
        // Another version's format may differ: the worker is shown without counts.
        let lanes: Vec<LaneText> = serde_json::from_str(lanes).unwrap_or_default();
        let lanes = lanes.into_iter().map(LaneText::into_type);
        Ok(WorkerStatus {
            lanes: lanes.collect::<Option<_>>().unwrap_or_default(),
            id: key_text(&self.id, 0)?.to_owned(),
            started_at: at_millisecond(self.started_at)?,
            at: at_millisecond(self.at)?,
            is_alive: false,
            mails: MailCounts {
                sent: self.sent,
                refused: self.refused,
                deferred: self.deferred,
                unknown: self.unknown,
            },
        })
    }
}

/// A worker's counts of a lane: its name; mails sent, refused, deferred, unknown; tasks fetched; then the histograms, with
/// their sums in microseconds, of waiting and of sending.
#[derive(Serialize, Deserialize)]
struct LaneText(String, [u64; 4], u64, Vec<u64>, u64, Vec<u64>, u64);

impl LaneText {
    fn of(counts: &LaneCounts) -> Self {
        let mails = &counts.mails;
        Self(
            counts.lane.as_str().to_owned(),
            [mails.sent, mails.refused, mails.deferred, mails.unknown],
            counts.fetched,
            counts.waiting.classes.clone(),
            counts.waiting.sum_microseconds,
            counts.sending.classes.clone(),
            counts.sending.sum_microseconds,
        )
    }

    /// `None` if its histogram has other buckets.
    fn into_type(self) -> Option<LaneCounts> {
        let Self(
            lane,
            [sent, refused, deferred, unknown],
            fetched,
            waiting,
            waited,
            sending,
            sent_in,
        ) = self;
        let classes = DurationCounts::default().classes.len();
        if waiting.len() != classes || sending.len() != classes {
            return None;
        }
        Some(LaneCounts {
            lane: Lane::ALL.into_iter().find(|own| own.as_str() == lane)?,
            mails: MailCounts {
                sent,
                refused,
                deferred,
                unknown,
            },
            waiting: DurationCounts {
                classes: waiting,
                sum_microseconds: waited,
            },
            sending: DurationCounts {
                classes: sending,
                sum_microseconds: sent_in,
            },
            fetched,
        })
    }
}
