//! Operators of the installation: accounts outside every tenant.
//!
//! Called by the host's program. Calls the users module.

use std::sync::Arc;

use crate::{
    Result,
    engine::Inner,
    types::{AddOperator, Caller, Login, Operator},
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
}
