//! Use cases of people's own accounts: a forgotten password, and changes of password, name and address.
//!
//! Called by hosts. Calls the tenants, users and sessions modules.

use crate::{
    app_modules::users::Users,
    error::{Error, ErrorCode, Result},
    modules::link_owner,
    types::{
        AccountLink, AccountLinkPurpose, Caller, ChangeEmail, ChangePassword, EmailAddress, Label,
        User,
    },
};

impl Users {
    /// Mails a link to choose a new password to an address of the tenant, if it has an account. The link is valid for an hour
    /// and works once. An address gets at most five such mails a day.
    ///
    /// Neither the result nor the time reveals whether the address has an account. Users with an external id get no
    /// mail, because they sign in at the platform.
    ///
    /// # Errors
    /// `not-found` for an unknown tenant, `links-off`.
    pub async fn forgot_password(&self, caller: &Caller, email: &EmailAddress) -> Result<()> {
        let tenant = self.0.modules.tenants.get(caller.tenant()?).await?;
        self.require_links()?;
        let users = &self.0.modules.users;
        users.forgot_password(&tenant.id, email).await
    }

    /// Returns the address that a valid link is for: the account's for a new password, the new one for another address. For
    /// pages that show it before they act.
    ///
    /// # Errors
    /// `link-invalid` if the link is expired, used, or of another tenant than the caller's.
    pub async fn linked_address(
        &self,
        caller: &Caller,
        link: &AccountLink,
    ) -> Result<EmailAddress> {
        require_same_tenant(caller, link)?;
        self.0.modules.users.linked_address(link).await
    }

    /// Sets the password of a link's account: 8 to 200 characters. All sessions of the account end, within a second at every
    /// host, and all such links become invalid. Of several concurrent calls with one link one succeeds.
    ///
    /// The link was mailed to the account's address. So an unconfirmed account owns its address from then on, as with
    /// [`Users::confirm`] and a new password.
    ///
    /// # Errors
    /// `link-invalid` if the link is expired, used, for something else, or of another tenant than the caller's; `field-invalid`.
    pub async fn reset_password(
        &self,
        caller: &Caller,
        link: &AccountLink,
        password: String,
    ) -> Result<()> {
        require_purpose(link, AccountLinkPurpose::ResetPassword)?;
        require_same_tenant(caller, link)?;
        let modules = &self.0.modules;
        modules.users.reset_password(link, password).await?;
        modules.sessions.forget(&link_owner(link));
        Ok(())
    }

    /// Changes the acting user's password. Their other sessions end, within a second at every host; the caller's own goes on.
    ///
    /// # Errors
    /// `not-authenticated`; `wrong-credentials` if the old password is wrong, or there is none; `field-invalid`.
    pub async fn change_password(&self, caller: &Caller, command: ChangePassword) -> Result<()> {
        let (tenant, user) = (caller.tenant()?, caller.acting_user()?);
        let modules = &self.0.modules;
        modules
            .users
            .change_password((tenant, user), command, caller.session())
            .await?;
        modules.sessions.forget(&caller.session_owner()?);
        Ok(())
    }

    /// Changes the acting user's name.
    ///
    /// # Errors
    /// `not-authenticated`, `not-found`.
    pub async fn rename(&self, caller: &Caller, name: Label) -> Result<User> {
        let user = self.me(caller).await?;
        self.0.modules.users.rename(user, name).await
    }

    /// Mails a link to a new address that moves the acting user's account there. The link is valid for a day and works once. Only
    /// the newest one is valid. An address gets at most five such mails a day, and an account asks at most five times.
    ///
    /// The result does not reveal whether the address has an account.
    ///
    /// # Errors
    /// `not-authenticated`; `wrong-credentials` if the password is wrong, or there is none; `field-invalid` if it is the account's
    /// address already; `too-many-requests`, `links-off`.
    pub async fn ask_for_email(&self, caller: &Caller, command: ChangeEmail) -> Result<()> {
        let (tenant, user) = (caller.tenant()?, caller.acting_user()?);
        self.require_links()?;
        let users = &self.0.modules.users;
        users.ask_for_email((tenant, user), command).await
    }

    /// Moves an account to the address that got the link. The address is confirmed by that, and becomes the login; the old one,
    /// if it was confirmed, is told by mail. Sessions go on. The account's password shows that the link did not go to a stranger
    /// by a mistake.
    ///
    /// # Errors
    /// `wrong-credentials`; `link-invalid` if the link is expired, used, not the newest, for something else, or of another tenant than the caller's;
    /// `email-taken` if another account owns the address by now.
    pub async fn change_email(
        &self,
        caller: &Caller,
        link: &AccountLink,
        password: String,
    ) -> Result<User> {
        require_purpose(link, AccountLinkPurpose::ChangeEmail)?;
        require_same_tenant(caller, link)?;
        self.0.modules.users.change_email(link, password).await
    }

    pub(super) fn require_links(&self) -> Result<()> {
        match self.0.links {
            Some(_) => Ok(()),
            None => Err(Error::new(
                ErrorCode::LinksOff,
                "No public address and keys for links in mails are configured here.",
            )),
        }
    }
}

pub(super) fn require_same_tenant(caller: &Caller, link: &AccountLink) -> Result<()> {
    match *caller.tenant()? == link.tenant {
        true => Ok(()),
        false => Err(Error::new(
            ErrorCode::LinkInvalid,
            "This link is for another tenant.",
        )),
    }
}

pub(super) fn require_purpose(link: &AccountLink, purpose: AccountLinkPurpose) -> Result<()> {
    match link.purpose == purpose {
        true => Ok(()),
        false => Err(Error::new(
            ErrorCode::LinkInvalid,
            "This link is for something else.",
        )),
    }
}
