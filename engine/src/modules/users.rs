//! The rules of users. Called by app_modules; calls the users repository.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Surroundings,
    passwords::Passwords,
    repositories::{NewMails, UsersRepository},
};
use crate::{
    Error, ErrorCode, Result,
    types::{
        Asked, CreateUser, EmailAddress, EnsureUser, Label, Login, NotificationId,
        NotificationKind, Page, PageRequest, TenantId, User, UserId, UserRole,
    },
};

/// Between two mails that ask the same address: nobody fills a stranger's mailbox with them.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Mails that ask one address before a longer pause, and that pause.
const QUESTIONS_MAX: u32 = 5;
const QUESTIONS_PAUSE: Duration = Duration::from_secs(24 * 3600);

pub(crate) struct UsersModule {
    repository: UsersRepository,
    passwords: Arc<Passwords>,
    surroundings: Surroundings,
}

impl UsersModule {
    pub(super) fn new(
        repository: UsersRepository,
        passwords: Arc<Passwords>,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            repository,
            passwords,
            surroundings,
        }
    }

    /// Makes a user; one who is asked whether the address is theirs gets a mail.
    pub(crate) async fn create(
        &self,
        tenant: &TenantId,
        command: CreateUser,
        asks: bool,
    ) -> Result<User> {
        let hash = match command.password {
            Some(password) => {
                Passwords::check(&password)?;
                Some(self.passwords.hash(password).await?)
            }
            None => None,
        };
        let mut user = self.new_user(tenant, command.email, command.name, command.role, None);
        user.email_verified = !asks;
        let asked = asks.then(|| {
            let asked = Asked {
                at: user.created_at,
                mails: 1,
            };
            (asked, self.question(&user, asked.at))
        });
        let asked = asked.as_ref().map(|(asked, mails)| (asked, mails));
        if !self.repository.insert(&user, hash, asked).await? {
            return Err(email_taken());
        }
        if asks {
            self.surroundings.owed.notify_one();
        }
        Ok(user)
    }

    /// Asks once more whether an address is its user's; nothing happens if it is known to be.
    pub(crate) async fn ask_again(&self, user: &User) -> Result<()> {
        let (tenant, id) = (&user.tenant, user.id);
        let Some(seen) = self.repository.asked(tenant, id).await? else {
            return Ok(());
        };
        let now = self.surroundings.now();
        let waited = Duration::try_from(now.duration_since(seen.at)).unwrap_or_default();
        let too_many = |detail: &'static str, wait: Duration| {
            Err(Error::new(ErrorCode::TooManyRequests, detail).retry_after(wait))
        };
        let is_over = waited >= QUESTIONS_PAUSE;
        if seen.mails >= QUESTIONS_MAX && !is_over {
            let detail = "This address was asked often enough for today; look for the mails.";
            return too_many(detail, QUESTIONS_PAUSE - waited);
        }
        if waited < ASKED_AGAIN_AFTER {
            let wait = ASKED_AGAIN_AFTER - waited;
            return too_many("A mail is on its way; wait for it.", wait);
        }
        let next = Asked {
            at: now,
            mails: if is_over { 1 } else { seen.mails + 1 },
        };
        let mails = self.question(user, now);
        // Who was faster has asked.
        if self
            .repository
            .ask_again(tenant, id, (&seen, &next), &mails)
            .await?
        {
            self.surroundings.owed.notify_one();
        }
        Ok(())
    }

    /// Writes that an address is its user's.
    pub(crate) async fn verify(
        &self,
        tenant: &TenantId,
        user: UserId,
        email: &EmailAddress,
    ) -> Result<bool> {
        self.repository.verify(tenant, user, email).await
    }

    /// The mail that asks a user whether the address is theirs.
    fn question(&self, user: &User, now: Timestamp) -> NewMails {
        let notification = NotificationId::from_ulid(self.surroundings.next_id());
        let what = (notification, NotificationKind::EmailVerification);
        NewMails::to_users(&user.tenant, what, &[user.id], now)
    }

    /// Finds or makes the customer behind a platform's own id.
    pub(crate) async fn ensure(&self, tenant: &TenantId, command: EnsureUser) -> Result<User> {
        if !(1..=255).contains(&command.external_id.len()) {
            return Err(Error::field(
                "externalId",
                "An external id has 1 to 255 bytes.",
            ));
        }
        // A second round sees what a racing call has written in the first.
        for _ in 0..2 {
            if let Some(present) = self
                .repository
                .find_by_external_id(tenant, &command.external_id)
                .await?
            {
                let user = User {
                    name: command.name.clone(),
                    email: command.email.clone(),
                    ..present.clone()
                };
                let unchanged = user == present;
                return if unchanged || self.repository.update(&present, &user).await? {
                    Ok(user)
                } else {
                    Err(email_taken())
                };
            }
            let external_id = Some(command.external_id.clone());
            let (email, name) = (command.email.clone(), command.name.clone());
            let user = self.new_user(tenant, email, name, UserRole::Customer, external_id);
            if self.repository.insert(&user, None, None).await? {
                return Ok(user);
            }
        }
        Err(email_taken())
    }

    pub(crate) async fn login(&self, tenant: &TenantId, command: Login) -> Result<User> {
        let found = self
            .repository
            .find_by_email(tenant, &command.email)
            .await?;
        let (user, hash) = match found {
            Some((user, hash)) => (Some(user), hash),
            None => (None, None),
        };
        match (self.passwords.verify(command.password, hash).await?, user) {
            (true, Some(user)) => Ok(user),
            _ => Err(wrong_credentials()),
        }
    }

    pub(crate) async fn find(&self, tenant: &TenantId, user: UserId) -> Result<Option<User>> {
        self.repository.find(tenant, user).await
    }

    /// Those of some users that are there; at most as many as a block has deliveries.
    pub(crate) async fn find_by_email(
        &self,
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> Result<Option<User>> {
        let found = self.repository.find_by_email(tenant, email).await?;
        Ok(found.map(|(user, _)| user))
    }

    pub(crate) async fn find_many(&self, tenant: &TenantId, users: &[UserId]) -> Result<Vec<User>> {
        self.repository.find_many(tenant, users).await
    }

    pub(crate) async fn list(&self, tenant: &TenantId, page: &PageRequest) -> Result<Page<User>> {
        let after = page.position()?;
        self.repository.list(tenant, after, page).await
    }

    fn new_user(
        &self,
        tenant: &TenantId,
        email: EmailAddress,
        name: Label,
        role: UserRole,
        external_id: Option<String>,
    ) -> User {
        User {
            id: UserId::from_ulid(self.surroundings.next_id()),
            tenant: tenant.clone(),
            email,
            email_verified: true,
            name,
            role,
            external_id,
            created_at: self.surroundings.now(),
        }
    }
}

pub(super) fn email_taken() -> Error {
    Error::new(
        ErrorCode::EmailTaken,
        "Somebody here uses this e-mail address already.",
    )
    .at_field("email")
}

pub(super) fn wrong_credentials() -> Error {
    Error::new(
        ErrorCode::WrongCredentials,
        "The e-mail address or the password is wrong.",
    )
}
