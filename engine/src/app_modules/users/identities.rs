//! Use cases of identities of an OpenID provider, with which people sign in to their accounts: see
//! [`Sessions::sign_in_with`](crate::Sessions::sign_in_with).
//!
//! Called by hosts. Calls the users module.

use crate::{
    app_modules::users::Users,
    error::Result,
    modules::PasswordCheck,
    types::{Caller, IdentityId, LinkedIdentity, Role, VerifiedIdentity},
};

impl Users {
    /// Returns whether an identity belongs to an account, for trusted code that limits new accounts.
    ///
    /// # Errors
    /// `forbidden` unless the caller is trusted code.
    pub async fn knows_identity(
        &self,
        caller: &Caller,
        identity: &VerifiedIdentity,
    ) -> Result<bool> {
        caller.require_any(&[], "Only trusted code may look for identities.")?;
        let users = &self.0.modules.users;
        users.knows_identity(caller.tenant()?, identity).await
    }

    /// Links an identity, which the host has checked, with the acting user's account. Linking it again changes nothing. An account
    /// has at most one of each provider, and at most 10.
    ///
    /// An account with a password needs it, because a session may be stolen, and an identity signs in for good. Trusted code that
    /// acts for a user needs none. An identity of another account is refused. The exception is an account that the identity itself
    /// made at a sign-in and whose address was never confirmed: the identity moves, and that account's sessions end.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`; `wrong-credentials`; `identity-taken`; `field-invalid` beyond a limit; `id-token-invalid`
    /// if the ID token was used before; `conflict-try-again`.
    pub async fn link_identity(
        &self,
        caller: &Caller,
        identity: &VerifiedIdentity,
        current_password: Option<String>,
    ) -> Result<LinkedIdentity> {
        let (tenant, user) = (caller.tenant()?, caller.acting_user()?);
        identity.validate()?;
        let password = match caller.role() {
            Role::Platform | Role::Operator => PasswordCheck::None,
            _ => PasswordCheck::IfAny(current_password),
        };
        let users = &self.0.modules.users;
        users
            .link_identity((tenant, user), identity, password)
            .await
    }

    /// Lists the identities of the acting user's account, in the order they were linked.
    ///
    /// # Errors
    /// `not-authenticated`.
    pub async fn identities(&self, caller: &Caller) -> Result<Vec<LinkedIdentity>> {
        let (tenant, user) = (caller.tenant()?, caller.acting_user()?);
        self.0.modules.users.identities(tenant, user).await
    }

    /// Unlinks one of the identities of the acting user's account. Sessions go on.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`; `last-sign-in` if nothing else signs in to the account; `conflict-try-again`.
    pub async fn unlink_identity(&self, caller: &Caller, identity: IdentityId) -> Result<()> {
        let (tenant, user) = (caller.tenant()?, caller.acting_user()?);
        let users = &self.0.modules.users;
        users.unlink_identity((tenant, user), identity).await
    }
}
