//! Storage steps of users. Called by the users module; calls models.

use super::{
    db::{Db, Script, StepError},
    models::{AccountRow, LoginRow, OwnerRow, UnverifiedRow, UserRow, json_of},
    notifications::{NewMails, add_mails},
};
use crate::{
    error::Result,
    types::{
        ChangeKind, EmailAddress, Page, PageRequest, TenantId, User, UserId, UserRole,
        VerificationRequest,
    },
};

/// The guard's word when the user was asked meanwhile, or has confirmed.
const ASKED_MEANWHILE: &str = "asked-meanwhile";

/// The guard's word when the user has another address by now, or was erased.
const CHANGED_MEANWHILE: &str = "changed-meanwhile";

/// Most unconfirmed accounts that lose their address when it gets an owner, the newest ones. More are an attacker's, who could
/// sign up again in any case. They stay accounts that never own the address.
pub(super) const GIVE_WAY_MAX: u32 = 32;

/// Most guests that one account takes over: one for each address that it ever had.
const GUESTS_MAX: u32 = 16;

pub(in crate::modules) struct UsersRepository {
    pub(super) db: Db,
}

impl UsersRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a new user with their logins, and the mail that asks to confirm the address: at most 6 rows. A user that a
    /// platform brings takes over the guest of the address: 3 rows more. Returns
    /// false if a login is taken.
    pub(in crate::modules) async fn insert(
        &self,
        user: &User,
        password_hash: Option<String>,
        asked: Option<(&VerificationRequest, &NewMails)>,
    ) -> Result<bool> {
        let script = insertion(user, password_hash, asked)?;
        written_or_taken(self.db.run_retrying(&script).await)
    }

    /// Updates a user's name, address and metadata: at most 3 rows. Returns false if the address is taken, or the user was changed meanwhile.
    pub(in crate::modules) async fn update(&self, before: &User, after: &User) -> Result<bool> {
        let mut script = Script::transaction(&after.tenant);
        if before.email != after.email {
            let old = script.bind(LoginRow::by_email(&before.tenant, &before.email));
            script.push(format!("DELETE {old} RETURN NONE"));
            let new = script.bind(LoginRow::new(
                LoginRow::by_email(&after.tenant, &after.email),
                after.id,
            ));
            script.push(format!("INSERT INTO login {new} RETURN NONE"));
            give_way(&mut script, &after.email);
            let old = script.bind(before.email.as_str().to_owned());
            script.push(format!(
                "DELETE guest:[$tenant, {old}] WHERE user = NONE RETURN NONE"
            ));
            take_over(&mut script, after);
        }
        let record = script.bind(UserRow::key(&after.tenant, after.id));
        let name = script.bind(after.name.as_str().to_owned());
        let email = script.bind(after.email.as_str().to_owned());
        let seen = script.bind(before.email.as_str().to_owned());
        let metadata = match after.metadata == before.metadata {
            true => String::new(),
            false => format!("metadata = {}, ", script.bind(json_of(&after.metadata))),
        };
        script.require(
            format!(
                "UPDATE {record} SET name = {name}, email = {email}, {metadata}unverified = NONE \
                 WHERE email = {seen} RETURN VALUE id"
            ),
            CHANGED_MEANWHILE,
        );
        let id = UserRow::key(&after.tenant, after.id);
        script.tell(ChangeKind::CustomerUpdated, id);
        match self.db.run_retrying(&script).await {
            Err(error) if error.is_guard(CHANGED_MEANWHILE) => Ok(false),
            outcome => written_or_taken(outcome),
        }
    }

    /// The requests to a user to confirm their address, if it is still unconfirmed.
    pub(in crate::modules) async fn asked(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Option<VerificationRequest>> {
        let mut script = Script::of(tenant);
        let index = script.read(UserRow::key(tenant, user));
        let row: Option<UserRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map_or(Ok(None), |row| row.asked())
    }

    /// Records another request to confirm an address, if there was none meanwhile: 3 rows. Returns whether it was written.
    pub(in crate::modules) async fn ask_again(
        &self,
        tenant: &TenantId,
        user: UserId,
        (seen, next): (&VerificationRequest, &VerificationRequest),
        mails: &NewMails,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let id = script.bind(UserRow::key(tenant, user));
        let (seen, next) = (
            script.bind(seen.mails),
            script.bind(UnverifiedRow::of(next)),
        );
        let asking = format!(
            "UPDATE {id} SET unverified = {next} WHERE unverified.mails = {seen} RETURN VALUE id"
        );
        script.require(asking, ASKED_MEANWHILE);
        add_mails(&mut script, tenant, mails)?;
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(ASKED_MEANWHILE) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::modules) async fn find(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Option<User>> {
        Ok(self.find_many(tenant, &[user]).await?.pop())
    }

    /// The users with these ids; at most the size of a delivery batch.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Vec<User>> {
        let mut script = Script::of(tenant);
        let index = script.read_all(
            users
                .iter()
                .map(|user| UserRow::key(tenant, *user))
                .collect::<Vec<_>>(),
        );
        let rows: Vec<UserRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(UserRow::into_type).collect()
    }

    /// The user with this id of a platform.
    pub(in crate::modules) async fn find_by_external_id(
        &self,
        tenant: &TenantId,
        external_id: &str,
    ) -> Result<Option<User>> {
        let mut script = Script::of(tenant);
        let index = script.read(LoginRow::by_external_id(tenant, external_id));
        let login: Option<LoginRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(self.behind(tenant, login).await?.map(|(user, _)| user))
    }

    async fn behind(
        &self,
        tenant: &TenantId,
        login: Option<LoginRow>,
    ) -> Result<Option<(User, Option<String>)>> {
        let Some(login) = login else { return Ok(None) };
        let user = login.user()?;
        self.with_password(tenant, user).await
    }

    /// A user with their password's hash.
    pub(in crate::modules) async fn with_password(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Option<(User, Option<String>)>> {
        let mut script = Script::of(tenant);
        let index = script.read(UserRow::key(tenant, user));
        let row: Option<UserRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| {
            let hash = row.password_hash.clone();
            Ok((row.into_type()?, hash))
        })
        .transpose()
    }

    /// The epochs of accounts' sessions, in their order. Read before a password is, so that a session that it opens has ended
    /// if the password was replaced meanwhile.
    pub(in crate::modules) async fn session_epochs(
        &self,
        tenant: &TenantId,
        users: &[UserId],
    ) -> Result<Vec<Option<String>>> {
        let mut script = Script::of(tenant);
        for user in users {
            script.read(UserRow::key(tenant, *user));
        }
        let mut answers = self.db.run_retrying(&script).await?;
        let read = |index| {
            let row: Option<AccountRow> = answers.row(index)?;
            Ok(row.and_then(|row| row.session_epoch))
        };
        (0..users.len()).map(read).collect()
    }

    /// A page of a tenant's users, in order of creation.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
        after: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<User>> {
        let mut script = Script::of(tenant);
        let after = script.bind(
            after
                .map(|user| user.ulid().to_string())
                .unwrap_or_default(),
        );
        let count = script.bind(i64::from(page.limit) + 1);
        let index = script.push(format!(
            "SELECT * FROM type::record('user', [$tenant, {after}]>..[$tenant, ..]) LIMIT {count}"
        ));
        let rows: Vec<UserRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let items = rows
            .into_iter()
            .map(UserRow::into_type)
            .collect::<Result<Vec<_>>>()?;
        Ok(page.cut(items, |user| user.id.to_string()))
    }
}

