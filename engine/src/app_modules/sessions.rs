//! Use cases of sessions: families of refresh tokens with generations, and the caller behind a token.
//!
//! Called by hosts, which sign the tokens. The content of a token (owner, session and generation) is checked here. Calls the
//! sessions and users modules.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::require_not_suspended,
    types::{
        Caller, Label, ListedSession, Login, Principal, Session, SessionId, SessionOwner, User,
        VerifiedIdentity,
    },
};

/// Use cases of sessions.
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<EngineContext>);

impl Sessions {
    /// Opens a session for the acting user, at generation 0, for 30 days. An account has at most 100; another one ends the
    /// oldest.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`, `account-suspended`.
    pub async fn open(&self, caller: &Caller) -> Result<Session> {
        self.open_from(caller, None).await
    }

    /// As [`Self::open`], with what the client calls itself, which [`Self::list`] shows.
    ///
    /// # Errors
    /// As those of [`Self::open`].
    pub async fn open_from(&self, caller: &Caller, device: Option<Label>) -> Result<Session> {
        let id = caller.acting_user()?;
        let owner = SessionOwner::User {
            tenant: caller.tenant()?.clone(),
            user: id,
        };
        let sessions = &self.0.modules.sessions;
        let nobody = || Error::not_found("user", id);
        let epoch = sessions.epoch(&owner).await?.ok_or_else(nobody)?;
        let user = self.user(caller).await?.ok_or_else(nobody)?;
        self.opened(&owner, user, epoch, device).await
    }

    /// Opens a session in the epoch in which its owner's password was right.
    async fn opened(
        &self,
        owner: &SessionOwner,
        user: User,
        epoch: Option<String>,
        device: Option<Label>,
    ) -> Result<Session> {
        require_not_suspended(&user)?;
        let sessions = &self.0.modules.sessions;
        let (id, session) = sessions.open(owner, epoch, device).await?;
        Ok(Session {
            id,
            user,
            generation: session.generation,
            expires_at: session.expires_at,
        })
    }

    /// Checks an address and a password, and opens a session, as [`Self::open_from`]. If the password is replaced meanwhile, the
    /// session has ended with it.
    ///
    /// # Errors
    /// Those of [`Users::login`](crate::Users::login).
    pub async fn sign_in(
        &self,
        visitor: &Caller,
        command: Login,
        device: Option<Label>,
    ) -> Result<Session> {
        let (user, epoch) = self.0.checked_login(visitor, command).await?;
        let owner = SessionOwner::User {
            tenant: user.tenant.clone(),
            user: user.id,
        };
        self.opened(&owner, user, epoch, device).await
    }

    /// Signs in with an identity of an OpenID provider that trusted code has checked, and opens a session as
    /// [`Self::open_from`]. If the identity is unlinked from its account meanwhile with all else that signs in, the session has
    /// ended with it.
    ///
    /// An identity that no account has gets a new customer; roles never come from a provider. An address that the provider has
    /// verified is the account's, unless another account owns it. Any other address is treated as one that was typed at a
    /// [sign-up](crate::Users::register): the account can be used at once, and waits for a confirmation where the tenant asks for it.
    /// An account that exists is never found by its address: its own user
    /// [links](crate::Users::link_identity) the identity.
    ///
    /// # Errors
    /// `forbidden` unless the caller is trusted code; `identity-unlinked` if the address belongs to another account;
    /// `id-token-invalid` if the ID token was used before, or a new account would have no address; `conflict-try-again` if the
    /// tenant's provider was changed meanwhile; `field-invalid`, `not-found` for an unknown tenant.
    pub async fn sign_in_with(
        &self,
        caller: &Caller,
        identity: &VerifiedIdentity,
        device: Option<Label>,
    ) -> Result<Session> {
        caller.require_any(&[], "Only trusted code may sign somebody in.")?;
        identity.validate()?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        let confirms = self.0.asks_to_confirm(&tenant);
        let users = &self.0.modules.users;
        let (user, epoch) = users.sign_in_with(&tenant.id, identity, confirms).await?;
        let owner = SessionOwner::User {
            tenant: tenant.id,
            user: user.id,
        };
        self.opened(&owner, user, epoch, device).await
    }

    /// Exchanges a refresh token's session and generation for the next generation.
    ///
    /// A generation is also accepted for 30 seconds after its exchange, any number of times, and returns the generation
    /// that is current then, because tabs refresh at the same time and responses get lost. Any other generation
    /// ends the whole session, because somebody else has a copy of the token.
    ///
    /// # Errors
    /// `session-ended`.
    pub async fn rotate(
        &self,
        caller: &Caller,
        session: SessionId,
        generation: u32,
    ) -> Result<Session> {
        let owner = caller.session_owner()?;
        let sessions = &self.0.modules.sessions;
        let rotated = sessions.rotate(&owner, session, generation).await?;
        let user = self.user(caller).await?;
        let ended = || Error::new(ErrorCode::SessionEnded, "This session has ended.");
        Ok(Session {
            id: session,
            user: user.ok_or_else(ended)?,
            generation: rotated.generation,
            expires_at: rotated.expires_at,
        })
    }

