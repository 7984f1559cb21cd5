//! Storage steps of guests: accounts without a password, one for each address that somebody sold to and nobody owned.
//! Called by the users and imports modules; calls models.
//!
//! `guest` has the guest of an address. Guard: both the step that makes a guest and the one that confirms an address write this
//! row, so one of two concurrent ones fails, and is decided again.

use std::collections::HashMap;

use super::{
    db::{Script, StepError},
    models::{GuestLinksRow, GuestRow, LoginRow, UserRow, key_text},
    users::UsersRepository,
};
use crate::{
    error::Result,
    types::{ChangeKind, EmailAddress, TenantId, User, UserId, VerificationRequest},
};

/// The guard's word when an address has a guest or a confirmed owner by now.
const ADDRESS_KNOWN: &str = "address-known";

/// Who gets what is sold to some addresses.
#[derive(Default)]
pub(in crate::modules) struct Buyers {
    /// Addresses with a confirmed owner or a guest.
    pub(in crate::modules) known: HashMap<EmailAddress, UserId>,
    /// The revisions of the rows of guests that there are.
    revisions: HashMap<EmailAddress, i64>,
}

impl UsersRepository {
    /// Who gets what is sold to these addresses: their confirmed owner, or else their guest. Two reads.
    pub(in crate::modules) async fn buyers_at(
        &self,
        tenant: &TenantId,
        emails: &[EmailAddress],
    ) -> Result<Buyers> {
        let mut script = Script::snapshot(tenant);
        let logins = emails.iter().map(|email| LoginRow::by_email(tenant, email));
        let logins = script.read_all(logins.collect::<Vec<_>>());
        let guests = emails.iter().map(|email| GuestRow::key(tenant, email));
        let guests = script.read_all(guests.collect::<Vec<_>>());
        let mut answers = self.db.run_retrying(&script).await?;
        let owners = answers.rows::<LoginRow>(logins)?;
        let owners = owners.iter().map(LoginRow::user);
        let owners = owners.collect::<Result<Vec<_>>>()?;
        let mut buyers = Buyers::default();
        for row in answers.rows::<GuestRow>(guests)? {
            let email = row.email()?;
            buyers.revisions.insert(email.clone(), row.revision);
            if let Some(guest) = row.user()? {
                buyers.known.insert(email, guest);
            }
        }
        let owners = self.find_many(tenant, &owners).await?;
        let confirmed = owners.into_iter().filter(|owner| owner.email_verified);
        let confirmed = confirmed.map(|owner| (owner.email, owner.id));
        buyers.known.extend(confirmed);
        Ok(buyers)
    }

    /// Writes guests of addresses that had neither a guest nor a confirmed owner when they were read: 2 rows each. Returns
    /// false, and writes nothing, if one has by now.
    pub(in crate::modules) async fn insert_guests(
        &self,
        tenant: &TenantId,
        guests: &[User],
        seen: &Buyers,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let mut new = Vec::with_capacity(guests.len());
        let mut users = Vec::with_capacity(guests.len());
        for guest in guests {
            match seen.revisions.get(&guest.email) {
                Some(revision) => script.replace_if(
                    GuestRow::key(tenant, &guest.email),
                    *revision,
                    GuestRow::of(guest, revision + 1),
                    ADDRESS_KNOWN,
                ),
                None => new.push(GuestRow::of(guest, 1)),
            }
            // Nobody asks a guest: whoever signs up with the address is asked.
            let asked = VerificationRequest {
                at: guest.created_at,
                mails: 0,
            };
            script.happens(guest.created_at);
            let row = UserRow::of(guest, None, Some(&asked));
            users.push(script.telling(ChangeKind::CustomerCreated, row));
        }
        script.insert("guest", new);
        script.insert("user", users);
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(StepError::Exists(_)) => Ok(false),
            Err(error) if error.is_guard(ADDRESS_KNOWN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The users with these ids of a platform.
    pub(in crate::modules) async fn by_external_ids(
        &self,
        tenant: &TenantId,
        external_ids: &[String],
    ) -> Result<HashMap<String, UserId>> {
        let mut script = Script::of(tenant);
        let keys = external_ids.iter();
        let keys = keys.map(|id| LoginRow::by_external_id(tenant, id));
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<LoginRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let read = rows.iter();
        read.map(|row| Ok((key_text(&row.id, 1)?.to_owned(), row.user()?)))
            .collect()
    }

    /// The guests that an account took over: at most 16.
    pub(in crate::modules) async fn guests_of(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Vec<UserId>> {
        let mut script = Script::of(tenant);
        let index = script.read(UserRow::key(tenant, user));
        let row: Option<GuestLinksRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map_or_else(|| Ok(Vec::new()), |row| row.guests())
    }
}
