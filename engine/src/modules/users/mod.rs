//! The rules of users. Called by app_modules; calls the users repository.

pub(in crate::modules) mod accounts;
pub(in crate::modules) mod api_keys;
mod erasures;
mod guests;
mod identities;
mod invitations;
pub(in crate::modules) mod passwords;
mod principals;
pub(in crate::modules) mod roles;
pub(in crate::modules) mod sessions;
mod sign_ups;

use std::sync::{Arc, Mutex};

use super::{ModuleContext, repositories::UsersRepository};
use crate::modules::{support::lru_cache::LruCache, users::passwords::Passwords};
use crate::{
    error::{Error, ErrorCode, Result},
    locked::Locked as _,
    types::{
        CreateUser, EmailAddress, EnsureUser, Label, Metadata, Page, PageRequest, TenantId, User,
        UserFilter, UserId, UserRole, VerificationRequest,
    },
};

/// Most cached users with a confirmed address: about 100 bytes each. One that is not cached costs a read.
const CONFIRMED_MAX: usize = 20_000;

/// Users that one page of a search by name reads: a tenth of a second.
const NAMES_SCANNED_MAX: u32 = 5_000;
/// Users of one read of such a search: some 200 KB, or 13 MB if all have the largest metadata.
const NAMES_READ_MAX: u32 = 500;

/// Whether a new user is asked to confirm their address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressConfirmation {
    Required,
    NotRequired,
}

pub(crate) use identities::PasswordCheck;

pub(crate) struct UsersModule {
    pub(super) repository: UsersRepository,
    /// Users with a confirmed address. This is never revoked, so a cached entry stays valid.
    confirmed: Mutex<LruCache<(TenantId, UserId), ()>>,
    pub(super) passwords: Arc<Passwords>,
    pub(super) context: ModuleContext,
}

impl UsersModule {
    pub(super) fn new(
        repository: UsersRepository,
        passwords: Arc<Passwords>,
        context: ModuleContext,
    ) -> Self {
        Self {
            repository,
            confirmed: Mutex::new(LruCache::new(CONFIRMED_MAX)),
            passwords,
            context,
        }
    }

    /// Creates a user. A user who is asked to confirm the address gets a mail.
    pub(crate) async fn create(
        &self,
        tenant: &TenantId,
        command: CreateUser,
        confirmation: AddressConfirmation,
    ) -> Result<User> {
        let asks = confirmation == AddressConfirmation::Required;
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
            let asked = VerificationRequest {
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
            self.context.outbox_added.notify_one();
        }
        Ok(user)
    }

