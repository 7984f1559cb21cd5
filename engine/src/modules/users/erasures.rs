//! The rules of erasing a person's data.
//!
//! Invariants: what counts (bookings, ledgers, totals) stays under the account's id; nothing that names the person is left once the
//! second look is over. What a request that began before the erasure writes is found by that look. Called by app_modules and
//! housekeeping; calls the users repository.

use std::time::Duration;

use super::UsersModule;
use crate::modules::bookings::policy_check::pseudonym;
use crate::modules::repositories::{ErasureStep, MemberChanged, SystemScope};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{AuditEntry, Erasure, Page, PageRequest, TenantId, User, UserId},
};

/// When what was recorded is looked through again: longer than any request may take.
const LOOKED_AT_AGAIN_AFTER: Duration = Duration::from_secs(10 * 60);
/// Attempts against others that change the same account.
const TRIES_MAX: u32 = 8;
/// Shortest name that records are searched for: a shorter one is part of too many words.
const NAME_CHARACTERS_MIN: usize = 4;

impl UsersModule {
    /// Erases a person's data. An account that was erased stays as it is.
    ///
    /// # Errors
    /// `not-found`, `last-owner`, `conflict-try-again`.
    pub(crate) async fn erase(
        &self,
        (tenant, user): (&TenantId, UserId),
        audit: &AuditEntry,
    ) -> Result<User> {
        // What was sold to the person before they had an account. First, because the account names them.
        for guest in self.repository.guests_of(tenant, user).await? {
            Box::pin(self.erase((tenant, guest), audit)).await?;
        }
        for _ in 0..TRIES_MAX {
            let before = self.repository.find(tenant, user).await?;
            let before = before.ok_or_else(|| Error::not_found("user", user))?;
            if before.erased_at.is_some() {
                return Ok(before);
            }
            let at = self.context.now();
            let after = before.erased(at);
            let erasure = Erasure {
                tenant: tenant.clone(),
                user,
                at,
            };
            let teams = self.repository.teams(tenant, user).await?;
            let epoch = self.context.next_id().to_string();
            let step = ErasureStep {
                before: &before,
                after: &after,
                teams: &teams,
                erasure: &erasure,
                due: at
                    .checked_add(LOOKED_AT_AGAIN_AFTER)
                    .map_err(Error::internal)?,
                epoch: &epoch,
                audit: (self.context.next_id(), audit),
            };
            match self.repository.erase(&step).await? {
                MemberChanged::Done => {
                    self.forget_recorded(tenant, user, &texts_of(&before))
                        .await?;
                    return Ok(after);
                }
                MemberChanged::LastOwner => return Err(super::roles::last_owner()),
                MemberChanged::Stale => {}
            }
        }
        Err(Error::new(
            ErrorCode::ConflictTryAgain,
            "This account is being changed by others at the same time; try again.",
        ))
    }

    /// Refuses a wrong password of an account.
    ///
    /// # Errors
    /// `wrong-credentials`, also for an account without a password.
    pub(crate) async fn require_password(
        &self,
        (tenant, user): (&TenantId, UserId),
        password: String,
    ) -> Result<()> {
        let account = self.repository.with_password(tenant, user).await?;
        let found = self.checked(password, account).await?;
        found.map(drop).ok_or_else(super::wrong_credentials)
    }

    /// Removes what was recorded about a person: answers to requests, and what policies and plugins were told and said. May be repeated.
    async fn forget_recorded(
        &self,
        tenant: &TenantId,
        user: UserId,
        texts: &[String],
    ) -> Result<()> {
        let repository = &self.repository;
        while repository.forget_answers(tenant, user).await? {}
        to_the_end(|after| repository.blank_decisions(tenant, user, after)).await?;
        to_the_end(|after| repository.blank_holds(tenant, user, after)).await?;
        to_the_end(|after| repository.blank_waiting(tenant, user, after)).await?;
        to_the_end(|after| repository.blank_payments(tenant, user, after)).await?;
        to_the_end(|after| repository.blank_received(tenant, user, after)).await?;
        to_the_end(|after| repository.blank_changes(tenant, user, after)).await?;
        repository.forget_notes(tenant, texts).await
    }

