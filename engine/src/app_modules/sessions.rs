//! Signed-in sessions: families of refresh tokens, told apart by their generation.
//!
//! Called by hosts, which sign the tokens; what a token says (session and generation) is judged here.

use std::sync::Arc;

use crate::{
    Error, Result,
    engine::Inner,
    types::{Caller, Session, SessionId},
};

/// Use cases around sessions.
#[derive(Clone)]
pub struct Sessions(pub(crate) Arc<Inner>);

impl Sessions {
    /// Opens a session for the acting user, at generation 0, for 30 days.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`.
    pub async fn open(&self, caller: &Caller) -> Result<Session> {
        let user = caller.acting_user()?;
        let tenant = caller.tenant()?;
        let user = self
            .0
            .modules
            .users
            .find(tenant, user)
            .await?
            .ok_or_else(|| Error::not_found("user", user))?;
        self.0.modules.users.open_session(tenant, user).await
    }

    /// Takes a refresh token's session and generation and answers the next generation.
    ///
    /// The current generation moves on. The one before is accepted once more within 30 seconds and answers the
    /// same successor (the answer may have been lost). Any other generation ends the whole session: somebody
    /// else holds a copy of the token.
    ///
    /// # Errors
    /// `session-ended`.
    pub async fn rotate(
        &self,
        caller: &Caller,
        session: SessionId,
        generation: u32,
    ) -> Result<Session> {
        self.0
            .modules
            .users
            .rotate_session(caller.tenant()?, session, generation)
            .await
    }

    /// Ends a session. Ending one that is over, or never was, changes nothing.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn end(&self, caller: &Caller, session: SessionId) -> Result<()> {
        self.0
            .modules
            .users
            .end_session(caller.tenant()?, session)
            .await
    }
}