/// The first `max` of a tenant's owners who may sign in.
pub(super) async fn owners(db: &Db, tenant: &TenantId, max: usize) -> Result<Vec<UserId>> {
    let mut script = Script::of(tenant);
    let max = script.bind(max as i64);
    let index = script.push(format!(
        "SELECT * FROM type::record('owner', [$tenant]..[$tenant, ..]) LIMIT {max}"
    ));
    let rows: Vec<OwnerRow> = db.run_retrying(&script).await?.rows(index)?;
    rows.iter().map(OwnerRow::user).collect()
}

/// What writes a new user: see [`UsersRepository::insert`].
pub(super) fn insertion(
    user: &User,
    password_hash: Option<String>,
    asked: Option<(&VerificationRequest, &NewMails)>,
) -> Result<Script> {
    let mut script = Script::transaction(&user.tenant);
    let login = script.bind(LoginRow::new(
        LoginRow::by_email(&user.tenant, &user.email),
        user.id,
    ));
    script.push(format!("INSERT INTO login {login} RETURN NONE"));
    if let Some(external_id) = &user.external_id {
        let login = script.bind(LoginRow::new(
            LoginRow::by_external_id(&user.tenant, external_id),
            user.id,
        ));
        script.push(format!("INSERT INTO external_login {login} RETURN NONE"));
    }
    if user.role == UserRole::Owner {
        let row = script.bind(OwnerRow::of(&user.tenant, user.id));
        script.push(format!("INSERT INTO owner {row} RETURN NONE"));
    }
    let asking = asked.map(|(asked, _)| asked);
    script.insert("user", [UserRow::of(user, password_hash, asking)]);
    script.happens(user.created_at);
    let id = UserRow::key(&user.tenant, user.id);
    script.tell(ChangeKind::CustomerCreated, id);
    if user.external_id.is_some() {
        take_over(&mut script, user);
    }
    give_way(&mut script, &user.email);
    if let Some((_, mails)) = asked {
        add_mails(&mut script, &user.tenant, mails)?;
    }
    Ok(script)
}

/// Gives the guest of an address to a user that a platform vouches for.
fn take_over(script: &mut Script, user: &User) {
    let own = script.bind(user.id.ulid().to_string());
    let email = script.bind(user.email.as_str().to_owned());
    add_takeover(script, (&own, &email));
}

/// Removes the address from the unconfirmed accounts that have it: at most 32.
pub(super) fn give_way(script: &mut Script, email: &EmailAddress) {
    let email = script.bind(email.as_str().to_owned());
    script.push(format!(
        "DELETE (SELECT VALUE id FROM sign_up:[$tenant, {email}]..[$tenant, {email}, ..] \
         ORDER BY id DESC LIMIT {GIVE_WAY_MAX}) RETURN NONE"
    ));
}

pub(super) fn written_or_taken<T>(outcome: Result<T, StepError>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(StepError::Exists(_)) => Ok(false),
        Err(error) => Err(error.into()),
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
/// rows. The guest's row is always written. `own` and `email` are bound.
pub(super) fn add_takeover(script: &mut Script, (own, email): (&str, &str)) {
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
        "UPSERT guest:[$tenant, {email}] SET user = NONE, revision = (revision ?? 0) + 1 RETURN NONE"
    ));
}
