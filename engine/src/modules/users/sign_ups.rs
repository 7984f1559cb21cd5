//! The rules of sign-up with confirmation of addresses.
//!
//! Several accounts may wait for one address; each can be used at once. Invariant: an address has at most one owner, and
//! an account becomes it only by a link that was mailed to the address, together with a password. Sign-up does not reveal
//! whether the address has an owner: the steps are the same, and only the mail differs. Called by app_modules; calls the users repository.

use std::time::Duration;

use jiff::Timestamp;

use super::{UsersModule, passwords::Passwords, wrong_credentials};
use crate::modules::repositories::{AllowedBy, NewMails, NewPassword, Replaces};
use crate::{
    error::{Error, ErrorCode, Result},
    types::{
        AddressOwner, Confirmation, CreateUser, Login, NotificationId, NotificationKind, TenantId,
        User, UserId, VerificationRequest,
    },
};

/// The pause between two mails that tell the owner of an address that somebody signed up with it: a day, so that nobody can
/// fill their mailbox.
const NOTICED_AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// The pause between two mails that ask the same account, so that nobody can fill a stranger's mailbox.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// The number of mails to one account before a longer pause, and that pause.
const QUESTIONS_MAX: u32 = 5;
const QUESTIONS_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// The mail that a sign-up sends.
pub(super) struct SignUpMails {
    pub(super) mails: NewMails,
    /// When the owner of the address was told, if they are.
    pub(super) notice: Option<Timestamp>,
}

impl UsersModule {
    /// Creates an account that waits for its address to be confirmed. It can be used at once. The address gets a mail: a link
    /// to confirm it, or, if it has an owner, a notice to the owner.
    pub(crate) async fn sign_up(&self, tenant: &TenantId, command: CreateUser) -> Result<User> {
        let password = command.password.unwrap_or_default();
        Passwords::check(&password)?;
        let hash = self.passwords.hash(password).await?;
        let mut user = self.new_user(tenant, command.email, command.name, command.role, None);
        user.email_verified = false;
        let asked = VerificationRequest {
            at: user.created_at,
            mails: 1,
        };
        let SignUpMails { mails, notice } = self.sign_up_mails(&user).await?;
        self.repository
            .sign_up(&user, hash, &asked, &mails, notice)
            .await?;
        self.context.outbox_added.notify_one();
        Ok(user)
    }

    /// The mail of a sign-up: a link to confirm the address, or, if it has an owner, a notice to the owner.
    pub(super) async fn sign_up_mails(&self, user: &User) -> Result<SignUpMails> {
        let (tenant, now) = (&user.tenant, user.created_at);
        let (owner, _) = self.repository.address(tenant, &user.email).await?;
        let (mails, notice) = match owner {
            None => (self.question(user, now), None),
            Some(owner) if is_noticed(&owner, now) => (NewMails::default(), None),
            Some(owner) => {
                let mails = self.mail(tenant, NotificationKind::SignUpNotice, owner.user, now);
                (mails, Some(now))
            }
        };
        Ok(SignUpMails { mails, notice })
    }

    /// Checks an address and a password: the owner's, and, if addresses are confirmed, those of the newest account
    /// that waits for the address. The number of hashes is the same whether there are such accounts or not. Returns the account,
    /// and the epoch of its sessions in which it had this password.
    pub(crate) async fn login(
        &self,
        tenant: &TenantId,
        command: Login,
        confirms: bool,
    ) -> Result<(User, Option<String>)> {
        let (owner, waiting) = self.repository.address(tenant, &command.email).await?;
        let (owner, newest) = (owner.map(|owner| owner.user), waiting.first().copied());
        let accounts: Vec<UserId> = owner.into_iter().chain(newest).collect();
        let epochs = self.repository.session_epochs(tenant, &accounts).await?;
        let owner = self.account(tenant, owner).await?;
        let newest = self.account(tenant, newest).await?;
        let tries_newest = confirms || newest.is_some();
        let mut found = self.checked(command.password.clone(), owner).await?;
        if found.is_none() && tries_newest {
            found = self.checked(command.password, newest).await?;
        }
        let user = found.ok_or_else(wrong_credentials)?;
        let mut known = accounts.into_iter().zip(epochs);
        let epoch = known.find_map(|(account, epoch)| (account == user.id).then_some(epoch));
        Ok((user, epoch.flatten()))
    }

    /// Returns whether confirming needs a password: anybody could have typed the address.
    pub(crate) async fn needs_password(&self, user: &User) -> Result<bool> {
        let (owner, _) = self.repository.address(&user.tenant, &user.email).await?;
        Ok(owner.is_none_or(|owner| owner.user != user.id))
    }

