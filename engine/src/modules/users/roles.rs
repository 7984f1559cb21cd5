//! The rules of what users may do: their roles, and suspensions.
//!
//! Invariant: a tenant that has an owner keeps one who may sign in. Called by app_modules; calls the users repository.

use super::UsersModule;
use crate::modules::repositories::{ChangedRights, MemberChanged};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{AuditEntry, ChangeMember, TenantId, User, UserId, UserRole},
};

/// Attempts against others that change the same user. Few are enough, because owners are few.
const TRIES_MAX: u32 = 8;

impl UsersModule {
    /// Changes a user's role or metadata, or suspends them, or ends that. What is the same already changes nothing.
    ///
    /// # Errors
    /// `not-found`, `last-owner`, `field-invalid` for an owner without a confirmed address, `conflict-try-again`.
    pub(crate) async fn change_member(
        &self,
        (tenant, user): (&TenantId, UserId),
        change: &ChangeMember,
        audit: impl Fn(&User, &User) -> AuditEntry,
    ) -> Result<User> {
        for _ in 0..TRIES_MAX {
            let before = self.repository.find(tenant, user).await?;
            let before = before.ok_or_else(|| Error::not_found("user", user))?;
            let before = Self::require_live(before)?;
            let after = User {
                role: change.role.unwrap_or(before.role),
                is_suspended: change.is_suspended.unwrap_or(before.is_suspended),
                metadata: before.metadata.merged("metadata", &change.metadata)?,
                ..before.clone()
            };
            if after == before {
                return Ok(after);
            }
            let has_other_rights =
                (after.role, after.is_suspended) != (before.role, before.is_suspended);
            if has_other_rights && after.role == UserRole::Owner && !after.email_verified {
                return Err(Error::field(
                    "role",
                    "Only somebody with a confirmed address can be an owner.",
                ));
            }
            let audit = has_other_rights.then(|| audit(&before, &after));
            let rights = audit.as_ref().map(|audit| ChangedRights {
                epoch: self.context.next_id().to_string(),
                audit: (self.context.next_id(), audit),
            });
            let changed = self.repository.change_member(&before, &after, rights);
            match changed.await? {
                MemberChanged::Done => return Ok(after),
                MemberChanged::LastOwner => return Err(last_owner()),
                MemberChanged::Stale => {}
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "Others are changing this user at the same time; try again.",
        ))
    }
}

pub(super) fn last_owner() -> Error {
    Error::new(
        ErrorCode::LastOwner,
        "This is the tenant's last owner who may sign in: make somebody else an owner first.",
    )
}

/// Refuses an account that may not sign in.
pub(crate) fn require_not_suspended(user: &User) -> Result<()> {
    match user.is_suspended {
        false => Ok(()),
        true => Err(Error::new(
            ErrorCode::AccountSuspended,
            "An owner has suspended this account; ask them.",
        )),
    }
}
