//! Users of a tenant: signing up, signing in, and those that platforms bring.
//!
//! Called by hosts and platforms. Calls the users module.

use std::sync::Arc;

use crate::{
    Result,
    engine::Inner,
    types::{Caller, CreateUser, EnsureUser, Login, Page, PageRequest, Register, User},
};

/// Use cases around users.
#[derive(Clone)]
pub struct Users(pub(crate) Arc<Inner>);

impl Users {
    /// Signs somebody up. Anybody may become a customer, and an organizer where the tenant leaves that open.
    ///
    /// # Errors
    /// `email-taken`, `field-invalid`, `forbidden` for other roles, `not-found` for an unknown tenant.
    pub async fn register(&self, caller: &Caller, command: Register) -> Result<User> {
        todo!()
    }

    /// Checks an address and a password.
    ///
    /// # Errors
    /// `wrong-credentials`, the same and as late for an unknown address; `too-many-requests` while too many
    /// passwords are being checked.
    pub async fn login(&self, caller: &Caller, command: Login) -> Result<User> {
        todo!()
    }

    /// Shows the acting user.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`.
    pub async fn me(&self, caller: &Caller) -> Result<User> {
        todo!()
    }

    /// Makes a user with any role, by an owner or trusted code.
    ///
    /// # Errors
    /// `forbidden`, `email-taken`, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn create(&self, caller: &Caller, command: CreateUser) -> Result<User> {
        todo!()
    }

    /// Finds or makes the customer that the platform knows under `external_id`, and brings name and address up to date.
    ///
    /// # Errors
    /// `forbidden` unless the caller is trusted code, `email-taken`, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn ensure(&self, caller: &Caller, command: EnsureUser) -> Result<User> {
        todo!()
    }

    /// Lists the tenant's users in the order they were made, for owners and trusted code.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<User>> {
        todo!()
    }
}
