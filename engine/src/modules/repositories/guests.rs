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
    types::{EmailAddress, TenantId, User, UserId, VerificationRequest},
};

/// The guard's word when an address has a guest or a confirmed owner by now.
const ADDRESS_KNOWN: &str = "address-known";
/// Most guests that one account takes over: one for each address that it ever had.
const GUESTS_MAX: u32 = 16;

impl UsersRepository {
    /// Who gets what is sold to these addresses: their confirmed owner, or else their guest. Addresses with neither are left
    /// out. Two reads.
    pub(in crate::modules) async fn buyers_at(
        &self,
        tenant: &TenantId,
        emails: &[EmailAddress],
    ) -> Result<HashMap<EmailAddress, UserId>> {
        let mut script = Script::of(tenant);
        let logins = emails.iter().map(|email| LoginRow::by_email(tenant, email));
        let logins = script.read_all(logins.collect::<Vec<_>>());
        let guests = emails.iter().map(|email| GuestRow::key(tenant, email));
        let guests = script.read_all(guests.collect::<Vec<_>>());
        let mut answers = self.db.run_retrying(&script).await?;
        let owners = answers.rows::<LoginRow>(logins)?;
        let owners = owners.iter().map(LoginRow::user);
        let owners = owners.collect::<Result<Vec<_>>>()?;
        let mut buyers = HashMap::new();
        for row in answers.rows::<GuestRow>(guests)? {
            if let Some(guest) = row.user()? {
                buyers.insert(row.email()?, guest);
            }
        }
        let owners = self.find_many(tenant, &owners).await?;
        let confirmed = owners.into_iter().filter(|owner| owner.email_verified);
        buyers.extend(confirmed.map(|owner| (owner.email, owner.id)));
        Ok(buyers)
    }

    /// Writes guests, if none of their addresses has a guest or a confirmed owner by now: 2 rows each. Returns whether it did.
    pub(in crate::modules) async fn insert_guests(
        &self,
        tenant: &TenantId,
        guests: &[&User],
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        for guest in guests {
            // Nobody asks a guest: whoever signs up with the address is asked.
            let asked = VerificationRequest {
                at: guest.created_at,
                mails: 0,
            };
            let id = script.bind(GuestRow::key(tenant, &guest.email));
            let login = script.bind(LoginRow::by_email(tenant, &guest.email));
            let row = script.bind(UserRow::of(guest, None, Some(&asked)));
            let own = script.bind(guest.id.ulid().to_string());
            script.push(format!(
                "IF (SELECT VALUE user FROM ONLY {id}) != NONE {{ THROW '{ADDRESS_KNOWN}' }}"
            ));
            script.push(format!(
                "LET $owner = (SELECT VALUE user FROM ONLY {login})"
            ));
            script.push(format!(
                "IF $owner != NONE AND (SELECT VALUE unverified FROM ONLY user:[$tenant, $owner]) = NONE \
                 {{ THROW '{ADDRESS_KNOWN}' }}"
            ));
            script.push(format!("UPSERT {id} SET user = {own} RETURN NONE"));
            script.push(format!("INSERT INTO user {row} RETURN NONE"));
        }
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

/// Moves the guests that an account took over to its new address, so that it gets their mails: at most 16 rows. `own` and
/// `email` are bound.
pub(super) fn add_guests_move(script: &mut Script, (own, email): (&str, &str)) {
    script.push(format!(
        "FOR $guest IN ((SELECT VALUE guests FROM ONLY user:[$tenant, {own}]) ?? []) \
         {{ UPDATE user:[$tenant, $guest] SET email = {email} RETURN NONE }}"
    ));
}

/// Gives the guest of an address to the account that has just confirmed it, and confirms the guest's address with it: at most 3
/// rows. `epoch` is new each time, so that the guest's row is always written. `own` and `email` are bound.
pub(super) fn add_takeover(script: &mut Script, (own, email): (&str, &str), epoch: &str) {
    let epoch = script.bind(epoch.to_owned());
    script.push(format!(
        "LET $guest = (SELECT VALUE user FROM ONLY guest:[$tenant, {email}])"
    ));
    script.push(format!(
        "LET $takes = $guest != NONE AND array::len((SELECT VALUE guests FROM ONLY user:[$tenant, {own}]) ?? []) < {GUESTS_MAX}"
    ));
    script.push(format!(
        "IF $takes {{ UPDATE user:[$tenant, {own}] SET guests = array::append(guests ?? [], $guest) RETURN NONE }}"
    ));
    script.push(
        "IF $takes { UPDATE user:[$tenant, $guest] SET unverified = NONE, mails_held_back = NONE RETURN NONE }",
    );
    script.push(format!(
        "UPSERT guest:[$tenant, {email}] SET user = NONE, confirmed = {epoch} RETURN NONE"
    ));
}
