//! Storage steps of identities of an OpenID provider, and of the provider that a tenant trusts.
//!
//! `identity` has the account of an identity, whose id is the identity. `user_identities` has all identities of an account with a
//! revision, which every change of them compares. An ID token is used in the transaction of what it is for, which also compares the
//! provider's version. Called by the users and tenants modules; calls models.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use super::{
    db::{Script, StepError},
    delivery_admin::add_audit,
    models::{IdRow, IdentityProviderRow, IdentityRow, UsedIdTokenRow, UserIdentitiesRow, UserRow},
    notifications::{NewMails, add_mails},
    sessions::add_end_of_sessions,
    tenants::TenantsRepository,
    users::UsersRepository,
};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        AuditEntry, CheckedIdToken, IdentityProvider, LinkedIdentities, LinkedIdentity,
        SessionOwner, TenantId, User, UserId,
    },
};

/// The guard's word when the identity belongs to another account by now, or to none.
const IDENTITY_MOVED: &str = "identity-moved";
/// The guard's word when the tenant has another provider by now.
const STALE_PROVIDER: &str = "stale-provider";
/// The guard's word when the account's identities, or what its sessions depend on, changed.
const STALE_IDENTITIES: &str = "stale-identities";
/// The guard's word when the tenant has no provider.
const NO_PROVIDER: &str = "no-identity-provider";

/// What became of a step that uses an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::modules) enum IdentityStep {
    Done,
    /// What was read is not so any more, or a record exists: read again.
    ReadAgain,
}

/// An identity that becomes another account's.
pub(in crate::modules) struct IdentityMove<'a> {
    /// The account that has it, and its identities.
    pub(in crate::modules) from: (UserId, &'a LinkedIdentities),
    /// Ends that account's sessions.
    pub(in crate::modules) epoch: &'a str,
}

/// A link of an identity with an account.
pub(in crate::modules) struct IdentityLink<'a> {
    pub(in crate::modules) user: &'a User,
    /// The epoch in which the account's password or session was checked.
    pub(in crate::modules) epoch: Option<String>,
    pub(in crate::modules) identity: &'a LinkedIdentity,
    pub(in crate::modules) token: Option<&'a CheckedIdToken>,
    /// The account's identities before, if it has a record of them.
    pub(in crate::modules) seen: Option<&'a LinkedIdentities>,
    pub(in crate::modules) moved: Option<IdentityMove<'a>>,
    /// What tells the account of it.
    pub(in crate::modules) notice: Option<&'a NewMails>,
}