    /// Makes an account the owner of its address, by a link that was mailed to it, and returns the account.
    pub(crate) async fn confirm(&self, user: &User, confirmation: Confirmation) -> Result<User> {
        let tenant = &user.tenant;
        let (owner, waiting) = self.repository.address(tenant, &user.email).await?;
        match owner {
            Some(owner) if owner.user != user.id => return Err(address_owned()),
            Some(_) if user.email_verified => return Ok(user.clone()),
            _ => {}
        }
        let (user, password) = match confirmation {
            Confirmation::Link if owner.is_some() => (user.clone(), None),
            Confirmation::Link => {
                return Err(Error::field(
                    "password",
                    "Enter the password that you chose, or choose a new one.",
                ));
            }
            Confirmation::Password(password) => {
                let own = self.account(tenant, Some(user.id)).await?;
                let newest = waiting.first().copied().filter(|newest| *newest != user.id);
                let newest = self.account(tenant, newest).await?;
                let found = match self.checked(password.clone(), own).await? {
                    Some(user) => Some(user),
                    None => self.checked(password, newest).await?,
                };
                (found.ok_or_else(wrong_credentials)?, None)
            }
            Confirmation::NewPassword(password) => {
                Passwords::check(&password)?;
                let password = NewPassword {
                    hash: self.passwords.hash(password).await?,
                    replaces: Replaces::Any,
                    allowed_by: AllowedBy::Mail,
                };
                (user.clone(), Some(password))
            }
        };
        match self.own_address(&user, password, waiting).await? {
            true => Ok(User {
                email_verified: true,
                ..user
            }),
            false => Err(address_owned()),
        }
    }

    /// Makes an account the owner of its address. Returns false if another one owns it, or the account has another address
    /// or password by now.
    pub(super) async fn own_address(
        &self,
        user: &User,
        password: Option<NewPassword>,
        mut waiting: Vec<UserId>,
    ) -> Result<bool> {
        if !waiting.contains(&user.id) {
            waiting.push(user.id);
        }
        let epoch = self.context.next_id().to_string();
        let now = self.context.now();
        let summary = self.mail(&user.tenant, NotificationKind::BookingSummary, user.id, now);
        let is_owner = self
            .repository
            .confirm(user, password, &waiting, (&epoch, &summary))
            .await?;
        if is_owner {
            self.context.outbox_added.notify_one();
        }
        Ok(is_owner)
    }

    /// Sends the request to confirm an address again; does nothing if it is confirmed.
    pub(crate) async fn ask_again(&self, user: &User) -> Result<()> {
        let (tenant, id) = (&user.tenant, user.id);
        let Some(seen) = self.repository.asked(tenant, id).await? else {
            return Ok(());
        };
        let now = self.context.now();
        let waited = Duration::try_from(now.duration_since(seen.at)).unwrap_or_default();
        let too_many = |detail: &'static str, wait: Duration| {
            Err(Error::new(ErrorCode::TooManyRequests, detail).retry_after(wait))
        };
        let is_over = waited >= QUESTIONS_PAUSE;
        if seen.mails >= QUESTIONS_MAX && !is_over {
            let detail =
                "The daily limit of mails to this address is reached; look for the earlier mails.";
            return too_many(detail, QUESTIONS_PAUSE - waited);
        }
        if waited < ASKED_AGAIN_AFTER {
            let wait = ASKED_AGAIN_AFTER - waited;
            return too_many("A mail was just sent; wait for it.", wait);
        }
        let next = VerificationRequest {
            at: now,
            mails: if is_over { 1 } else { seen.mails + 1 },
        };
        let (owner, _) = self.repository.address(tenant, &user.email).await?;
        let mails = match owner {
            // The owner was told at sign-up; this account cannot be confirmed.
            Some(owner) if owner.user != id => NewMails::default(),
            _ => self.question(user, now),
        };
        // A concurrent request has sent it.
        if self
            .repository
            .ask_again(tenant, id, (&seen, &next), &mails)
            .await?
        {
            self.context.outbox_added.notify_one();
        }
        Ok(())
    }

    /// The mail that asks a user to confirm the address.
    pub(in crate::modules) fn question(&self, user: &User, now: Timestamp) -> NewMails {
        self.mail(
            &user.tenant,
            NotificationKind::EmailVerification,
            user.id,
            now,
        )
    }

    pub(super) fn mail(
        &self,
        tenant: &TenantId,
        kind: NotificationKind,
        user: UserId,
        now: Timestamp,
    ) -> NewMails {
        let notification = NotificationId::from_ulid(self.context.next_id());
        NewMails::to_users(tenant, (notification, kind), &[user], now)
    }

    async fn account(
        &self,
        tenant: &TenantId,
        user: Option<UserId>,
    ) -> Result<Option<(User, Option<String>)>> {
        match user {
            Some(user) => self.repository.with_password(tenant, user).await,
            None => Ok(None),
        }
    }

    /// The account, if the password matches. Takes the same time without an account.
    pub(super) async fn checked(
        &self,
        password: String,
        account: Option<(User, Option<String>)>,
    ) -> Result<Option<User>> {
        let (user, hash) = account.map_or((None, None), |(user, hash)| (Some(user), hash));
        let fits = self.passwords.verify(password, hash).await?;
        Ok(user.filter(|_| fits))
    }
}

fn is_noticed(owner: &AddressOwner, now: Timestamp) -> bool {
    owner.noticed_at.is_some_and(|at| {
        Duration::try_from(now.duration_since(at)).is_ok_and(|waited| waited < NOTICED_AGAIN_AFTER)
    })
}

pub(super) fn address_owned() -> Error {
    Error::new(
        ErrorCode::EmailTaken,
        "This address was confirmed by another account meanwhile; sign in with that one.",
    )
    .at_field("email")
}