    /// Ends one of the caller's own sessions. Within a second its tokens are invalid at every
    /// host. Ending an unknown or ended session changes nothing.
    ///
    /// # Errors
    /// `not-authenticated`, `forbidden` for trusted code that names no user, `unavailable`.
    pub async fn end(&self, caller: &Caller, session: SessionId) -> Result<()> {
        let owner = caller.session_owner()?;
        self.0.modules.sessions.end(&owner, session).await?;
        Ok(())
    }

    /// Ends one of the caller's own sessions, as [`Self::end`] does, if it is there.
    ///
    /// # Errors
    /// As those of [`Self::end`], and `not-found`.
    pub async fn end_listed(&self, caller: &Caller, session: SessionId) -> Result<()> {
        let owner = caller.session_owner()?;
        match self.0.modules.sessions.end(&owner, session).await? {
            true => Ok(()),
            false => Err(Error::not_found("session", session)),
        }
    }

    /// Ends the caller's own sessions except the one of the presented token, within a second at every host. For a caller without
    /// a session it ends all.
    ///
    /// # Errors
    /// As those of [`Self::end`].
    pub async fn end_others(&self, caller: &Caller) -> Result<()> {
        let (owner, sessions) = (caller.session_owner()?, &self.0.modules.sessions);
        match caller.session() {
            Some(session) => sessions.end_others(&owner, session).await,
            None => sessions.end_all(&owner).await,
        }
    }

    /// Exchanges the session of the caller's own token for the next generation, without its refresh token. Call it after
    /// something that proves more, such as the password.
    ///
    /// # Errors
    /// `not-authenticated`, `session-ended`, also for callers without a session.
    pub async fn renew(&self, caller: &Caller) -> Result<Session> {
        let ended = || Error::new(ErrorCode::SessionEnded, "This session has ended.");
        let owner = caller.session_owner()?;
        let id = caller.session().ok_or_else(ended)?;
        let renewed = self.0.modules.sessions.renew(&owner, id).await?;
        let user = self.user(caller).await?;
        Ok(Session {
            id,
            user: user.ok_or_else(ended)?,
            generation: renewed.generation,
            expires_at: renewed.expires_at,
        })
    }

    /// Ends all of the caller's own sessions, the current one included, within a second at every host.
    ///
    /// # Errors
    /// As those of [`Self::end`].
    pub async fn end_all(&self, caller: &Caller) -> Result<()> {
        let owner = caller.session_owner()?;
        self.0.modules.sessions.end_all(&owner).await
    }

    /// Lists the caller's own sessions, the newest first.
    ///
    /// # Errors
    /// As those of [`Self::end`].
    pub async fn list(&self, caller: &Caller) -> Result<Vec<ListedSession>> {
        let owner = caller.session_owner()?;
        self.0.modules.sessions.list(&owner).await
    }

    /// Finds the caller behind a session, with the current role.
    ///
    /// Results are cached. A cached result is used only if this process has read the log of
    /// revocations within the last second and it does not end the session.
    ///
    /// # Errors
    /// `not-authenticated` if the session has ended, or its account is gone; `unavailable` if the store cannot be asked.
    pub async fn caller(&self, owner: &SessionOwner, session: SessionId) -> Result<Caller> {
        let found = self.0.modules.sessions.principal(owner, session).await?;
        match (owner, found) {
            (
                SessionOwner::User { tenant, user },
                Some(Principal {
                    role: Some(role),
                    email_verified,
                    ..
                }),
            ) => {
                let caller = Caller::user(tenant.clone(), *user, role).in_session(session);
                // An address that was unconfirmed then may be confirmed now.
                Ok(match email_verified {
                    true => caller.with_email_confirmed(true),
                    false => caller,
                })
            }
            (SessionOwner::Operator(email), Some(Principal { role: None, .. })) => {
                Ok(Caller::operator_named(email.clone()).in_session(session))
            }
            _ => Err(Error::new(
                ErrorCode::NotAuthenticated,
                "This session has ended; sign in again.",
            )),
        }
    }

    /// Returns whether the caller's session or API key is still valid; true for callers without one.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn stands(&self, caller: &Caller) -> Result<bool> {
        if let Some(key) = caller.api_key_id() {
            return self.0.modules.api_keys.stands(caller.tenant()?, key).await;
        }
        let Some(session) = caller.session() else {
            return Ok(true);
        };
        let owner = caller.session_owner()?;
        let found = self.0.modules.sessions.principal(&owner, session).await?;
        Ok(found.is_some_and(|found| found.role.is_none_or(|role| caller.role() == role.into())))
    }

    async fn user(&self, caller: &Caller) -> Result<Option<User>> {
        let user = caller.acting_user()?;
        self.0.modules.users.find(caller.tenant()?, user).await
    }
}
