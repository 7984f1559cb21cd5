//! The rules of identities of an OpenID provider: accounts that sign in with them, links and unlinks.
//!
//! Invariants: an identity belongs to at most one account. An existing account gets one only from its own signed-in user, never by
//! an address. An ID token is used once. An account keeps a way to sign in. Called by app_modules; calls the users repository.

use super::{UsersModule, sign_ups::SignUpMails};
use crate::modules::repositories::{IdentityAccount, IdentityLink, IdentityMove, IdentityStep};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        EmailAddress, IdentityId, Label, LinkedIdentities, LinkedIdentity, NotificationKind,
        TenantId, User, UserId, UserRole, VerificationRequest, VerifiedIdentity,
    },
};

/// Identities of one account: more than anybody has, and few for one record.
const IDENTITIES_MAX: usize = 10;
/// Attempts against others that change the same identity.
const ROUNDS_MAX: u32 = 4;

impl UsersModule {
    /// Returns whether an identity belongs to an account.
    pub(crate) async fn knows_identity(
        &self,
        tenant: &TenantId,
        identity: &VerifiedIdentity,
    ) -> Result<bool> {
        Ok(self.account_of(tenant, identity).await?.is_some())
    }

    /// The account of an identity, which is made if there is none, and the epoch of its sessions before the ID token was used.
    pub(crate) async fn sign_in_with(
        &self,
        tenant: &TenantId,
        identity: &VerifiedIdentity,
        confirms: bool,
    ) -> Result<(User, Option<String>)> {
        for _ in 0..ROUNDS_MAX {
            let Some(user) = self.account_of(tenant, identity).await? else {
                match self.create_for(tenant, identity, confirms).await? {
                    Some(user) => return Ok((user, None)),
                    None => continue,
                }
            };
            // Before the identity is checked for good, as with passwords.
            let epoch = self.repository.session_epochs(tenant, &[user]).await?;
            let Some(found) = self.repository.find(tenant, user).await? else {
                return Err(Error::not_found("user", user));
            };
            let key = (identity.issuer.as_str(), identity.subject.as_str());
            if let Some(token) = &identity.token {
                let now = self.context.now();
                let using = self
                    .repository
                    .use_identity(tenant, key, user, (token, now));
                if using.await? == IdentityStep::ReadAgain {
                    self.require_unused(tenant, identity).await?;
                    continue;
                }
            }
            let user = self.confirmed_by(found, identity).await?;
            return Ok((user, epoch.into_iter().next().flatten()));
        }
        Err(changed_meanwhile())
    }

    /// Links an identity with an account. `password` is the account's, if it has one; trusted code leaves it out.
    pub(crate) async fn link_identity(
        &self,
        (tenant, user): (&TenantId, UserId),
        identity: &VerifiedIdentity,
        password: PasswordCheck,
    ) -> Result<LinkedIdentity> {
        // Read first: what ends the account's sessions from here on ends this, too.
        let epoch = self.repository.session_epochs(tenant, &[user]).await?;
        let epoch = epoch.into_iter().next().flatten();
        let found = self.checked_for_link((tenant, user), password).await?;
        let linked = LinkedIdentity {
            id: IdentityId::from_ulid(self.context.next_id()),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            linked_at: self.context.now(),
        };
        for _ in 0..ROUNDS_MAX {
            let seen = self.repository.identities(tenant, user).await?;
            let owner = self.account_of(tenant, identity).await?;
            if owner == Some(user) {
                let items = seen.map(|seen| seen.items).unwrap_or_default();
                if let Some(present) = items.into_iter().find(|one| is_same(one, identity)) {
                    return Ok(present);
                }
                continue;
            }
            let others = seen.as_ref().map_or(&[][..], |seen| &seen.items);
            require_room(others, identity)?;
            let from = match owner {
                Some(owner) => Some((owner, self.movable(tenant, owner).await?)),
                None => None,
            };
            let ended = self.context.next_id().to_string();
            let (_, notice) = self.account_mail(&found, NotificationKind::IdentityLinked);
            let link = IdentityLink {
                notice: found.email_verified.then_some(&notice),
                user: &found,
                epoch: epoch.clone(),
                identity: &linked,
                token: identity.token.as_ref(),
                seen: seen.as_ref(),
                moved: from.as_ref().map(|(owner, identities)| IdentityMove {
                    from: (*owner, identities),
                    epoch: &ended,
                }),
            };
            match self.repository.link_identity(&link).await? {
                IdentityStep::Done => {
                    self.context.outbox_added.notify_one();
                    return Ok(linked);
                }
                IdentityStep::ReadAgain => self.require_unused(tenant, identity).await?,
            }
        }
        Err(changed_meanwhile())
    }

