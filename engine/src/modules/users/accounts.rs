//! The rules of what people change of their own accounts: a forgotten or known password, name and address.
//!
//! Invariants: a link works once, because the step that uses it changes what the link names. Asking for a link does not reveal
//! whether an address has an account. Called by app_modules; calls the users repository.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::{UsersModule, passwords::Passwords, sign_ups::address_owned, wrong_credentials};
use crate::modules::repositories::{
    AccountMail, AllowedBy, EmailMove, EmailMoved, NewMails, NewPassword, Replaces, day_of,
};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        AccountLink, AccountLinkPurpose, ChangeEmail, ChangePassword, EmailAddress, Label,
        NotificationId, NotificationKind, SessionId, SessionOwner, TenantId, User, UserId,
    },
};

/// Mails with a link of one kind to one address, and requests for another address by one account, in a day (UTC): enough for
/// somebody who does not find the mail, and few for a stranger's mailbox.
const LINK_MAILS_MAX: u32 = 5;
/// The answer to a request for a link comes at a multiple of this time after the request, so that it does not show what was
/// found. It is long against the reads and the write, and a person does not wait for it.
const ANSWER_PACE: Duration = Duration::from_millis(250);
/// Bytes of a stamp: nobody finds two accounts, or two passwords of an account, with the same.
const STAMP_BYTES: usize = 16;

impl UsersModule {
    /// Mails a link to choose a new password to an address, if it has an account that could use one: its owner's, or else the
    /// newest that waits for it. The time does not show whether it has.
    pub(crate) async fn forgot_password(
        &self,
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> Result<()> {
        at_pace(async {
            // People whom a platform brought sign in there.
            match self.find_by_email(tenant, email).await? {
                Some(user) if user.external_id.is_none() => self.mail_password_link(&user).await,
                _ => Ok(()),
            }
        })
        .await
    }

    async fn mail_password_link(&self, user: &User) -> Result<()> {
        let kind = NotificationKind::PasswordReset;
        let (notification, mails) = self.account_mail(user, kind);
        let mail = self.counted(notification, kind, &mails);
        self.repository.add_account_mail(user, &mail).await?;
        self.context.outbox_added.notify_one();
        Ok(())
    }

    /// The address that a link is for: the account's for a new password, the new one for another address.
    pub(crate) async fn linked_address(&self, link: &AccountLink) -> Result<EmailAddress> {
        match link.purpose {
            AccountLinkPurpose::ResetPassword | AccountLinkPurpose::AcceptInvitation => {
                Ok(self.of_password_link(link).await?.0.email)
            }
            AccountLinkPurpose::ChangeEmail => Ok(self.of_email_link(link).await?.2),
        }
    }

    /// Sets the password of a link's account, which ends its sessions and linked identities. An unconfirmed account becomes the owner of its address,
    /// as with a link that confirms it and a new password: both prove the same. An invitation is accepted by that.
    pub(crate) async fn reset_password(&self, link: &AccountLink, new: String) -> Result<()> {
        Passwords::check(&new)?;
        let (user, seen) = self.of_password_link(link).await?;
        let password = NewPassword {
            hash: self.passwords.hash(new).await?,
            replaces: Replaces::Only(seen),
            allowed_by: AllowedBy::Mail,
        };
        let is_set = match user.email_verified {
            true => {
                let epoch = self.context.next_id().to_string();
                let ending = (None, epoch.as_str());
                self.repository
                    .set_password(&user, password, ending)
                    .await?
            }
            false => {
                let (owner, waiting) = self.repository.address(&user.tenant, &user.email).await?;
                let is_free = owner.is_none_or(|owner| owner.user == user.id);
                is_free && self.own_address(&user, Some(password), waiting).await?
            }
        };
        match is_set {
            true => Ok(()),
            false => Err(link_invalid()),
        }
    }

    /// Changes a password, if the old one is right, and ends the account's sessions except one.
    pub(crate) async fn change_password(
        &self,
        (tenant, user): (&TenantId, UserId),
        command: ChangePassword,
        keep: Option<SessionId>,
    ) -> Result<()> {
        Passwords::check(&command.new).map_err(|error| error.at_field("newPassword"))?;
        let account = self.repository.with_password(tenant, user).await?;
        let seen = account.as_ref().and_then(|(_, hash)| hash.clone());
        let user = self.checked(command.current, account).await?;
        let user = user.ok_or_else(wrong_credentials)?;
        let password = NewPassword {
            hash: self.passwords.hash(command.new).await?,
            replaces: Replaces::Only(seen),
            allowed_by: AllowedBy::Password,
        };
        let epoch = self.context.next_id().to_string();
        let is_set = self
            .repository
            .set_password(&user, password, (keep, &epoch));
        match is_set.await? {
            true => Ok(()),
            // Another change came first, so the old password is wrong by now.
            false => Err(wrong_credentials()),
        }
    }

    /// Changes an account's name.
    pub(crate) async fn rename(&self, user: User, name: Label) -> Result<User> {
        let found = self.repository.rename(&user.tenant, user.id, &name).await?;
        match found {
            true => Ok(User { name, ..user }),
            false => Err(Error::not_found("user", user.id)),
        }
    }

    /// Mails a link to a new address that moves the account there, if the password is right. The answer is the same if the
    /// address has an owner. Earlier links for this become invalid.
    pub(crate) async fn ask_for_email(
        &self,
        (tenant, user): (&TenantId, UserId),
        command: ChangeEmail,
    ) -> Result<()> {
        let account = self.repository.with_password(tenant, user).await?;
        let user = self.checked(command.password, account).await?;
        let user = user.ok_or_else(wrong_credentials)?;
        if user.email == command.email {
            return Err(Error::field(
                "email",
                "This is the address of your account already.",
            ));
        }
        at_pace(async {
            let kind = NotificationKind::EmailChange;
            let (notification, mails) = self.account_mail(&user, kind);
            let mail = self.counted(notification, kind, &mails);
            let asking = self.repository.ask_for_email(&user, &command.email, &mail);
            if !asking.await? {
                return Err(asked_too_often());
            }
            self.context.outbox_added.notify_one();
            Ok(())
        })
        .await
    }

    /// Moves an account to the address that got the link, which is confirmed by that, if the password is right. A confirmed old
    /// address is told.
    pub(crate) async fn change_email(&self, link: &AccountLink, password: String) -> Result<User> {
        let (user, change, email) = self.of_email_link(link).await?;
        self.require_password((&user.tenant, user.id), password)
            .await?;
        let now = self.context.now();
        let epoch = self.context.next_id().to_string();
        let (_, waiting) = self.repository.address(&user.tenant, &email).await?;
        let (notification, notice) = self.account_mail(&user, NotificationKind::EmailChanged);
        let summary = self.mail(&user.tenant, NotificationKind::BookingSummary, user.id, now);
        let plan = EmailMove {
            user: &user,
            change,
            email: &email,
            waiting: &waiting,
            // Nobody showed that an unconfirmed address is the account's.
            notice: user.email_verified.then_some((notification, &notice)),
            summary: &summary,
            epoch: &epoch,
        };
        match self.repository.move_email(&plan).await? {
            EmailMoved::Done => {
                self.context.outbox_added.notify_one();
                Ok(User {
                    email,
                    email_verified: true,
                    ..user
                })
            }
            EmailMoved::Taken => Err(address_owned()),
            EmailMoved::Stale => Err(link_invalid()),
        }
    }

    /// The account of a link to choose a new password, with the hash that the link replaces.
    async fn of_password_link(&self, link: &AccountLink) -> Result<(User, Option<String>)> {
        self.require_in_time(link)?;
        let found = self.repository.with_password(&link.tenant, link.user);
        let found = found.await?;
        let valid = found.filter(|(user, hash)| {
            stamp(&user.email, hash.as_deref()) == link.stamp && user.external_id.is_none()
        });
        valid.ok_or_else(link_invalid)
    }

    /// The account of a link to change the address, the request, and the new address.
    async fn of_email_link(
        &self,
        link: &AccountLink,
    ) -> Result<(User, NotificationId, EmailAddress)> {
        self.require_in_time(link)?;
        let change: NotificationId = link.stamp.parse().map_err(|_| link_invalid())?;
        let (tenant, repository) = (&link.tenant, &self.repository);
        let (newest, email, user) = tokio::try_join!(
            repository.newest_email_change(tenant, link.user),
            repository.mail_address(tenant, link.user, change),
            repository.find(tenant, link.user),
        )?;
        match (email, user) {
            (Some(email), Some(user)) if newest == Some(change) => Ok((user, change, email)),
            _ => Err(link_invalid()),
        }
    }

    fn require_in_time(&self, link: &AccountLink) -> Result<()> {
        match self.context.now() < link.expires_at {
            true => Ok(()),
            false => Err(link_invalid()),
        }
    }

    pub(super) fn account_mail(
        &self,
        user: &User,
        kind: NotificationKind,
    ) -> (NotificationId, NewMails) {
        let notification = NotificationId::from_ulid(self.context.next_id());
        let now = self.context.now();
        let mails = NewMails::to_users(&user.tenant, (notification, kind), &[user.id], now);
        (notification, mails)
    }

    pub(super) fn counted<'a>(
        &self,
        notification: NotificationId,
        kind: NotificationKind,
        mails: &'a NewMails,
    ) -> AccountMail<'a> {
        AccountMail {
            notification,
            kind,
            day: day_of(self.context.now()),
            most: LINK_MAILS_MAX,
            mails,
        }
    }
}

