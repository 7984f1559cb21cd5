//! The rules of invitations to work for a tenant.
//!
//! Invariants: an invitation gives nothing before its link is used, the link works once, and an address has at most one. Called by
//! app_modules; calls the users repository.

use super::{UsersModule, email_taken};
use crate::modules::repositories::Invited;
use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        AccountLinkPurpose, AuditEntry, INVITATIONS_MAX, Invitation, Invite, NotificationKind,
        TenantId, UserId,
    },
};

impl UsersModule {
    /// Writes an invitation and mails its link, or renews the one that the address has. Two that are made at once may exceed the
    /// limit by one.
    ///
    /// # Errors
    /// `email-taken` if an account owns the address; `too-many-invitations`; `too-many-requests`; `conflict-try-again`.
    pub(crate) async fn invite(
        &self,
        tenant: &TenantId,
        command: Invite,
        invited_by: Option<UserId>,
        audit: impl FnOnce(&Invitation) -> AuditEntry,
    ) -> Result<Invitation> {
        let repository = &self.repository;
        let (owner, _) = repository.address(tenant, &command.email).await?;
        if owner.is_some() {
            return Err(email_taken());
        }
        let seen = repository.invitation(tenant, &command.email).await?;
        if seen.is_none() && repository.invitations(tenant).await?.len() >= INVITATIONS_MAX {
            return Err(too_many());
        }
        let Invite { email, name, role } = command;
        let mut user = self.new_user(tenant, email, name, role, None);
        user.email_verified = false;
        user.id = seen.as_ref().map_or(user.id, |seen| seen.user);
        let now = user.created_at;
        let purpose = AccountLinkPurpose::AcceptInvitation;
        let invitation = Invitation {
            user: user.id,
            email: user.email.clone(),
            name: user.name.clone(),
            role,
            invited_by,
            invited_at: now,
            expires_at: now
                .checked_add(purpose.duration())
                .map_err(Error::internal)?,
        };
        let kind = NotificationKind::Invitation;
        let (notification, mails) = self.account_mail(&user, kind);
        let mail = self.counted(notification, kind, &mails);
        let audit = audit(&invitation);
        let entry = (self.context.next_id(), &audit);
        let people = (&user, &invitation);
        match repository
            .invite(people, seen.as_ref(), &mail, entry)
            .await?
        {
            Invited::Done => {
                self.context.outbox_added.notify_one();
                Ok(invitation)
            }
            Invited::TooOften => Err(too_often()),
            Invited::Stale => Err(invited_meanwhile()),
        }
    }

    /// A tenant's invitations that wait for an answer, the newest first, the expired ones included.
    pub(crate) async fn invitations(&self, tenant: &TenantId) -> Result<Vec<Invitation>> {
        let mut found = self.repository.invitations(tenant).await?;
        found.sort_by_key(|one| std::cmp::Reverse((one.invited_at, one.user)));
        Ok(found)
    }

    /// Deletes an invitation: its link is invalid from then on.
    ///
    /// # Errors
    /// `not-found`, also if it was accepted.
    pub(crate) async fn withdraw(
        &self,
        tenant: &TenantId,
        user: UserId,
        audit: impl FnOnce(&Invitation) -> AuditEntry,
    ) -> Result<()> {
        let nobody = || Error::not_found("invitation", user);
        let found = self.repository.invitations(tenant).await?;
        let invitation = found.into_iter().find(|one| one.user == user);
        let invitation = invitation.ok_or_else(nobody)?;
        let audit = audit(&invitation);
        let entry = (self.context.next_id(), &audit);
        match self.repository.withdraw(tenant, &invitation, entry).await? {
            true => Ok(()),
            false => Err(nobody()),
        }
    }
}

fn too_many() -> Error {
    Error::new(
        ErrorCode::TooManyInvitations,
        format!(
            "{INVITATIONS_MAX} invitations wait for an answer, the most of a tenant: withdraw some first."
        ),
    )
}

fn too_often() -> Error {
    Error::new(
        ErrorCode::TooManyRequests,
        "This address got as many invitations today as it may get in a day.",
    )
    .retry_after(std::time::Duration::from_secs(24 * 3_600))
}

fn invited_meanwhile() -> Error {
    Error::new(
        ErrorCode::ConflictTryAgain,
        "This address was invited, or answered, at the same time; look at the list.",
    )
}
