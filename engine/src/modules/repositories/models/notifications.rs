//! The rows of notifications, blocks of deliveries, and the outbox.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{
    at_millisecond, key_number, key_text, key_ulid, millisecond, record, stored_ulid, ulid_key,
};
use crate::{
    Error, Result,
    ports::Lane,
    types::{
        Block, BookingId, Claim, Entry, EventId, NotificationId, Owed, OwedPart,
        StoredNotification, TenantId, UserId,
    },
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct NotificationRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    kind: String,
    event: String,
    status: String,
    from_version: u64,
    to_version: u64,
    estimated_recipients: u64,
    recipients: u64,
    blocks: u32,
    cursor: Option<String>,
    created_at: i64,
    due_at: i64,
}

impl NotificationRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        notification: NotificationId,
    ) -> RecordId {
        record(
            "notification",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(notification.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        notification: &StoredNotification,
    ) -> Self {
        Self {
            id: Self::key(tenant, notification.id),
            revision: notification.revision,
            kind: notification.kind.as_str().to_owned(),
            event: notification.event.ulid().to_string(),
            status: notification.status.as_str().to_owned(),
            from_version: notification.from_version,
            to_version: notification.to_version,
            estimated_recipients: notification.estimated_recipients,
            recipients: notification.recipients,
            blocks: notification.blocks,
            cursor: notification
                .cursor
                .map(|customer| customer.ulid().to_string()),
            created_at: millisecond(notification.created_at),
            due_at: millisecond(notification.due_at),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<StoredNotification> {
        Ok(StoredNotification {
            id: NotificationId::from_ulid(key_ulid(&self.id, 1)?),
            revision: self.revision,
            kind: self.kind.parse()?,
            event: EventId::from_ulid(stored_ulid(&self.event)?),
            status: self.status.parse()?,
            from_version: self.from_version,
            to_version: self.to_version,
            estimated_recipients: self.estimated_recipients,
            recipients: self.recipients,
            blocks: self.blocks,
            cursor: self
                .cursor
                .as_deref()
                .map(stored_ulid)
                .transpose()?
                .map(UserId::from_ulid),
            created_at: at_millisecond(self.created_at)?,
            due_at: at_millisecond(self.due_at)?,
        })
    }
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct BlockRow {
    pub(in crate::modules::repositories) id: RecordId,
    revision: i64,
    kind: String,
    event: String,
    entries: Vec<EntryRow>,
    claim: Option<ClaimRow>,
    claims: u32,
    created_at: i64,
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct ClaimRow {
    holder: String,
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct EntryRow {
    customer: String,
    booking: Option<String>,
    state: String,
    attempts: u32,
    reason: Option<String>,
    next_at: Option<i64>,
    ever_unknown: bool,
    lost: u32,
}

impl BlockRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        notification: NotificationId,
        block: u32,
    ) -> RecordId {
        let block = Value::from_t(block);
        record(
            "delivery_block",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(notification.ulid()),
                block,
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, block: &Block) -> Self {
        Self {
            id: Self::key(tenant, block.notification, block.number),
            revision: block.revision,
            kind: block.kind.as_str().to_owned(),
            event: block.event.ulid().to_string(),
            entries: block.entries.iter().map(EntryRow::of).collect(),
            claim: block.claim.as_ref().map(|claim| ClaimRow {
                holder: claim.holder.clone(),
            }),
            claims: block.claims,
            created_at: millisecond(block.created_at),
        }
    }

    pub(in crate::modules::repositories) fn tenant(&self) -> Result<TenantId> {
        Ok(TenantId::trusted(key_text(&self.id, 0)?))
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Block> {
        let event = EventId::from_ulid(stored_ulid(&self.event)?);
        let number = u32::try_from(key_number(&self.id, 2)?).map_err(Error::internal)?;
        Ok(Block {
            notification: NotificationId::from_ulid(key_ulid(&self.id, 1)?),
            number,
            revision: self.revision,
            kind: self.kind.parse()?,
            event,
            entries: self
                .entries
                .into_iter()
                .map(|entry| entry.into_type(event))
                .collect::<Result<_>>()?,
            claim: self.claim.map(|claim| Claim {
                holder: claim.holder,
            }),
            claims: self.claims,
            created_at: at_millisecond(self.created_at)?,
        })
    }
}

impl EntryRow {
    fn of(entry: &Entry) -> Self {
        Self {
            customer: entry.customer.ulid().to_string(),
            booking: entry.booking.map(|booking| booking.serial().to_string()),
            state: entry.state.as_str().to_owned(),
            attempts: entry.attempts,
            reason: entry.reason.clone(),
            next_at: entry.next_at.map(millisecond),
            ever_unknown: entry.ever_unknown,
            lost: entry.lost,
        }
    }

    fn into_type(self, event: EventId) -> Result<Entry> {
        let customer = UserId::from_ulid(stored_ulid(&self.customer)?);
        let booking = match self.booking {
            Some(serial) => Some(BookingId::new(event, customer, stored_ulid(&serial)?)),
            None => None,
        };
        Ok(Entry {
            customer,
            booking,
            state: self.state.parse()?,
            attempts: self.attempts,
            reason: self.reason,
            next_at: self.next_at.map(at_millisecond).transpose()?,
            ever_unknown: self.ever_unknown,
            lost: self.lost,
        })
    }
}

/// One thing that is owed, under the time it is due.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct OutboxRow {
    pub(in crate::modules::repositories) id: RecordId,
    lane: String,
    /// Whether it was published before, so that its work must be looked at first.
    published: bool,
}

impl OutboxRow {
    pub(in crate::modules::repositories) fn of(owed: &Owed) -> Self {
        let part = match owed.part {
            OwedPart::FanOut => -1,
            OwedPart::Block(number) => i64::from(number),
        };
        Self {
            id: record(
                "outbox",
                [
                    Value::from_t(millisecond(owed.due_at)),
                    Value::String(owed.tenant.as_str().to_owned()),
                    ulid_key(owed.notification.ulid()),
                    Value::from_t(part),
                ],
            ),
            lane: owed.lane.as_str().to_owned(),
            published: owed.published,
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Owed> {
        let part = match key_number(&self.id, 3)? {
            -1 => OwedPart::FanOut,
            number => OwedPart::Block(u32::try_from(number).map_err(Error::internal)?),
        };
        Ok(Owed {
            due_at: at_millisecond(key_number(&self.id, 0)?)?,
            tenant: TenantId::trusted(key_text(&self.id, 1)?),
            notification: NotificationId::from_ulid(key_ulid(&self.id, 2)?),
            part,
            lane: if self.lane == "transactional" {
                Lane::Transactional
            } else {
                Lane::Bulk
            },
            published: self.published,
        })
    }
}
