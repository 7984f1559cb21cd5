//! Customers that somebody sells to, and guests: accounts without a password, for addresses that have no confirmed owner.
//!
//! Invariants: an address has at most one guest, and none gets tickets in the name of an account that has not confirmed the
//! address. The account that confirms it takes the guest over, in the same transaction: its bookings are the account's own
//! from then on. Called by app_modules; calls the users repository.

use std::collections::{HashMap, HashSet};

use super::UsersModule;
use crate::{
    error::{Error, ErrorCode, Result},
    types::{EmailAddress, Label, SoldTo, TenantId, User, UserId, UserRole},
};

/// Attempts to find or make a guest. Another seller, or a confirmation, that comes first causes more than one.
const TRIES_MAX: u32 = 5;
/// Guests of one transaction: some 200 rows.
const GUESTS_AT_ONCE: usize = 100;

impl UsersModule {
    /// The customer of a sale. A guest is made if the address has neither a confirmed owner nor a guest.
    ///
    /// # Errors
    /// `field-invalid` at `customer` for an id that nobody has.
    pub(crate) async fn customer_of_sale(
        &self,
        tenant: &TenantId,
        sold_to: &SoldTo,
    ) -> Result<UserId> {
        let (found, field) = match sold_to {
            SoldTo::Id(user) => (self.find(tenant, *user).await?, "customer.id"),
            SoldTo::ExternalId(id) => {
                let found = self.repository.find_by_external_id(tenant, id).await?;
                (found, "customer.externalId")
            }
            SoldTo::Guest { name, email } => return self.guest(tenant, name, email).await,
        };
        let found = found.filter(|user| user.erased_at.is_none());
        let found = found.map(|user| user.id);
        found.ok_or_else(|| Error::field(field, "No user of this tenant has this id."))
    }

    async fn guest(&self, tenant: &TenantId, name: &Label, email: &EmailAddress) -> Result<UserId> {
        let wanted = HashMap::from([(email.clone(), name)]);
        let buyers = self.buyers(tenant, wanted, false).await?;
        buyers.get(email).copied().ok_or_else(kept_changing)
    }

    pub(in crate::modules) fn new_guest(
        &self,
        tenant: &TenantId,
        name: &Label,
        email: &EmailAddress,
    ) -> User {
        let (name, email) = (name.clone(), email.clone());
        let guest = self.new_user(tenant, email, name, UserRole::Customer, None);
        User {
            email_verified: false,
            ..guest
        }
    }

    /// The customers of rows of an import, in their order; `None` for a guest that a dry run does not make.
    pub(crate) async fn customers_of_import(
        &self,
        tenant: &TenantId,
        wanted: &[&SoldTo],
        dry_run: bool,
    ) -> Result<Vec<Result<Option<UserId>>>> {
        let (mut ids, mut external_ids, mut guests) = (Vec::new(), Vec::new(), HashMap::new());
        for one in wanted {
            match one {
                SoldTo::Id(id) => ids.push(*id),
                SoldTo::ExternalId(id) => external_ids.push(id.clone()),
                SoldTo::Guest { name, email } => {
                    guests.entry(email.clone()).or_insert(name);
                }
            }
        }
        let users = self.repository.find_many(tenant, &ids).await?;
        let live = users.iter().filter(|user| user.erased_at.is_none());
        let known: HashSet<UserId> = live.map(|user| user.id).collect();
        let external = self.repository.by_external_ids(tenant, &external_ids);
        let external = external.await?;
        let buyers = self.buyers(tenant, guests, dry_run).await?;
        let none = |field: &'static str| Error::field(field, "No user of this tenant has this id.");
        let customer = |one: &&SoldTo| match one {
            SoldTo::Id(id) if known.contains(id) => Ok(Some(*id)),
            SoldTo::Id(_) => Err(none("customer.id")),
            SoldTo::ExternalId(id) => match external.get(id) {
                Some(user) => Ok(Some(*user)),
                None => Err(none("customer.externalId")),
            },
            SoldTo::Guest { email, .. } => Ok(buyers.get(email).copied()),
        };
        Ok(wanted.iter().map(customer).collect())
    }

    /// Who gets what is sold to these addresses. Guests are made for those that nobody owns, unless it is a dry run.
    async fn buyers(
        &self,
        tenant: &TenantId,
        guests: HashMap<EmailAddress, &Label>,
        dry_run: bool,
    ) -> Result<HashMap<EmailAddress, UserId>> {
        let emails: Vec<EmailAddress> = guests.keys().cloned().collect();
        let mut buyers = HashMap::new();
        for emails in emails.chunks(GUESTS_AT_ONCE) {
            for attempt in 1..=TRIES_MAX {
                let seen = self.repository.buyers_at(tenant, emails).await?;
                let unknown = emails.iter();
                let unknown = unknown.filter(|email| !seen.known.contains_key(*email));
                let new: Vec<User> = unknown
                    .filter_map(|email| Some(self.new_guest(tenant, guests.get(email)?, email)))
                    .collect();
                let known = seen.known.iter();
                buyers.extend(known.map(|(email, buyer)| (email.clone(), *buyer)));
                if new.is_empty() || dry_run {
                    break;
                }
                let made = self.repository.insert_guests(tenant, &new, &seen);
                if made.await? {
                    buyers.extend(new.into_iter().map(|guest| (guest.email, guest.id)));
                    break;
                }
                if attempt == TRIES_MAX {
                    return Err(kept_changing());
                }
            }
        }
        Ok(buyers)
    }

    /// An account, and the guests that it took over: at most 17.
    pub(crate) async fn accounts_of(&self, tenant: &TenantId, user: UserId) -> Result<Vec<UserId>> {
        let mut all = vec![user];
        all.extend(self.repository.guests_of(tenant, user).await?);
        Ok(all)
    }
}

fn kept_changing() -> Error {
    Error::new(
        ErrorCode::ConflictTryAgain,
        "The customer's account kept changing; send the request again.",
    )
}
