//! Use cases of erasing a person's data.
//!
//! Called by hosts, and by operators for restored backups. Calls the users and sessions modules.

use super::Users;
use crate::{
    context::EngineContext,
    error::Result,
    types::{AuditEntry, Caller, Role, Scope, SessionOwner, TenantId, User, UserId},
};

impl Users {
    /// Erases a user's personal data, for the tenant's owners: name, address, logins, sessions, places in teams, recorded answers, and
    /// what policies were told about their bookings. Bookings, tickets, totals and the ledger stay under the user's id; tickets
    /// stay valid, and no mail goes out about them any more. What requests wrote that ran at that moment is removed within
    /// minutes. Repeating it changes nothing. It cannot be undone.
    ///
    /// # Errors
    /// `forbidden`, `not-found`, `last-owner`, `conflict-try-again`.
    pub async fn erase(&self, caller: &Caller, user: UserId) -> Result<User> {
        let caller = &caller.scoped(Scope::Customers)?;
        caller.require_any(
            &[Role::Owner],
            "Only an owner of this tenant may erase its users' data.",
        )?;
        let who = self.0.audited_name(caller).await?;
        self.0.erase(caller.tenant()?, user, who).await
    }

    /// Erases the acting user's own personal data, as [`Users::erase`] does, with their password.
    ///
    /// # Errors
    /// `not-authenticated`; `wrong-credentials` if the password is wrong, or there is none; `last-owner`, `conflict-try-again`.
    pub async fn erase_me(&self, caller: &Caller, password: String) -> Result<()> {
        let (tenant, user) = (caller.tenant()?, caller.acting_user()?);
        let users = &self.0.modules.users;
        users.require_password((tenant, user), password).await?;
        let who = self.0.audited_name(caller).await?;
        self.0.erase(tenant, user, who).await?;
        Ok(())
    }
}

impl EngineContext {
    pub(in crate::app_modules) async fn erase(
        &self,
        tenant: &TenantId,
        user: UserId,
        who: String,
    ) -> Result<User> {
        let audit = AuditEntry {
            at: self.context.now(),
            who,
            action: "erase-user".to_owned(),
            subject: format!("user {user}"),
            why: String::new(),
            count: None,
        };
        let erased = self.modules.users.erase((tenant, user), &audit).await?;
        self.modules.sessions.forget(&SessionOwner::User {
            tenant: tenant.clone(),
            user,
        });
        Ok(erased)
    }
}