    /// The account that an identity is linked with, if the password is right or not needed.
    async fn checked_for_link(
        &self,
        (tenant, user): (&TenantId, UserId),
        password: PasswordCheck,
    ) -> Result<User> {
        let account = self.repository.with_password(tenant, user).await?;
        let (found, hash) = account.ok_or_else(|| Error::not_found("user", user))?;
        let given = match password {
            PasswordCheck::IfAny(given) if hash.is_some() => given.unwrap_or_default(),
            _ => return Ok(found),
        };
        let checked = self.checked(given, Some((found, hash))).await?;
        checked.ok_or_else(|| {
            Error::new(
                ErrorCode::WrongCredentials,
                "Send the account's password as currentPassword.",
            )
        })
    }

    /// The identities of an account, in the order they were linked.
    pub(crate) async fn identities(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Vec<LinkedIdentity>> {
        let found = self.repository.identities(tenant, user).await?;
        Ok(found.map(|found| found.items).unwrap_or_default())
    }

    /// Unlinks one of an account's identities, unless nothing else signs in to the account.
    pub(crate) async fn unlink_identity(
        &self,
        (tenant, user): (&TenantId, UserId),
        id: IdentityId,
    ) -> Result<()> {
        let nobody = || Error::not_found("identity", id);
        for _ in 0..ROUNDS_MAX {
            let seen = self.repository.identities(tenant, user).await?;
            let seen = seen.ok_or_else(nobody)?;
            let identity = seen.items.iter().find(|one| one.id == id);
            let identity = identity.ok_or_else(nobody)?;
            if seen.items.len() == 1 {
                // Neither is ever taken away, so it may be read apart.
                let account = self.repository.with_password(tenant, user).await?;
                let is_other_way = account
                    .is_some_and(|(user, hash)| hash.is_some() || user.external_id.is_some());
                if !is_other_way {
                    return Err(Error::new(
                        ErrorCode::LastSignIn,
                        "Nothing else signs in to this account: choose a password first, with a link from \
                        POST /api/auth/password/forgotten.",
                    ));
                }
            }
            let unlinking = self
                .repository
                .unlink_identity(tenant, user, &seen, identity);
            if unlinking.await? == IdentityStep::Done {
                return Ok(());
            }
        }
        Err(changed_meanwhile())
    }

    async fn account_of(
        &self,
        tenant: &TenantId,
        identity: &VerifiedIdentity,
    ) -> Result<Option<UserId>> {
        let key = (identity.issuer.as_str(), identity.subject.as_str());
        self.repository.identity(tenant, key).await
    }

    /// Makes a customer for an identity. Returns `None` if the identity has an account by now.
    ///
    /// An address that the provider did not verify is treated as one that somebody typed at a sign-up. Neither kind of address
    /// leads to an account that exists.
    async fn create_for(
        &self,
        tenant: &TenantId,
        identity: &VerifiedIdentity,
        confirms: bool,
    ) -> Result<Option<User>> {
        let email = identity.email.clone().ok_or_else(|| {
            Error::new(
                ErrorCode::IdTokenInvalid,
                "The ID token has no e-mail address, which a new account needs: ask the provider for the scope `email`.",
            )
        })?;
        let name = identity.name.clone().unwrap_or_else(|| name_from(&email));
        let mut user = self.new_user(tenant, email, name, UserRole::Customer, None);
        user.email_verified = identity.email_verified || !confirms;
        let linked = LinkedIdentity {
            id: IdentityId::from_ulid(self.context.next_id()),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            linked_at: user.created_at,
        };
        let account = IdentityAccount {
            user: &user,
            identity: &linked,
            token: identity.token.as_ref(),
        };
        let written = match user.email_verified {
            true => self.repository.insert_with_identity(&account).await?,
            false => {
                let (asked_at, mails) = (user.created_at, 1);
                let asked = VerificationRequest {
                    at: asked_at,
                    mails,
                };
                let SignUpMails { mails, notice } = self.sign_up_mails(&user).await?;
                let repository = &self.repository;
                let writing = repository.sign_up_with_identity(&account, &asked, &mails, notice);
                let written = writing.await?;
                self.context.outbox_added.notify_one();
                written
            }
        };
        if written == IdentityStep::Done {
            return Ok(Some(user));
        }
        self.require_unused(tenant, identity).await?;
        if self.account_of(tenant, identity).await?.is_some() || !user.email_verified {
            return Ok(None);
        }
        Err(Error::new(
            ErrorCode::IdentityUnlinked,
            "Another account has this address. If it is yours, sign in to it, and link this identity with \
            POST /api/auth/me/identities.",
        ))
    }

    /// Confirms the address of an account if the provider says by now that it is theirs, and no other account owns it.
    async fn confirmed_by(&self, user: User, identity: &VerifiedIdentity) -> Result<User> {
        let is_told = identity.email_verified && identity.email.as_ref() == Some(&user.email);
        if user.email_verified || !is_told {
            return Ok(user);
        }
        let (owner, waiting) = self.repository.address(&user.tenant, &user.email).await?;
        let is_free = owner.is_none_or(|owner| owner.user == user.id);
        let email_verified = is_free && self.own_address(&user, None, waiting).await?;
        Ok(User {
            email_verified,
            ..user
        })
    }

    /// The identities of an account that one of them may be moved from: one that this identity made at its first sign-in, and
    /// whose address was never confirmed. Nobody else has it, and who presents the identity has proved to be the person.
    async fn movable(&self, tenant: &TenantId, owner: UserId) -> Result<LinkedIdentities> {
        let account = self.repository.with_password(tenant, owner).await?;
        let identities = self.repository.identities(tenant, owner).await?;
        let is_temporary = account.is_some_and(|(user, hash)| {
            !user.email_verified && hash.is_none() && user.external_id.is_none()
        });
        let movable = identities.filter(|found| is_temporary && found.items.len() == 1);
        movable.ok_or_else(|| {
            Error::new(
                ErrorCode::IdentityTaken,
                "This identity signs in to another account; sign in to that one and unlink it first.",
            )
        })
    }

    async fn require_unused(&self, tenant: &TenantId, identity: &VerifiedIdentity) -> Result<()> {
        if let Some(token) = &identity.token
            && self.repository.is_id_token_used(tenant, token).await?
        {
            return Err(Error::new(
                ErrorCode::IdTokenInvalid,
                "This ID token was exchanged before; sign in at the provider again.",
            ));
        }
        Ok(())
    }
}

/// Whether linking an identity needs the account's password.
pub(crate) enum PasswordCheck {
    /// If the account has one: a session alone, which may be stolen, gives no lasting way in.
    IfAny(Option<String>),
    /// Trusted code does it.
    None,
}

fn require_room(present: &[LinkedIdentity], identity: &VerifiedIdentity) -> Result<()> {
    if present.iter().any(|one| one.issuer == identity.issuer) {
        return Err(Error::field(
            "idToken",
            "Your account has another identity of this provider; unlink that first.",
        ));
    }
    if present.len() >= IDENTITIES_MAX {
        return Err(Error::field(
            "idToken",
            format!("An account has at most {IDENTITIES_MAX} identities; unlink one first."),
        ));
    }
    Ok(())
}

fn is_same(linked: &LinkedIdentity, identity: &VerifiedIdentity) -> bool {
    (&linked.issuer, &linked.subject) == (&identity.issuer, &identity.subject)
}

/// What somebody without a name is called: their address up to the `@`.
fn name_from(email: &EmailAddress) -> Label {
    let (local, _) = email
        .as_str()
        .split_once('@')
        .unwrap_or((email.as_str(), ""));
    let shown: String = local.chars().take(Label::CHARACTERS_MAX).collect();
    Label::stored(shown)
}

fn changed_meanwhile() -> Error {
    Error::new(
        ErrorCode::ConflictTryAgain,
        "The account's identities were changed at the same time; send the request again.",
    )
}