/// Names an account's address and password, so that a link to choose another password ends with either. It reveals neither: the
/// hash has 128 random bits of salt.
pub(in crate::modules) fn stamp(email: &EmailAddress, password_hash: Option<&str>) -> String {
    let mut digest = Sha256::new();
    digest.update(b"boxoffice password stamp 1\n");
    digest.update(email.as_str());
    digest.update(b"\n");
    digest.update(password_hash.unwrap_or_default());
    URL_SAFE_NO_PAD.encode(&digest.finalize()[..STAMP_BYTES])
}

/// The owner of an account's sessions.
pub(crate) fn link_owner(link: &AccountLink) -> SessionOwner {
    SessionOwner::User {
        tenant: link.tenant.clone(),
        user: link.user,
    }
}

/// Ends at a multiple of [`ANSWER_PACE`], whatever the work took.
async fn at_pace<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let begun = Instant::now();
    let result = work.await;
    let taken = begun.elapsed().as_millis();
    let over = taken % ANSWER_PACE.as_millis();
    let wait = ANSWER_PACE.saturating_sub(Duration::from_millis(over as u64));
    tokio::time::sleep(wait).await;
    result
}

fn asked_too_often() -> Error {
    Error::new(
        ErrorCode::TooManyRequests,
        "You asked for another address as often as you may in a day.",
    )
    .retry_after(Duration::from_secs(24 * 3_600))
}

fn link_invalid() -> Error {
    Error::new(
        ErrorCode::LinkInvalid,
        "This link is expired, used, or incomplete; ask for another.",
    )
}
