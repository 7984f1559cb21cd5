//! The rows of identity providers, identities, and ID tokens that were used.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{at_millisecond, millisecond, record, stored_ulid, ulid_key};
use crate::{
    error::{Error, Result},
    types::{
        CheckedIdToken, IdTokenAlgorithm, IdentityId, IdentityProvider, LinkedIdentities,
        LinkedIdentity, TenantId, UserId,
    },
};

/// How much longer than it is accepted an ID token is remembered.
const MARGIN: Duration = Duration::from_secs(300);

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct IdentityProviderRow {
    id: RecordId,
    issuer: String,
    client_id: String,
    jwks_url: Option<String>,
    /// Names, separated by spaces.
    algorithms: String,
    /// When it was set, in milliseconds: what guards compare.
    version: u64,
}

impl IdentityProviderRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId) -> RecordId {
        record(
            "identity_provider",
            [Value::String(tenant.as_str().to_owned())],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        provider: &IdentityProvider,
    ) -> Self {
        let algorithms = provider.algorithms.iter().map(|one| one.as_str());
        Self {
            id: Self::key(tenant),
            issuer: provider.issuer.clone(),
            client_id: provider.client_id.clone(),
            jwks_url: provider.jwks_url.clone(),
            algorithms: algorithms.collect::<Vec<_>>().join(" "),
            version: Self::version(provider.changed_at),
        }
    }

    /// What guards compare.
    pub(in crate::modules::repositories) fn version(changed_at: Timestamp) -> u64 {
        millisecond(changed_at).unsigned_abs()
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<IdentityProvider> {
        let names = self.algorithms.split(' ');
        let algorithms: Result<Vec<IdTokenAlgorithm>> = names.map(str::parse).collect();
        let changed_at = i64::try_from(self.version).map_err(Error::internal)?;
        Ok(IdentityProvider {
            issuer: self.issuer,
            client_id: self.client_id,
            jwks_url: self.jwks_url,
            algorithms: algorithms?,
            changed_at: at_millisecond(changed_at)?,
        })
    }
}

/// Maps an identity to its user. Its id makes the identity unique.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct IdentityRow {
    id: RecordId,
    user: String,
}

impl IdentityRow {
    /// The record of an identity, by the SHA-256 of issuer and subject as hexadecimal digits.
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, digest: &str) -> RecordId {
        let parts = [tenant.as_str(), digest];
        record("identity", parts.map(|part| Value::String(part.to_owned())))
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        digest: &str,
        user: UserId,
    ) -> Self {
        Self {
            id: Self::key(tenant, digest),
            user: user.ulid().to_string(),
        }
    }

    pub(in crate::modules::repositories) fn user(&self) -> Result<UserId> {
        Ok(UserId::from_ulid(stored_ulid(&self.user)?))
    }
}

/// The identities of an account.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct UserIdentitiesRow {
    id: RecordId,
    revision: i64,
    items: Vec<LinkedIdentityRow>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct LinkedIdentityRow {
    identity: String,
    /// The record that maps the identity to the account.
    login: RecordId,
    issuer: String,
    subject: String,
    linked_at: i64,
}

impl UserIdentitiesRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, user: UserId) -> RecordId {
        let tenant = Value::String(tenant.as_str().to_owned());
        record("user_identities", [tenant, ulid_key(user.ulid())])
    }

    /// The row of these identities; `digest_of` is the key of each.
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        user: UserId,
        identities: &LinkedIdentities,
        digest_of: impl Fn(&LinkedIdentity) -> String,
    ) -> Self {
        let row = |one: &LinkedIdentity| LinkedIdentityRow {
            identity: one.id.ulid().to_string(),
            login: IdentityRow::key(tenant, &digest_of(one)),
            issuer: one.issuer.clone(),
            subject: one.subject.clone(),
            linked_at: millisecond(one.linked_at),
        };
        Self {
            id: Self::key(tenant, user),
            revision: identities.revision,
            items: identities.items.iter().map(row).collect(),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<LinkedIdentities> {
        let read = |row: LinkedIdentityRow| {
            Ok(LinkedIdentity {
                id: IdentityId::from_ulid(stored_ulid(&row.identity)?),
                issuer: row.issuer,
                subject: row.subject,
                linked_at: at_millisecond(row.linked_at)?,
            })
        };
        Ok(LinkedIdentities {
            revision: self.revision,
            items: self.items.into_iter().map(read).collect::<Result<_>>()?,
        })
    }
}

/// An ID token that was exchanged.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct UsedIdTokenRow {
    id: RecordId,
    expires_at: i64,
}

impl UsedIdTokenRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, digest: &str) -> RecordId {
        let parts = [tenant.as_str(), digest];
        record(
            "used_id_token",
            parts.map(|part| Value::String(part.to_owned())),
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        token: &CheckedIdToken,
        now: Timestamp,
    ) -> Self {
        // Clocks of hosts differ by less than the margin.
        let kept_for = SignedDuration::try_from(token.valid_for + MARGIN).unwrap_or_default();
        Self {
            id: Self::key(tenant, &token.digest),
            expires_at: millisecond(now.saturating_add(kept_for).unwrap_or(now)),
        }
    }
}