    /// Looks again through what was recorded about people who were erased a while ago. Returns whether there may be more.
    pub(crate) async fn finish_erasures(&self) -> Result<bool> {
        let now = self.context.now();
        let due = self
            .repository
            .due_erasures(SystemScope::new(), now)
            .await?;
        for (at, tenant, user) in &due {
            let texts = ids_of(tenant, *user);
            self.forget_recorded(tenant, *user, &texts).await?;
            self.repository.finish_erasure(*at, (tenant, *user)).await?;
        }
        Ok(!due.is_empty())
    }

    /// A page of the erased accounts of all tenants, in the order of tenant and id.
    pub(crate) async fn erasures(&self, page: &PageRequest) -> Result<Page<Erasure>> {
        let after = match &page.cursor {
            None => None,
            Some(cursor) => {
                let parts = cursor.split_once('.').and_then(|(tenant, user)| {
                    Some((TenantId::parse(tenant).ok()?, user.parse().ok()?))
                });
                Some(parts.ok_or_else(PageRequest::not_a_cursor)?)
            }
        };
        let (scope, max) = (SystemScope::new(), page.limit + 1);
        let found = self.repository.erasures(scope, after.as_ref(), max).await?;
        Ok(page.cut(found, |one| format!("{}.{}", one.tenant, one.user)))
    }

    /// Refuses an account that was erased.
    pub(super) fn require_live(user: User) -> Result<User> {
        match user.erased_at {
            None => Ok(user),
            Some(_) => Err(Error::not_found("user", user.id)),
        }
    }
}

/// An account's id, and what policies see in its place, in lower case.
fn ids_of(tenant: &TenantId, user: UserId) -> Vec<String> {
    vec![user.to_string().to_lowercase(), pseudonym(tenant, user)]
}

/// What names a person in records, in lower case.
fn texts_of(user: &User) -> Vec<String> {
    let mut texts = ids_of(&user.tenant, user.id);
    texts.push(user.email.as_str().to_lowercase());
    texts.extend(user.external_id.iter().map(|id| id.to_lowercase()));
    let name = user.name.as_str();
    if name.chars().count() >= NAME_CHARACTERS_MIN {
        texts.push(name.to_lowercase());
    }
    texts
}

/// Repeats a step, each time after what the last one looked at, until nothing is left.
async fn to_the_end<P: Copy, F: Future<Output = Result<Option<P>>>>(
    step: impl Fn(Option<P>) -> F,
) -> Result<()> {
    let mut after = None;
    loop {
        after = step(after).await?;
        if after.is_none() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::types::{EmailAddress, Label, Metadata, UserRole};

    #[test]
    fn a_person_is_searched_for_by_what_names_them() {
        let mut user = User {
            id: "01hzy0000000000000000000ab".parse().unwrap(),
            tenant: TenantId::parse("north").unwrap(),
            email: EmailAddress::parse("email", "Ann@Example.org").unwrap(),
            email_verified: true,
            name: Label::parse("name", "Ann").unwrap(),
            role: UserRole::Customer,
            external_id: None,
            metadata: Metadata::default(),
            is_suspended: false,
            erased_at: None,
            created_at: Timestamp::UNIX_EPOCH,
        };
        assert!(!texts_of(&user).contains(&"ann".to_owned()));
        user.name = Label::parse("name", "Ann Example").unwrap();
        let texts = texts_of(&user);
        assert!(texts.contains(&"ann example".to_owned()));
        assert!(texts.contains(&"ann@example.org".to_owned()), "{texts:?}");
        let left = user.erased(Timestamp::UNIX_EPOCH);
        assert_eq!(left.id, user.id);
        assert!(!format!("{left:?}").to_lowercase().contains("ann"));
    }
}
