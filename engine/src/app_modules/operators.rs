//! Operators of the installation: accounts outside every tenant.
//!
//! Called by the host's program. Calls the users, verification and backups modules.

use std::sync::Arc;

use crate::{
    Backup, Result,
    engine::Inner,
    types::{AddOperator, Caller, EventVerdict, Login, Operator, Page, PageRequest, Restoration},
};

/// Use cases around operators.
#[derive(Clone)]
pub struct Operators(pub(crate) Arc<Inner>);

impl Operators {
    /// Makes an operator's account.
    ///
    /// # Errors
    /// `forbidden`, `email-taken`, `field-invalid`.
    pub async fn add(&self, caller: &Caller, command: AddOperator) -> Result<Operator> {
        caller.require_operator()?;
        self.0.modules.users.add_operator(command).await
    }

    /// Checks an operator's address and password.
    ///
    /// # Errors
    /// `wrong-credentials`, `too-many-requests`.
    pub async fn login(&self, command: Login) -> Result<Operator> {
        self.0.modules.users.login_operator(command).await
    }

    /// Lists operators; the first 100.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn list(&self, caller: &Caller) -> Result<Vec<Operator>> {
        caller.require_operator()?;
        self.0.modules.users.list_operators().await
    }

    /// Recomputes the counters of a page of all tenants' events, from the capacity ledger and from the bookings, each
    /// event in one consistent read; while it is sold, too. A difference is an answer, not an error.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor, `unavailable`.
    pub async fn verify(&self, caller: &Caller, page: PageRequest) -> Result<Page<EventVerdict>> {
        caller.require_operator()?;
        self.0.modules.verification.verify(&page).await
    }

    /// Begins a backup of the whole store, as it is at this moment, while it is used. What it holds and how it is brought back
    /// stands at [`EngineBuilder::restore`](crate::EngineBuilder::restore).
    ///
    /// # Errors
    /// `forbidden`, `unavailable` while this process takes another one.
    pub async fn back_up(&self, caller: &Caller) -> Result<Backup> {
        caller.require_operator()?;
        self.0.modules.backups.back_up().await
    }

    /// From which backup this store came, if it did, and whether its mails go out.
    ///
    /// # Errors
    /// `forbidden`.
    pub async fn restoration(&self, caller: &Caller) -> Result<Option<Restoration>> {
        caller.require_operator()?;
        self.0.modules.backups.restoration().await
    }

    /// Lets the mails of a restored store out. Doing it again changes nothing.
    ///
    /// # Errors
    /// `forbidden`, `not-found` if the store did not come from a backup, `conflict-try-again`.
    pub async fn release(&self, caller: &Caller) -> Result<Restoration> {
        caller.require_operator()?;
        self.0.modules.backups.release().await
    }
}
