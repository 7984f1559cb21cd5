//! Use cases of users: sign-up, sign-in, and users that platforms bring. What people change of their own accounts is in
//! `users/accounts.rs`, who works for a tenant in `users/members.rs`.
//!
//! Called by hosts and platforms. Calls the users module.

mod accounts;
mod erasures;
mod identities;
mod members;
mod personal_data;

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    modules::{AddressConfirmation, require_not_suspended},
    types::{
        Caller, Confirmation, CreateUser, EmailAddress, EnsureUser, Login, Page, PageRequest,
        Register, Role, Scope, User, UserFilter, UserId, UserRole,
    },
};

/// Use cases of users.
#[derive(Clone)]
pub struct Users(pub(crate) Arc<EngineContext>);

impl Users {
    /// Signs somebody up. Anybody may become a customer, and an organizer if the tenant allows that.
    ///
    /// If addresses are confirmed, the result does not reveal whether the address has an account: it creates one that can be used at
    /// once, and mails the address. The account that [confirms](Users::confirm) the address owns it; the other accounts that signed up with it are removed.
    ///
    /// # Errors
    /// `field-invalid`, `forbidden` for other roles, `not-found` for an unknown tenant; `email-taken` if nobody confirms
    /// addresses.
    pub async fn register(&self, caller: &Caller, command: Register) -> Result<User> {
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        match command.role {
            UserRole::Customer => {}
            UserRole::Organizer if tenant.settings.organizers_may_register => {}
            UserRole::Organizer => {
                return Err(Error::forbidden(
                    "Organizers are created by an owner here; ask one, or register as a customer.",
                ));
            }
            UserRole::Owner | UserRole::Staff => {
                return Err(Error::forbidden(
                    "Nobody can register with this role; an owner gives it.",
                ));
            }
        }
        let Register {
            email,
            name,
            password,
            role,
        } = command;
        let command = CreateUser {
            email,
            name,
            password: Some(password),
            role,
        };
        let users = &self.0.modules.users;
        match self.0.asks_to_confirm(&tenant) {
            true => users.sign_up(&tenant.id, command).await,
            false => {
                let confirmation = AddressConfirmation::NotRequired;
                users.create(&tenant.id, command, confirmation).await
            }
        }
    }

    /// Mails the acting user again to confirm their address. Does nothing if it is confirmed, or nobody is asked.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`; `too-many-requests` less than a minute after the last such mail, and for a day
    /// after five.
    pub async fn ask_to_verify(&self, caller: &Caller) -> Result<()> {
        let user = self.me(caller).await?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        match self.0.asks_to_confirm(&tenant) {
            true => self.0.modules.users.ask_again(&user).await,
            false => Ok(()),
        }
    }

    /// Returns the caller with whether the acting user's address is unconfirmed
    /// ([`Caller::is_unconfirmed`]), for programs that limit such users. Use cases do not read it again for this caller.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn with_confirmation(&self, caller: &Caller) -> Result<Caller> {
        self.0.with_confirmation(caller).await
    }

    /// Returns whether [`Users::confirm`] needs the acting user's password, because they signed up themselves.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`.
    pub async fn needs_password_to_confirm(&self, caller: &Caller) -> Result<bool> {
        let user = self.me(caller).await?;
        self.0.modules.users.needs_password(&user).await
    }

    /// Confirms an account's address; for links that were mailed to the address and name the acting user. Returns
    /// the confirmed account: another one that signed up with the address, if the password belongs to that. Repeating it changes nothing.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found` if the address is no longer theirs; `wrong-credentials`; `field-invalid`;
    /// `email-taken` if another account was confirmed meanwhile.
    pub async fn confirm(
        &self,
        caller: &Caller,
        email: &EmailAddress,
        confirmation: Confirmation,
    ) -> Result<User> {
        let user = self.me(caller).await?;
        if user.email != *email {
            return Err(Error::not_found("user", user.id));
        }
        self.0.modules.users.confirm(&user, confirmation).await
    }

    /// Checks an address and a password.
    ///
    /// # Errors
    /// `wrong-credentials`, also for an unknown address and after the same time; `account-suspended`; `too-many-requests` while too
    /// many passwords are being checked.
    pub async fn login(&self, caller: &Caller, command: Login) -> Result<User> {
        Ok(self.0.checked_login(caller, command).await?.0)
    }

    /// Shows the acting user.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`.
    pub async fn me(&self, caller: &Caller) -> Result<User> {
        let user = caller.acting_user()?;
        self.0
            .modules
            .users
            .find(caller.tenant()?, user)
            .await?
            .ok_or_else(|| Error::not_found("user", user))
    }

    /// Shows a user of the tenant, to its owners and staff.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn show(&self, caller: &Caller, user: UserId) -> Result<User> {
        let caller = &caller.scoped(Scope::Customers)?;
        caller.require_any(
            &[Role::Owner, Role::Staff],
            "Only the tenant's owners and staff may see its users.",
        )?;
        let found = self.0.modules.users.find(caller.tenant()?, user).await?;
        found.ok_or_else(|| Error::not_found("user", user))
    }

    /// Creates a user with any role, for owners and trusted code.
    ///
    /// # Errors
    /// `forbidden`, `email-taken`, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn create(&self, caller: &Caller, command: CreateUser) -> Result<User> {
        caller.require_any(
            &[Role::Owner],
            "Only an owner of this tenant may create users.",
        )?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        // Organizers and owners that an owner creates get no bulk mails.
        let asks = command.role == UserRole::Customer && self.0.asks_to_confirm(&tenant);
        let confirmation = match asks {
            true => AddressConfirmation::Required,
            false => AddressConfirmation::NotRequired,
        };
        let users = &self.0.modules.users;
        users.create(&tenant.id, command, confirmation).await
    }

    /// Finds or creates the customer with the platform's `external_id`, and updates name and address.
    ///
    /// # Errors
    /// `forbidden` unless the caller is trusted code, `email-taken`, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn ensure(&self, caller: &Caller, command: EnsureUser) -> Result<User> {
        caller.require_any(&[], "Only trusted code may add users with an external id.")?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        self.0.modules.users.ensure(&tenant.id, command).await
    }

    /// Lists the tenant's users in order of creation, all or those that a filter finds, for owners and staff. A page of a
    /// search by name looks at 5,000 users: it may have fewer items than its limit, or none, and still have a next page.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: UserFilter,
        page: PageRequest,
    ) -> Result<Page<User>> {
        let caller = &caller.scoped(Scope::Customers)?;
        caller.require_any(
            &[Role::Owner, Role::Staff],
            "Only the tenant's owners and staff may list its users.",
        )?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        self.0.modules.users.list(&tenant.id, &filter, &page).await
    }
}

impl EngineContext {
    /// Checks an address and a password. Returns the account, and the epoch of its sessions in which it had this password.
    pub(in crate::app_modules) async fn checked_login(
        &self,
        caller: &Caller,
        command: Login,
    ) -> Result<(User, Option<String>)> {
        let tenant = caller.tenant()?;
        let found = self.modules.tenants.find(tenant).await?;
        let confirms = found.is_some_and(|tenant| self.asks_to_confirm(&tenant));
        let signed_in = self.modules.users.login(tenant, command, confirms).await?;
        require_not_suspended(&signed_in.0)?;
        Ok(signed_in)
    }
}
