//! The rows of what failed, of what people did about it, and of worker processes.

use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::keys::{at_millisecond, key_number, key_text, key_ulid, millisecond, record};
use crate::{
    Error, Result,
    types::{AuditEntry, Block, DeliveryState, MailCounts, NotificationId, TenantId, WorkerSight},
};

/// A block with deliveries that failed: dead, or perhaps sent. Newest notification first.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct TroubleRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) dead: u32,
    pub(in crate::modules::repositories) unknown: u32,
}

impl TroubleRow {
    /// The row of a block, if anything in it failed.
    pub(in crate::modules::repositories) fn of(tenant: &TenantId, block: &Block) -> Option<Self> {
        let count = |state: DeliveryState| {
            let entries = block.entries.iter();
            entries.filter(|entry| entry.state == state).count() as u32
        };
        let (dead, unknown) = (count(DeliveryState::Dead), count(DeliveryState::Unknown));
        (dead + unknown > 0).then(|| Self {
            id: Self::key(tenant, block.notification, block.number),
            dead,
            unknown,
        })
    }

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        notification: NotificationId,
        block: u32,
    ) -> RecordId {
        record(
            "trouble",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::String(Self::place(notification)),
                Value::from_t(i64::from(block)),
            ],
        )
    }

    /// Where a notification's blocks stand: its id with every bit turned round, so that the newest comes first.
    pub(in crate::modules::repositories) fn place(notification: NotificationId) -> String {
        Ulid(!notification.ulid().0).to_string()
    }

    pub(in crate::modules::repositories) fn block(&self) -> Result<(NotificationId, u32)> {
        let Ulid(turned) = key_ulid(&self.id, 1)?;
        let number = u32::try_from(key_number(&self.id, 2)?).map_err(Error::internal)?;
        Ok((NotificationId::from_ulid(Ulid(!turned)), number))
    }
}

/// What somebody did. Newest first; never changed, never deleted.
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
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        serial: Ulid,
        entry: &AuditEntry,
    ) -> Self {
        Self {
            id: record(
                "audit",
                [
                    Value::String(tenant.as_str().to_owned()),
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

/// A worker process, as it last said.
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
}

impl WorkerRow {
    pub(in crate::modules::repositories) fn key(id: &str) -> RecordId {
        record("worker_process", [Value::String(id.to_owned())])
    }

    pub(in crate::modules::repositories) fn of(worker: &WorkerSight, expires_at: i64) -> Self {
        Self {
            id: Self::key(&worker.id),
            started_at: millisecond(worker.started_at),
            at: millisecond(worker.at),
            expires_at,
            sent: worker.mails.sent,
            refused: worker.mails.refused,
            deferred: worker.mails.deferred,
            unknown: worker.mails.unknown,
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<WorkerSight> {
        Ok(WorkerSight {
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
