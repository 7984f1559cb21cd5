//! Operators of the installation: accounts outside every tenant.
//!
//! Called by the host's program and its routes. Calls the operators, sessions, verification and backups modules.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    modules::Backup,
    types::{
        AddOperator, Caller, ClaimVerdict, EmailAddress, Erasure, EventVerdict, Label,
        ListedSession, Login, Operator, OperatorSession, Page, PageRequest, PaymentVerdict,
        ReceiptVerdict, Restoration, SessionId, SessionOwner, SetOperatorPassword,
    },
};

/// Use cases of operators.
#[derive(Clone)]
pub struct Operators(pub(crate) Arc<EngineContext>);

impl Operators {
    /// Creates an operator's account. Only trusted code may; a session may not.
    ///
    /// # Errors
    /// `forbidden`, `email-taken`, `field-invalid`.
    pub async fn add(&self, caller: &Caller, command: AddOperator) -> Result<Operator> {
        caller.require_operator()?;
        if caller.session().is_some() {
            return Err(Error::forbidden(
                "Operators are created in the store: `boxoffice operator add`.",
            ));
        }
        self.0.modules.operators.add(command).await
    }

    /// Checks an operator's address and password, and opens a session at generation 0, for 12 hours at most.
    ///
    /// # Errors
    /// `wrong-credentials`, `too-many-requests`.
    pub async fn sign_in(&self, command: Login) -> Result<OperatorSession> {
        self.sign_in_from(command, None).await
    }

    /// As [`Self::sign_in`], with what the client calls itself, which [`Self::sessions`] shows.
    ///
    /// # Errors
    /// As those of [`Self::sign_in`].
    pub async fn sign_in_from(
        &self,
        command: Login,
        device: Option<Label>,
    ) -> Result<OperatorSession> {
        let (operator, epoch) = self.0.modules.operators.check(command).await?;
        let owner = SessionOwner::Operator(operator.email.clone());
        let (id, session) = self.0.modules.sessions.open(&owner, epoch, device).await?;
        Ok(OperatorSession {
            id,
            operator,
            generation: session.generation,
            expires_at: session.expires_at,
        })
    }

    /// Exchanges a refresh token's session and generation for the next generation, as
    /// [`Sessions::rotate`](super::Sessions::rotate) does for users.
    ///
    /// # Errors
    /// `forbidden`, `session-ended`.
    pub async fn rotate(
        &self,
        caller: &Caller,
        session: SessionId,
        generation: u32,
    ) -> Result<OperatorSession> {
        let email = own_address(caller)?;
        let owner = SessionOwner::Operator(email.clone());
        let sessions = &self.0.modules.sessions;
        let rotated = sessions.rotate(&owner, session, generation).await?;
        let operator = self.0.modules.operators.find(email).await?;
        let ended = || Error::new(ErrorCode::SessionEnded, "This session has ended.");
        Ok(OperatorSession {
            id: session,
            operator: operator.ok_or_else(ended)?,
            generation: rotated.generation,
            expires_at: rotated.expires_at,
        })
    }

