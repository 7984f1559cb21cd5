//! Users of a tenant: signing up, signing in, and those that platforms bring.
//!
//! Called by hosts and platforms. Calls the users module.

use std::sync::Arc;

use crate::{
    context::EngineContext,
    error::{Error, Result},
    types::{
        Caller, Confirmation, CreateUser, EmailAddress, EnsureUser, Login, Page, PageRequest,
        Register, Role, User, UserId, UserRole,
    },
};

/// Use cases of users.
#[derive(Clone)]
pub struct Users(pub(crate) Arc<EngineContext>);

impl Users {
    /// Signs somebody up. Anybody may become a customer, and an organizer where the tenant leaves that open.
    ///
    /// Where addresses are confirmed, this says nothing about whether the address has an account: it makes one that can be used at
    /// once, and mails the address. Whoever [confirms](Users::confirm) it owns it; the other accounts that signed up with it give way.
    ///
    /// # Errors
    /// `field-invalid`, `forbidden` for other roles, `not-found` for an unknown tenant; `email-taken` where nobody confirms
    /// addresses.
    pub async fn register(&self, caller: &Caller, command: Register) -> Result<User> {
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        match command.role {
            UserRole::Customer => {}
            UserRole::Organizer if tenant.settings.organizers_may_register => {}
            UserRole::Organizer => {
                return Err(Error::forbidden(
                    "Here an owner makes organizers; ask one, or register as a customer.",
                ));
            }
            UserRole::Owner | UserRole::Staff => {
                return Err(Error::forbidden(
                    "Nobody registers with this role; an owner gives it.",
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
            false => users.create(&tenant.id, command, false).await,
        }
    }

    /// Mails the acting user once more to confirm their address; nothing happens if it is confirmed, or nobody is asked.
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

    /// Returns the caller with whether the acting user is asked to confirm their address and has not
    /// ([`Caller::is_unconfirmed`]), for programs that bound what such users do. Use cases given this caller do not look again.
    ///
    /// # Errors
    /// `unavailable`.
    pub async fn with_confirmation(&self, caller: &Caller) -> Result<Caller> {
        self.0.with_confirmation(caller).await
    }

    /// Returns whether [`Users::confirm`] takes a password of the acting user: they signed up themselves.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`.
    pub async fn needs_password_to_confirm(&self, caller: &Caller) -> Result<bool> {
        let user = self.me(caller).await?;
        self.0.modules.users.needs_password(&user).await
    }

    /// Makes an account the owner of its address; for links that were mailed to the address and name the acting user. Answers
    /// the account: another one that signed up with the address, if the password is that one's. Again changes nothing.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found` if the address is theirs no more; `wrong-credentials`; `field-invalid`;
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
    /// `wrong-credentials`, the same and as late for an unknown address; `too-many-requests` while too many
    /// passwords are being checked.
    pub async fn login(&self, caller: &Caller, command: Login) -> Result<User> {
        let tenant = caller.tenant()?;
        let found = self.0.modules.tenants.find(tenant).await?;
        let confirms = found.is_some_and(|tenant| self.0.asks_to_confirm(&tenant));
        self.0.modules.users.login(tenant, command, confirms).await
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

    /// Shows a user of the tenant, to its owners and operators.
    ///
    /// # Errors
    /// `forbidden`, `not-found`.
    pub async fn show(&self, caller: &Caller, user: UserId) -> Result<User> {
        caller.require_any(
            &[Role::Owner],
            "Only an owner of this tenant may see its users.",
        )?;
        let found = self.0.modules.users.find(caller.tenant()?, user).await?;
        found.ok_or_else(|| Error::not_found("user", user))
    }

    /// Makes a user with any role, by an owner or trusted code.
    ///
    /// # Errors
    /// `forbidden`, `email-taken`, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn create(&self, caller: &Caller, command: CreateUser) -> Result<User> {
        caller.require_any(
            &[Role::Owner],
            "Only an owner of this tenant may make users.",
        )?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        // Whom an owner makes to run events gets no bulk mails.
        let asks = command.role == UserRole::Customer && self.0.asks_to_confirm(&tenant);
        self.0.modules.users.create(&tenant.id, command, asks).await
    }

    /// Finds or makes the customer that the platform knows under `external_id`, and brings name and address up to date.
    ///
    /// # Errors
    /// `forbidden` unless the caller is trusted code, `email-taken`, `field-invalid`, `not-found` for an unknown tenant.
    pub async fn ensure(&self, caller: &Caller, command: EnsureUser) -> Result<User> {
        caller.require_any(&[], "Only trusted code may bring users of its own.")?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        self.0.modules.users.ensure(&tenant.id, command).await
    }

    /// Lists the tenant's users in the order they were made, for owners and trusted code.
    ///
    /// # Errors
    /// `forbidden`, `field-invalid` for a broken cursor.
    pub async fn list(&self, caller: &Caller, page: PageRequest) -> Result<Page<User>> {
        caller.require_any(
            &[Role::Owner],
            "Only an owner of this tenant may list its users.",
        )?;
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        self.0.modules.users.list(&tenant.id, &page).await
    }
}