impl TenantsRepository {
    /// The provider that a tenant trusts.
    pub(in crate::modules) async fn identity_provider(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<IdentityProvider>> {
        let mut script = Script::of(tenant);
        let index = script.read(IdentityProviderRow::key(tenant));
        let row: Option<IdentityProviderRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(IdentityProviderRow::into_type).transpose()
    }

    /// Writes the provider that a tenant trusts, with its audit entry: 2 rows.
    pub(in crate::modules) async fn set_identity_provider(
        &self,
        tenant: &TenantId,
        provider: &IdentityProvider,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let row = IdentityProviderRow::of(tenant, provider);
        script.put(IdentityProviderRow::key(tenant), row);
        add_audit(&mut script, Some(tenant), serial, audit);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Removes the provider that a tenant trusts, with an audit entry: 2 rows. Returns whether there was one.
    pub(in crate::modules) async fn remove_identity_provider(
        &self,
        tenant: &TenantId,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let key = script.bind(IdentityProviderRow::key(tenant));
        script.require(format!("DELETE {key} RETURN BEFORE"), NO_PROVIDER);
        add_audit(&mut script, Some(tenant), serial, audit);
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(NO_PROVIDER) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl UsersRepository {
    /// The account of an identity.
    pub(in crate::modules) async fn identity(
        &self,
        tenant: &TenantId,
        (issuer, subject): (&str, &str),
    ) -> Result<Option<UserId>> {
        let mut script = Script::of(tenant);
        let index = script.read(IdentityRow::key(tenant, &digest(issuer, subject)));
        let row: Option<IdentityRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| row.user()).transpose()
    }

    /// The identities of an account, if it has a record of them.
    pub(in crate::modules) async fn identities(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Option<LinkedIdentities>> {
        let mut script = Script::of(tenant);
        let index = script.read(UserIdentitiesRow::key(tenant, user));
        let row: Option<UserIdentitiesRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(UserIdentitiesRow::into_type).transpose()
    }

    /// Returns whether an ID token was exchanged.
    pub(in crate::modules) async fn is_id_token_used(
        &self,
        tenant: &TenantId,
        token: &CheckedIdToken,
    ) -> Result<bool> {
        let mut script = Script::of(tenant);
        let index = script.read(UsedIdTokenRow::key(tenant, &token.digest));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(!rows.is_empty())
    }

    /// Uses an ID token for a sign-in, if the identity is still the account's: 1 row.
    pub(in crate::modules) async fn use_identity(
        &self,
        tenant: &TenantId,
        (issuer, subject): (&str, &str),
        user: UserId,
        (token, now): (&CheckedIdToken, Timestamp),
    ) -> Result<IdentityStep> {
        let mut script = Script::transaction(tenant);
        let id = script.bind(IdentityRow::key(tenant, &digest(issuer, subject)));
        let own = script.bind(user.ulid().to_string());
        // Read for an update: an unlink at the same time conflicts with it.
        script.push(format!(
            "IF (SELECT VALUE user FROM ONLY {id} FOR UPDATE) != {own} {{ THROW '{IDENTITY_MOVED}' }}"
        ));
        add_token_use(&mut script, tenant, Some(token), now);
        outcome(self.db.run_retrying(&script).await)
    }

    /// Links an identity with an account: at most 8 rows, and the sessions of the account that it is moved from.
    pub(in crate::modules) async fn link_identity(
        &self,
        link: &IdentityLink<'_>,
    ) -> Result<IdentityStep> {
        let (tenant, user, identity) = (&link.user.tenant, link.user.id, link.identity);
        let mut script = Script::transaction(tenant);
        let account = script.bind(UserRow::key(tenant, user));
        let epoch = script.bind(link.epoch.clone());
        // Whoever ended the account's sessions meanwhile ended what allows this.
        script.push(format!(
            "IF (SELECT VALUE session_epoch FROM ONLY {account} FOR UPDATE) != {epoch} {{ THROW '{STALE_IDENTITIES}' }}"
        ));
        add_token_use(&mut script, tenant, link.token, identity.linked_at);
        if let Some(moved) = &link.moved {
            let (from, identities) = moved.from;
            let id = script.bind(IdentityRow::key(tenant, &digest_of(identity)));
            let (own, old) = (user.ulid().to_string(), from.ulid().to_string());
            let (own, old) = (script.bind(own), script.bind(old));
            let moving =
                format!("UPDATE {id} SET user = {own} WHERE user = {old} RETURN VALUE user");
            script.require(moving, IDENTITY_MOVED);
            let mut rest = identities.clone();
            rest.items
                .retain(|one| digest_of(one) != digest_of(identity));
            replace_identities(&mut script, tenant, from, (identities.revision, rest));
            let owner = SessionOwner::User {
                tenant: tenant.clone(),
                user: from,
            };
            add_end_of_sessions(&mut script, &owner, None, moved.epoch);
        } else {
            let row = IdentityRow::of(tenant, &digest_of(identity), user);
            script.insert("identity", [row]);
        }
        match link.seen {
            Some(seen) => {
                let mut identities = seen.clone();
                identities.items.push(identity.clone());
                replace_identities(&mut script, tenant, user, (seen.revision, identities));
            }
            None => insert_identities(&mut script, tenant, user, identity),
        }
        if let Some(notice) = link.notice {
            add_mails(&mut script, tenant, notice)?;
        }
        outcome(self.db.run_retrying(&script).await)
    }

    /// Unlinks one of an account's identities: 2 rows.
    pub(in crate::modules) async fn unlink_identity(
        &self,
        tenant: &TenantId,
        user: UserId,
        seen: &LinkedIdentities,
        identity: &LinkedIdentity,
    ) -> Result<IdentityStep> {
        let mut script = Script::transaction(tenant);
        let mut rest = seen.clone();
        rest.items.retain(|one| one.id != identity.id);
        replace_identities(&mut script, tenant, user, (seen.revision, rest));
        script.remove([IdentityRow::key(tenant, &digest_of(identity))]);
        outcome(self.db.run_retrying(&script).await)
    }
}

/// Uses an ID token, if the tenant's provider is still the one that it was checked with: 1 row.
fn add_token_use(
    script: &mut Script,
    tenant: &TenantId,
    token: Option<&CheckedIdToken>,
    now: Timestamp,
) {
    if let Some(token) = token {
        let version = IdentityProviderRow::version(token.provider_changed_at);
        script.require_version(IdentityProviderRow::key(tenant), version, STALE_PROVIDER);
        script.insert("used_id_token", [UsedIdTokenRow::of(tenant, token, now)]);
    }
}

/// Links an identity with an account that the same script writes: 3 rows.
pub(super) fn add_identity(
    script: &mut Script,
    user: &User,
    identity: &LinkedIdentity,
    token: Option<&CheckedIdToken>,
) {
    let tenant = &user.tenant;
    add_token_use(script, tenant, token, identity.linked_at);
    let row = IdentityRow::of(tenant, &digest_of(identity), user.id);
    script.insert("identity", [row]);
    insert_identities(script, tenant, user.id, identity);
}

/// Unlinks all identities of an account, for a step that writes the account's epoch: at most 11 rows.
pub(super) fn add_end_of_identities(script: &mut Script, tenant: &TenantId, user: UserId) {
    let id = script.bind(UserIdentitiesRow::key(tenant, user));
    script.push(format!(
        "DELETE ((SELECT VALUE items.login FROM ONLY {id}) ?? []) RETURN NONE"
    ));
    script.push(format!("DELETE {id} RETURN NONE"));
}

fn insert_identities(
    script: &mut Script,
    tenant: &TenantId,
    user: UserId,
    identity: &LinkedIdentity,
) {
    let first = LinkedIdentities {
        revision: 1,
        items: vec![identity.clone()],
    };
    let row = UserIdentitiesRow::of(tenant, user, &first, digest_of);
    script.insert("user_identities", [row]);
}

fn replace_identities(
    script: &mut Script,
    tenant: &TenantId,
    user: UserId,
    (seen, identities): (i64, LinkedIdentities),
) {
    let next = LinkedIdentities {
        revision: seen + 1,
        ..identities
    };
    let row = UserIdentitiesRow::of(tenant, user, &next, digest_of);
    let key = UserIdentitiesRow::key(tenant, user);
    script.replace_if(key, seen, row, STALE_IDENTITIES);
}

/// The outcome of a step that uses an ID token, or changes identities.
///
/// # Errors
/// `conflict-try-again` if the tenant has another provider by now.
pub(super) fn outcome<T>(result: Result<T, StepError>) -> Result<IdentityStep> {
    match result {
        Ok(_) => Ok(IdentityStep::Done),
        Err(StepError::Exists(_)) => Ok(IdentityStep::ReadAgain),
        Err(error) if error.is_any_guard(&[IDENTITY_MOVED, STALE_IDENTITIES]) => {
            Ok(IdentityStep::ReadAgain)
        }
        Err(error) if error.is_guard(STALE_PROVIDER) => Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "The tenant's identity provider was changed meanwhile; sign in there again.",
        )),
        Err(error) => Err(error.into()),
    }
}

/// The moment of a new setting: later than the one before, whatever the clock says.
pub(in crate::modules) fn later_than(now: Timestamp, before: Option<Timestamp>) -> Timestamp {
    let next = before.and_then(|before| {
        let next = before.as_millisecond().checked_add(1)?;
        Timestamp::from_millisecond(next).ok()
    });
    next.map_or(now, |next| next.max(now))
}

fn digest_of(identity: &LinkedIdentity) -> String {
    digest(&identity.issuer, &identity.subject)
}

/// Names an identity. An issuer has no line break, so it ends where the subject begins.
fn digest(issuer: &str, subject: &str) -> String {
    let mut digest = Sha256::new();
    digest.update(issuer);
    digest.update(b"\n");
    digest.update(subject);
    let bytes = digest.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
