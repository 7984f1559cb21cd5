//! Storage steps of invitations and of changes of roles.
//!
//! An invitation has an account from its beginning, without a password and without a login, so that nobody finds it by its
//! address. Accepting it is [`UsersRepository::confirm`], which removes the invitation. Called by the users module; calls models.

use ulid::Ulid;

use super::{
    accounts::{AccountMail, add_count},
    db::{Script, StepError},
    delivery_admin::add_audit,
    models::{InvitationRow, OwnerRow, UserRow, json_of, millisecond},
    notifications::add_mails,
    sessions::{add_end_of_sessions, log_entry},
    users::UsersRepository,
};
use crate::{
    error::Result,
    types::{
        AuditEntry, ChangeKind, EmailAddress, Invitation, SessionOwner, TenantId, User, UserId,
        UserRole, VerificationRequest,
    },
};

/// The guard's word when an address got as many invitations on that day.
const INVITED_TOO_OFTEN: &str = "invited-too-often";
/// The guard's word when an invitation or an account is another by now.
pub(super) const STALE_MEMBER: &str = "stale-member";
/// The guard's word when no other owner would be left.
const LAST_OWNER: &str = "last-owner";

/// What became of an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::modules) enum Invited {
    Done,
    /// The address got as many invitations on that day.
    TooOften,
    /// A concurrent change came first.
    Stale,
}

/// What became of a change of what a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::modules) enum MemberChanged {
    Done,
    /// No other owner would be left.
    LastOwner,
    /// A concurrent change came first.
    Stale,
}

impl MemberChanged {
    pub(super) fn of<T>(outcome: Result<T, StepError>) -> Result<Self> {
        match outcome {
            Ok(_) => Ok(Self::Done),
            Err(error) if error.is_guard(STALE_MEMBER) => Ok(Self::Stale),
            Err(error) if error.is_guard(LAST_OWNER) => Ok(Self::LastOwner),
            Err(error) => Err(error.into()),
        }
    }
}