    /// Finds or creates the customer with a platform's id.
    pub(crate) async fn ensure(&self, tenant: &TenantId, command: EnsureUser) -> Result<User> {
        if !(1..=255).contains(&command.external_id.len()) {
            return Err(Error::field(
                "externalId",
                "An external id has 1 to 255 bytes.",
            ));
        }
        // A second round sees what a concurrent call has written.
        for _ in 0..2 {
            if let Some(present) = self
                .repository
                .find_by_external_id(tenant, &command.external_id)
                .await?
            {
                let user = User {
                    name: command.name.clone(),
                    email: command.email.clone(),
                    metadata: command
                        .metadata
                        .clone()
                        .unwrap_or_else(|| present.metadata.clone()),
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
            let user = User {
                metadata: command.metadata.clone().unwrap_or_default(),
                ..self.new_user(tenant, email, name, UserRole::Customer, external_id)
            };
            if self.repository.insert(&user, None, None).await? {
                return Ok(user);
            }
        }
        Err(email_taken())
    }

    pub(crate) async fn find(&self, tenant: &TenantId, user: UserId) -> Result<Option<User>> {
        self.repository.find(tenant, user).await
    }

    /// Returns whether a user's address is confirmed. Cached only if it is. True for unknown users, who have nothing to confirm.
    pub(crate) async fn is_confirmed(&self, tenant: &TenantId, user: UserId) -> Result<bool> {
        let key = (tenant.clone(), user);
        let confirmed = || self.confirmed.locked();
        if confirmed().get(&key).is_some() {
            return Ok(true);
        }
        let found = self.find(tenant, user).await?;
        if found.as_ref().is_some_and(|user| user.email_verified) {
            confirmed().insert(key, ());
        }
        Ok(found.is_none_or(|user| user.email_verified))
    }

    /// Finds the owner of an address, or else the newest account that waits for it.
    pub(crate) async fn find_by_email(
        &self,
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> Result<Option<User>> {
        let (owner, waiting) = self.repository.address(tenant, email).await?;
        let owner = owner.map(|owner| owner.user);
        match owner.or_else(|| waiting.first().copied()) {
            Some(user) => self.repository.find(tenant, user).await,
            None => Ok(None),
        }
    }

    /// The users among these that exist; at most the size of a delivery batch.
    pub(crate) async fn find_many(&self, tenant: &TenantId, users: &[UserId]) -> Result<Vec<User>> {
        self.repository.find_many(tenant, users).await
    }

    /// The accounts at an address: its owner and what that took over, the guest, and the newest that wait for it; at most 50.
    pub(crate) async fn accounts_at(
        &self,
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> Result<Vec<UserId>> {
        let repository = &self.repository;
        let (owner, mut accounts) = repository.address(tenant, email).await?;
        if let Some(owner) = owner {
            accounts.extend(self.accounts_of(tenant, owner.user).await?);
        }
        let buyers = repository.buyers_at(tenant, std::slice::from_ref(email));
        accounts.extend(buyers.await?.known.into_values());
        accounts.sort_unstable();
        accounts.dedup();
        Ok(accounts)
    }

    /// A page of a tenant's users in order of creation. Names have no index: a page reads so many users, and may have fewer
    /// items than its limit.
    pub(crate) async fn list(
        &self,
        tenant: &TenantId,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Page<User>> {
        let after = page.position::<UserId>()?;
        let repository = &self.repository;
        let mut found = match (&filter.email, &filter.external_id, &filter.name) {
            (None, None, None) => return repository.list(tenant, after, page).await,
            (None, None, Some(_)) => return self.list_named(tenant, filter, after, page).await,
            (Some(email), _, _) => {
                let accounts = self.accounts_at(tenant, email).await?;
                repository.find_many(tenant, &accounts).await?
            }
            (None, Some(external_id), _) => {
                let user = repository.find_by_external_id(tenant, external_id).await?;
                user.into_iter().collect()
            }
        };
        found.retain(|user| after.is_none_or(|after| user.id > after) && filter.matches(user));
        found.sort_by_key(|user| user.id);
        Ok(page.cut(found, |user| user.id.to_string()))
    }

    async fn list_named(
        &self,
        tenant: &TenantId,
        filter: &UserFilter,
        mut after: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<User>> {
        let scanned = PageRequest {
            cursor: None,
            limit: NAMES_READ_MAX,
        };
        let mut items: Vec<User> = Vec::new();
        for _ in 0..NAMES_SCANNED_MAX / NAMES_READ_MAX {
            let read = self.repository.list(tenant, after, &scanned).await?;
            for user in read.items {
                after = Some(user.id);
                if filter.matches(&user) {
                    items.push(user);
                }
                if items.len() > page.limit as usize {
                    return Ok(page.cut(items, |user| user.id.to_string()));
                }
            }
            if read.next.is_none() {
                return Ok(Page { items, next: None });
            }
        }
        let next = after.map(|after| after.to_string());
        Ok(Page { items, next })
    }

    pub(super) fn new_user(
        &self,
        tenant: &TenantId,
        email: EmailAddress,
        name: Label,
        role: UserRole,
        external_id: Option<String>,
    ) -> User {
        User {
            id: UserId::from_ulid(self.context.next_id()),
            tenant: tenant.clone(),
            email,
            email_verified: true,
            name,
            role,
            external_id,
            metadata: Metadata::default(),
            is_suspended: false,
            erased_at: None,
            created_at: self.context.now(),
        }
    }
}

pub(super) fn email_taken() -> Error {
    Error::new(
        ErrorCode::EmailTaken,
        "This e-mail address is already in use.",
    )
    .at_field("email")
}

pub(super) fn wrong_credentials() -> Error {
    Error::new(
        ErrorCode::WrongCredentials,
        "The e-mail address or the password is wrong.",
    )
}
