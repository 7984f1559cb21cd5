//! The rows of plugins: versions, their bytes, active sets, decisions, and logs.

use jiff::Timestamp;
use surrealdb::types::{Bytes, RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::keys::{
    at_millisecond, key_text, millisecond, newest_first_key, record, stored_ulid, ulid_key,
};
use crate::{
    error::{Error, Result},
    types::{
        ActivePlugin, NotedFailure, NotificationId, PluginFacts, PluginHash, PluginName, PluginSet,
        PluginState, PluginVersion, TenantId, UserId,
    },
};

/// The state of a version that is not compiled yet.
const COMPILING: &str = "compiling";

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginRow {
    pub(in crate::modules::repositories) id: RecordId,
    name: String,
    state: String,
    reason: Option<String>,
    may_retry: bool,
    size_bytes: u64,
    /// JSON.
    facts: String,
    /// The upload that wrote its bytes.
    upload: String,
    uploaded_by: Option<String>,
    uploaded_at: i64,
}

impl PluginRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, hash: PluginHash) -> RecordId {
        record("plugin", [text(tenant.as_str()), text(hash)])
    }

    /// The row of a version that is not compiled yet.
    pub(in crate::modules::repositories) fn compiling(
        tenant: &TenantId,
        version: &PluginVersion,
        upload: Ulid,
    ) -> Self {
        Self {
            id: Self::key(tenant, version.hash),
            name: version.name.as_str().to_owned(),
            state: COMPILING.to_owned(),
            reason: None,
            may_retry: false,
            size_bytes: version.size_bytes,
            facts: json(&version.facts),
            upload: upload.to_string(),
            uploaded_by: version.uploaded_by.map(|user| user.ulid().to_string()),
            uploaded_at: millisecond(version.uploaded_at),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<PluginVersion> {
        let facts: PluginFacts = serde_json::from_str(&self.facts).map_err(Error::internal)?;
        let user = self.uploaded_by.as_deref().map(stored_ulid).transpose()?;
        Ok(PluginVersion {
            hash: key_text(&self.id, 1)?.parse()?,
            name: PluginName::stored(self.name),
            state: match self.state.as_str() {
                "ready" => PluginState::Ready,
                "rejected" => PluginState::Rejected {
                    reason: self.reason.unwrap_or_default(),
                    may_retry: self.may_retry,
                },
                _ => PluginState::Compiling,
            },
            size_bytes: self.size_bytes,
            facts,
            uploaded_by: user.map(UserId::from_ulid),
            uploaded_at: at_millisecond(self.uploaded_at)?,
        })
    }
}

/// The new state of a version.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginStateRow {
    state: String,
    reason: Option<String>,
    may_retry: bool,
    /// JSON.
    facts: String,
}

impl PluginStateRow {
    pub(in crate::modules::repositories) fn of(state: &PluginState, facts: &PluginFacts) -> Self {
        let (state, reason, may_retry) = match state {
            PluginState::Compiling => (COMPILING, None, false),
            PluginState::Ready => ("ready", None, false),
            PluginState::Rejected { reason, may_retry } => {
                ("rejected", Some(reason.clone()), *may_retry)
            }
        };
        Self {
            state: state.to_owned(),
            reason,
            may_retry,
            facts: json(facts),
        }
    }
}

/// The location of a version's bytes: their upload, and their number.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginBytesRow {
    pub(in crate::modules::repositories) upload: String,
    pub(in crate::modules::repositories) size_bytes: u64,
}

/// Some of a plugin's bytes.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginChunkRow {
    pub(in crate::modules::repositories) id: RecordId,
    bytes: Bytes,
}

impl PluginChunkRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        upload: (PluginHash, &str),
        number: usize,
        bytes: &[u8],
    ) -> Self {
        Self {
            id: Self::key(tenant, upload, number),
            bytes: Bytes::from(bytes.to_vec()),
        }
    }

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        (hash, upload): (PluginHash, &str),
        number: usize,
    ) -> RecordId {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let (tenant, number) = (text(tenant.as_str()), number.into_value());
        record("plugin_chunk", [tenant, text(hash), text(upload), number])
    }

    pub(in crate::modules::repositories) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_inner().to_vec()
    }
}

/// The time when an upload began.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginMomentRow {
    pub(in crate::modules::repositories) id: RecordId,
    at: i64,
}

impl PluginMomentRow {
    pub(in crate::modules::repositories) fn upload(
        tenant: &TenantId,
        hash: PluginHash,
        upload: Ulid,
        at: Timestamp,
    ) -> Self {
        Self {
            id: Self::upload_key(tenant, hash, upload),
            at: millisecond(at),
        }
    }