impl UsersRepository {
    /// Writes an invitation with its account, or renews that of `seen`, and adds the mail: at most 7 rows.
    pub(in crate::modules) async fn invite(
        &self,
        (user, invitation): (&User, &Invitation),
        seen: Option<&Invitation>,
        mail: &AccountMail<'_>,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<Invited> {
        let tenant = &user.tenant;
        let mut script = Script::transaction(tenant);
        add_count(&mut script, "$may_go", invitation.email.as_str(), mail);
        script.push(format!("IF !$may_go {{ THROW '{INVITED_TOO_OFTEN}' }}"));
        match seen {
            None => {
                script.insert("invitation", [InvitationRow::of(tenant, invitation)]);
                let asked = VerificationRequest {
                    at: invitation.invited_at,
                    mails: 1,
                };
                script.happens(user.created_at);
                let row = UserRow::of(user, None, Some(&asked));
                let row = script.telling(ChangeKind::CustomerCreated, row);
                script.insert("user", [row]);
            }
            Some(seen) => {
                let id = script.bind(InvitationRow::key(tenant, &invitation.email));
                let row = script.bind(InvitationRow::of(tenant, invitation));
                let own = script.bind(seen.user.ulid().to_string());
                let at = script.bind(millisecond(seen.invited_at));
                script.require(
                    format!(
                        "UPDATE {id} CONTENT {row} WHERE user = {own} AND invited_at = {at} RETURN VALUE id"
                    ),
                    STALE_MEMBER,
                );
                let account = script.bind(UserRow::key(tenant, user.id));
                let name = script.bind(user.name.as_str().to_owned());
                let role = script.bind(user.role.as_str().to_owned());
                script.require(
                    format!(
                        "UPDATE {account} SET name = {name}, role = {role} WHERE password_hash = NONE RETURN VALUE id"
                    ),
                    STALE_MEMBER,
                );
                let account = UserRow::key(tenant, user.id);
                script.tell(ChangeKind::CustomerUpdated, account);
            }
        }
        add_mails(&mut script, tenant, mail.mails)?;
        add_audit(&mut script, Some(tenant), serial, audit);
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(Invited::Done),
            Err(StepError::Exists(_)) => Ok(Invited::Stale),
            Err(error) if error.is_guard(STALE_MEMBER) => Ok(Invited::Stale),
            Err(error) if error.is_guard(INVITED_TOO_OFTEN) => Ok(Invited::TooOften),
            Err(error) => Err(error.into()),
        }
    }

    /// A tenant's invitations, in no order. Their number is limited, so the range may be read to its end.
    pub(in crate::modules) async fn invitations(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<Invitation>> {
        let mut script = Script::of(tenant);
        let index = script.read_under("invitation", [tenant.as_str().to_owned()]);
        let rows: Vec<InvitationRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let ids: Vec<UserId> = rows
            .iter()
            .map(InvitationRow::user)
            .collect::<Result<_>>()?;
        let users = self.find_many(tenant, &ids).await?;
        let of = |row: InvitationRow| {
            let user = row.user();
            let account = user.map(|id| users.iter().find(|user| user.id == id));
            match account {
                Ok(Some(account)) => Some(row.into_type(account)),
                // It was accepted or withdrawn between the two reads.
                Ok(None) => None,
                Err(error) => Some(Err(error)),
            }
        };
        rows.into_iter().filter_map(of).collect()
    }

    /// Deletes an invitation with its account: 3 rows. Returns false if it was accepted, renewed or withdrawn.
    pub(in crate::modules) async fn withdraw(
        &self,
        tenant: &TenantId,
        invitation: &Invitation,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let id = script.bind(InvitationRow::key(tenant, &invitation.email));
        let own = script.bind(invitation.user.ulid().to_string());
        script.require(
            format!("DELETE {id} WHERE user = {own} RETURN BEFORE"),
            STALE_MEMBER,
        );
        let account = script.bind(UserRow::key(tenant, invitation.user));
        script.push(format!("DELETE {account} RETURN NONE"));
        add_audit(&mut script, Some(tenant), serial, audit);
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(STALE_MEMBER) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes a user's metadata, and what they may do: 1 row. Other rights are told to all hosts, and a suspension ends the
    /// user's sessions: 6 rows more, and the sessions. Guard: the user is as they were read.
    pub(in crate::modules) async fn change_member(
        &self,
        before: &User,
        after: &User,
        rights: Option<ChangedRights<'_>>,
    ) -> Result<MemberChanged> {
        let tenant = &after.tenant;
        let mut script = Script::transaction(tenant);
        let id = script.bind(UserRow::key(tenant, after.id));
        let (role, old_role) = (
            script.bind(after.role.as_str().to_owned()),
            script.bind(before.role.as_str().to_owned()),
        );
        let (suspended, was_suspended) = (
            script.bind(after.is_suspended),
            script.bind(before.is_suspended),
        );
        let (metadata, old_metadata) = (
            script.bind(json_of(&after.metadata)),
            script.bind(json_of(&before.metadata)),
        );
        script.require(
            format!(
                "UPDATE {id} SET role = {role}, suspended = {suspended}, metadata = {metadata} \
                 WHERE role = {old_role} AND (suspended ?? false) = {was_suspended} \
                 AND metadata = {old_metadata} AND erased_at = NONE RETURN VALUE id"
            ),
            STALE_MEMBER,
        );
        script.tell(ChangeKind::CustomerUpdated, UserRow::key(tenant, after.id));
        if let Some(rights) = rights {
            add_rights(&mut script, before, after, rights);
        }
        MemberChanged::of(self.db.run_retrying(&script).await)
    }

    /// An invitation of an address.
    pub(in crate::modules) async fn invitation(
        &self,
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> Result<Option<Invitation>> {
        let mut script = Script::of(tenant);
        let index = script.read(InvitationRow::key(tenant, email));
        let row: Option<InvitationRow> = self.db.run_retrying(&script).await?.row(index)?;
        let Some(row) = row else { return Ok(None) };
        let user = self.find(tenant, row.user()?).await?;
        user.map(|user| row.into_type(&user)).transpose()
    }
}

/// What a change of somebody's rights writes beside their account.
pub(in crate::modules) struct ChangedRights<'a> {
    /// The epoch of their sessions from then on, if they are suspended.
    pub(in crate::modules) epoch: String,
    pub(in crate::modules) audit: (Ulid, &'a AuditEntry),
}

fn add_rights(script: &mut Script, before: &User, after: &User, rights: ChangedRights<'_>) {
    add_owner_change(script, before, after);
    let sessions = SessionOwner::User {
        tenant: after.tenant.clone(),
        user: after.id,
    };
    if after.is_suspended && !before.is_suspended {
        add_end_of_sessions(script, &sessions, None, &rights.epoch);
    } else {
        let log = log_entry(script, &sessions);
        script.push(format!("{{ {log} }}"));
    }
    let (serial, audit) = rights.audit;
    add_audit(script, Some(&after.tenant), serial, audit);
}

/// Adds or removes somebody among the tenant's owners if a change of their account means that. Guard: whoever removes an owner
/// writes the tenant's `owner_guard`, so that two owners cannot remove each other.
pub(super) fn add_owner_change(script: &mut Script, before: &User, after: &User) {
    let owner = OwnerRow::of(&after.tenant, after.id);
    match (is_active_owner(before), is_active_owner(after)) {
        (true, false) => {
            script.push("UPSERT owner_guard:[$tenant] SET writes += 1 RETURN NONE");
            script.remove([owner.id]);
            script.push(format!(
                "IF (SELECT VALUE id FROM owner:[$tenant]..[$tenant, ..] LIMIT 1) = [] {{ THROW '{LAST_OWNER}' }}"
            ));
        }
        (false, true) => script.put(owner.id.clone(), owner),
        _ => {}
    }
}

/// Whether somebody runs the tenant: an owner who may sign in, and accepted that.
fn is_active_owner(user: &User) -> bool {
    user.role == UserRole::Owner && user.email_verified && !user.is_suspended
}