    /// Lists operators; the first 100.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Operator>> {
        caller.require_operator()?;
        self.0.modules.operators.list().await
    }

    /// Sets an operator's password and ends their sessions except the caller's own, within a second at every host. Trusted code
    /// sets any password. A session sets only its own, and needs the old password: a stolen token is not enough to take an account.
    ///
    /// # Errors
    /// `forbidden`, `wrong-credentials`, `field-invalid`, `not-found`.
    pub async fn set_password(&self, caller: &Caller, command: SetOperatorPassword) -> Result<()> {
        caller.require_operator()?;
        if caller.session().is_some() {
            if own_address(caller)? != &command.email {
                return Err(Error::forbidden(
                    "With a token you can set only your own password. `boxoffice operator password` sets any in the store.",
                ));
            }
        }
        let (operators, sessions) = (&self.0.modules.operators, &self.0.modules.sessions);
        let epoch = sessions.next_epoch();
        let kept = (caller.session(), epoch.as_str());
        let present = caller
            .session()
            .map(|_| command.present.unwrap_or_default());
        let whose = (&command.email, present);
        operators
            .set_password(whose, command.password, kept)
            .await?;
        sessions.forget(&SessionOwner::Operator(command.email));
        Ok(())
    }

    /// Removes an operator's account and ends their sessions; within a second at every host.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn remove(&self, caller: &Caller, email: &EmailAddress) -> Result<()> {
        caller.require_operator()?;
        let (operators, sessions) = (&self.0.modules.operators, &self.0.modules.sessions);
        operators.remove(email, &sessions.next_epoch()).await?;
        sessions.forget(&SessionOwner::Operator(email.clone()));
        Ok(())
    }

    /// Lists an operator's sessions, the newest first.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn sessions(
        &self,
        caller: &Caller,
        email: &EmailAddress,
    ) -> Result<Vec<ListedSession>> {
        let owner = self.owner(caller, email).await?;
        self.0.modules.sessions.list(&owner).await
    }

    /// Ends one of an operator's sessions; within a second at every host.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn end_session(
        &self,
        caller: &Caller,
        email: &EmailAddress,
        session: SessionId,
    ) -> Result<()> {
        let owner = self.owner(caller, email).await?;
        match self.0.modules.sessions.end(&owner, session).await? {
            true => Ok(()),
            false => Err(Error::not_found("session", session)),
        }
    }

    /// Ends all of an operator's sessions; within a second at every host.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn end_sessions(&self, caller: &Caller, email: &EmailAddress) -> Result<()> {
        let owner = self.owner(caller, email).await?;
        self.0.modules.sessions.end_all(&owner).await
    }

    /// The owner of an operator's sessions, for another operator.
    async fn owner(&self, caller: &Caller, email: &EmailAddress) -> Result<SessionOwner> {
        caller.require_operator()?;
        let found = self.0.modules.operators.find(email).await?;
        let operator = found.ok_or_else(|| Error::not_found("operator", email))?;
        Ok(SessionOwner::Operator(operator.email))
    }

    /// Verifies a page of all tenants' events: recomputes their counters from the capacity ledger and from the bookings, each
    /// event in one consistent read, also during sales. A difference is a result, not an error.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor, `unavailable`.
    pub async fn verify(&self, caller: &Caller, page: PageRequest) -> Result<Page<EventVerdict>> {
        caller.require_operator()?;
        self.0.modules.verification.verify(&page).await
    }

    /// Verifies a page of all tenants' payments: what was captured is kept, due back, refunded, pending or unmatched, and agrees with
    /// the notices, the refunds and the booking. Each payment in one consistent read. A difference is a result, not an error.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor, `unavailable`.
    pub async fn verify_payments(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<PaymentVerdict>> {
        caller.require_operator()?;
        self.0.modules.verification.verify_payments(&page).await
    }

    /// Verifies a page of all tenants' counters: each is what bookings and holds have of it. A difference is a result, not an error.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor, `unavailable`.
    pub async fn verify_claims(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<ClaimVerdict>> {
        caller.require_operator()?;
        self.0.modules.verification.verify_claims(&page).await
    }

    /// Verifies a page of all tenants' receipts, a verdict for each tenant, year and series: numbers have no gap, and lead to receipts
    /// that have them. What receipts and credit notes of bookings say is verified with the events. A difference is a result, not an
    /// error.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor, `unavailable`.
    pub async fn verify_receipts(
        &self,
        caller: &Caller,
        page: PageRequest,
    ) -> Result<Page<ReceiptVerdict>> {
        caller.require_operator()?;
        self.0.modules.verification.verify_receipts(&page).await
    }

    /// Begins a backup: a consistent snapshot of the running store. Its content and the restore
    /// are described at [`EngineBuilder::restore`](crate::EngineBuilder::restore).
    ///
    /// # Errors
    /// `forbidden`, `unavailable` while this process takes another one.
    pub async fn back_up(&self, caller: &Caller) -> Result<Backup> {
        caller.require_operator()?;
        self.0.modules.backups.back_up().await
    }

    /// The backup that this store was restored from, if any, and whether its mails are sent.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn restoration(&self, caller: &Caller) -> Result<Option<Restoration>> {
        caller.require_operator()?;
        self.0.modules.backups.restoration().await
    }

    /// Releases the mails of a restored store. Repeating it changes nothing.
    ///
    /// # Errors
    /// `forbidden`, `not-found` if the store did not come from a backup, `conflict-try-again`.
    pub async fn release(&self, caller: &Caller) -> Result<Restoration> {
        caller.require_operator()?;
        self.0.modules.backups.release().await
    }

    /// Lists erased accounts of all tenants, in the order of tenant and id: the list that is kept beside backups.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn erasures(&self, caller: &Caller, page: PageRequest) -> Result<Page<Erasure>> {
        caller.require_operator()?;
        self.0.modules.users.erasures(&page).await
    }

    /// Erases accounts again after a restore, by the list. Returns how many were there and not erased.
    ///
    /// # Errors
    /// `forbidden`, `conflict-try-again`, `unavailable`; `last-owner` if the backup knows no other owner of a tenant: make one
    /// first.
    pub async fn apply_erasures(&self, caller: &Caller, erasures: &[Erasure]) -> Result<usize> {
        caller.require_operator()?;
        let mut erased = 0;
        for one in erasures {
            let users = &self.0.modules.users;
            let found = users.find(&one.tenant, one.user).await?;
            if found.is_none_or(|user| user.erased_at.is_some()) {
                continue;
            }
            let who = self.0.audited_name(caller).await?;
            self.0.erase(&one.tenant, one.user, who).await?;
            erased += 1;
        }
        Ok(erased)
    }
}

/// The address of the acting operator.
fn own_address(caller: &Caller) -> Result<&EmailAddress> {
    caller.require_operator()?;
    caller.operator_email().ok_or_else(|| {
        Error::forbidden("This is done for an operator: name one with `Caller::operator_named`.")
    })
}