    pub(in crate::modules::repositories) fn upload_key(
        tenant: &TenantId,
        hash: PluginHash,
        upload: Ulid,
    ) -> RecordId {
        let path = [text(tenant.as_str()), text(hash), ulid_key(upload)];
        record("plugin_upload", path)
    }

    /// The version and the upload.
    pub(in crate::modules::repositories) fn upload_id(&self) -> Result<(PluginHash, Ulid)> {
        let hash = key_text(&self.id, 1)?.parse()?;
        Ok((hash, stored_ulid(key_text(&self.id, 2)?)?))
    }
}

/// The time when an export of a plugin failed for a customer.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginFailureRow {
    pub(in crate::modules::repositories) id: RecordId,
    at: i64,
    pub(in crate::modules::repositories) is_witness: bool,
}

impl PluginFailureRow {
    pub(in crate::modules::repositories) fn of(tenant: &TenantId, failure: &NotedFailure) -> Self {
        let path = [
            text(tenant.as_str()),
            text(failure.version),
            text(failure.export.as_str()),
            ulid_key(failure.customer.ulid()),
        ];
        Self {
            id: record("plugin_failure", path),
            at: millisecond(failure.at),
            is_witness: failure.is_witness,
        }
    }
}

/// The key of a tenant's count of versions.
pub(in crate::modules::repositories) fn plugin_count_key(tenant: &TenantId) -> RecordId {
    record("plugin_count", [text(tenant.as_str())])
}

/// A tenant's active plugins.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginSetRow {
    pub(in crate::modules::repositories) id: RecordId,
    version: u64,
    /// JSON: a list of [`ActivePlugin`].
    plugins: String,
}

impl PluginSetRow {
    pub(in crate::modules::repositories) fn version(&self) -> u64 {
        self.version
    }

    pub(in crate::modules::repositories) fn key(tenant: &TenantId) -> RecordId {
        record("plugin_set", [text(tenant.as_str())])
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, set: &PluginSet) -> Self {
        Self {
            id: Self::key(tenant),
            version: set.version,
            plugins: json(&set.plugins),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<PluginSet> {
        let plugins: Vec<ActivePlugin> =
            serde_json::from_str(&self.plugins).map_err(Error::internal)?;
        Ok(PluginSet {
            version: self.version,
            plugins,
        })
    }
}

/// The tenant, and the set's version.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginSetVersionRow {
    id: RecordId,
    version: u64,
}

impl PluginSetVersionRow {
    pub(in crate::modules::repositories) fn into_type(self) -> Result<(TenantId, u64)> {
        Ok((TenantId::trusted(key_text(&self.id, 0)?), self.version))
    }
}

/// Something stored as JSON: a decision, a sampled refusal, a log line, a notice to owners.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct PluginNoteRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) body: String,
}

impl PluginNoteRow {
    pub(in crate::modules::repositories) fn decision(
        tenant: &TenantId,
        serial: Ulid,
        body: String,
    ) -> Self {
        let id = record(
            "plugin_decision",
            [text(tenant.as_str()), newest_first_key(serial)],
        );
        Self { id, body }
    }

    pub(in crate::modules::repositories) fn refusal(
        tenant: &TenantId,
        slot: u32,
        body: String,
    ) -> Self {
        let slot = i64::from(slot).into_value();
        let id = record("plugin_refusal", [text(tenant.as_str()), slot]);
        Self { id, body }
    }

    pub(in crate::modules::repositories) fn quarantine(
        tenant: &TenantId,
        notification: NotificationId,
        body: String,
    ) -> Self {
        let path = [text(tenant.as_str()), ulid_key(notification.ulid())];
        let id = record("plugin_quarantine", path);
        Self { id, body }
    }

    pub(in crate::modules::repositories) fn failed_call(
        tenant: &TenantId,
        slot: u32,
        body: String,
    ) -> Self {
        let slot = i64::from(slot).into_value();
        let id = record("plugin_failed_call", [text(tenant.as_str()), slot]);
        Self { id, body }
    }

    pub(in crate::modules::repositories) fn log(
        tenant: &TenantId,
        plugin: &PluginName,
        slot: u32,
        body: String,
    ) -> Self {
        let slot = i64::from(slot).into_value();
        let id = record("plugin_log", [text(tenant.as_str()), text(plugin), slot]);
        Self { id, body }
    }
}

fn text(text: impl ToString) -> Value {
    Value::String(text.to_string())
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("texts and numbers always make JSON")
}
