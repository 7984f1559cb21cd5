//! Storage steps of what people change of their own accounts: password, name and address.
//!
//! Guards: a password is replaced only while it is the one that was checked, and an address only while the change is the
//! account's newest. So a link works once, whoever races. Called by the users module; calls models.

use jiff::Timestamp;

use super::{
    db::{Script, StepError},
    identities::add_end_of_identities,
    models::{AccountMailRow, LoginRow, SignUpRow, UserRow},
    notifications::{NewMails, add_mails, add_mails_if},
    sessions::add_end_of_sessions,
    users::{UsersRepository, add_guests_move, add_takeover, give_way},
};
use crate::{
    error::Result,
    types::{
        ChangeKind, EmailAddress, Label, NotificationId, NotificationKind, SessionId, SessionOwner,
        TenantId, User, UserId,
    },
};

/// The guard's word when the account's password or address is another by now.
const STALE_CREDENTIALS: &str = "stale-credentials";
/// The guard's word when an account asked too often.
const ASKED_TOO_OFTEN: &str = "asked-too-often";

/// A mail that somebody asks for, and how many such mails may be asked for in a day.
pub(in crate::modules) struct AccountMail<'a> {
    pub(in crate::modules) notification: NotificationId,
    pub(in crate::modules) kind: NotificationKind,
    /// The day (UTC), counted from 1970.
    pub(in crate::modules) day: i64,
    /// Mails of the kind to an address on a day, and requests of an account.
    pub(in crate::modules) most: u32,
    pub(in crate::modules) mails: &'a NewMails,
}

/// A new password, and the one that it replaces.
pub(in crate::modules) struct NewPassword {
    pub(in crate::modules) hash: String,
    pub(in crate::modules) replaces: Replaces,
    pub(in crate::modules) allowed_by: AllowedBy,
}

/// What allowed a new password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::modules) enum AllowedBy {
    /// The old one. Linked identities stay.
    Password,
    /// A link that was mailed to the address. Everything else that signs in ends with it, linked identities included: the
    /// person may have lost the account, or somebody else may have made it with their address.
    Mail,
}

/// The password that another one replaces.
pub(in crate::modules) enum Replaces {
    /// Whatever it is.
    Any,
    /// Only this one, by its hash; `None` if the account had none.
    Only(Option<String>),
}

impl NewPassword {
    /// What a statement that replaces the password sets, and on which further condition. A request for another address ends with
    /// the password that allowed it, and linked identities with one that a mail allowed.
    pub(super) fn parts(self, script: &mut Script, user: &User) -> (String, String) {
        if self.allowed_by == AllowedBy::Mail {
            add_end_of_identities(script, &user.tenant, user.id);
        }
        let hash = script.bind(self.hash);
        let condition = match self.replaces {
            Replaces::Any => String::new(),
            Replaces::Only(seen) => format!(" AND password_hash = {}", script.bind(seen)),
        };
        let set = format!(", password_hash = {hash}, email_change = NONE");
        (set, condition)
    }
}

/// An account's move to another address.
pub(in crate::modules) struct EmailMove<'a> {
    /// The account before.
    pub(in crate::modules) user: &'a User,
    /// The request that the link names.
    pub(in crate::modules) change: NotificationId,
    pub(in crate::modules) email: &'a EmailAddress,
    /// The unconfirmed accounts at the new address.
    pub(in crate::modules) waiting: &'a [UserId],
    /// The mail that tells the old address, if it is told.
    pub(in crate::modules) notice: Option<(NotificationId, &'a NewMails)>,
    /// The mail that lists bookings whose mails were held back.
    pub(in crate::modules) summary: &'a NewMails,
    pub(in crate::modules) epoch: &'a str,
}

/// What became of an account's move to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::modules) enum EmailMoved {
    Done,
    /// Another account owns the address.
    Taken,
    /// The change is not the account's newest, or was made.
    Stale,
}

impl UsersRepository {
    /// Adds a mail to an account's address, unless the address got as many of the kind on that day: at most 3 rows.
    /// Deletes the counts of earlier days.
    pub(in crate::modules) async fn add_account_mail(
        &self,
        user: &User,
        mail: &AccountMail<'_>,
    ) -> Result<()> {
        let mut script = Script::transaction(&user.tenant);
        add_count(&mut script, "$may_go", user.email.as_str(), mail);
        add_mails_if(&mut script, &user.tenant, mail.mails, "$may_go")?;
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Makes a request for another address the account's newest, and adds the mail to the new address, unless that has an
    /// owner or got as many mails of the kind on that day: at most 6 rows. Returns false if the account asked as often as
    /// it may on that day.
    pub(in crate::modules) async fn ask_for_email(
        &self,
        user: &User,
        email: &EmailAddress,
        mail: &AccountMail<'_>,
    ) -> Result<bool> {
        let tenant = &user.tenant;
        let mut script = Script::transaction(tenant);
        let own = user.id.ulid().to_string();
        add_count(&mut script, "$may_ask", &own, mail);
        script.push(format!("IF !$may_ask {{ THROW '{ASKED_TOO_OFTEN}' }}"));
        add_count(&mut script, "$may_go", email.as_str(), mail);
        let id = script.bind(UserRow::key(tenant, user.id));
        let change = script.bind(mail.notification.ulid().to_string());
        script.require(
            format!(
                "UPDATE {id} SET email_change = {change} WHERE erased_at = NONE RETURN VALUE id"
            ),
            ASKED_TOO_OFTEN,
        );
        let login = script.bind(LoginRow::by_email(tenant, email));
        script.push(format!(
            "LET $goes = $may_go AND (SELECT VALUE user FROM ONLY {login}) = NONE"
        ));
        let row = script.bind(AccountMailRow::of(user, mail.notification, email));
        script.push(format!(
            "IF $goes {{ INSERT INTO account_mail {row} RETURN NONE }}"
        ));
        add_mails_if(&mut script, tenant, mail.mails, "$goes")?;
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(ASKED_TOO_OFTEN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The address of a mail that does not go to the account's own.
    pub(in crate::modules) async fn mail_address(
        &self,
        tenant: &TenantId,
        user: UserId,
        notification: NotificationId,
    ) -> Result<Option<EmailAddress>> {
        let mut script = Script::of(tenant);
        let index = script.read(AccountMailRow::key(tenant, user, notification));
        let row: Option<AccountMailRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row.map(AccountMailRow::email))
    }

    /// The account's newest request for another address that was not made.
    pub(in crate::modules) async fn newest_email_change(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Option<NotificationId>> {
        let mut script = Script::of(tenant);
        let index = script.read(UserRow::key(tenant, user));
        let row: Option<UserRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.and_then(|row| row.email_change()).transpose()
    }

    /// Replaces a password, drops the request for another address, and ends the account's sessions except one: 5 rows, the
    /// sessions, and the linked identities if a mail allowed it. Returns false if password or address are others by now.
    pub(in crate::modules) async fn set_password(
        &self,
        user: &User,
        password: NewPassword,
        (keep, epoch): (Option<SessionId>, &str),
    ) -> Result<bool> {
        let mut script = Script::transaction(&user.tenant);
        let id = script.bind(UserRow::key(&user.tenant, user.id));
        let email = script.bind(user.email.as_str().to_owned());
        let (set, unchanged) = password.parts(&mut script, user);
        script.require(
            format!(
                "UPDATE {id} SET email = {email}{set} WHERE email = {email}{unchanged} RETURN VALUE id"
            ),
            STALE_CREDENTIALS,
        );
        add_end_of_sessions(&mut script, &owner_of(user), keep, epoch);
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(STALE_CREDENTIALS) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes an account's name: 1 row. Returns whether the account exists.
    pub(in crate::modules) async fn rename(
        &self,
        tenant: &TenantId,
        user: UserId,
        name: &Label,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let id = script.bind(UserRow::key(tenant, user));
        let name = script.bind(name.as_str().to_owned());
        let index = script.push(format!(
            "UPDATE {id} SET name = {name} WHERE erased_at = NONE RETURN VALUE id"
        ));
        script.tell(ChangeKind::CustomerUpdated, UserRow::key(tenant, user));
        let ids: Vec<surrealdb::types::RecordId> =
            self.db.run_retrying(&script).await?.rows(index)?;
        Ok(!ids.is_empty())
    }

    /// Moves an account to another address, which is confirmed by that: its login, and the mails to the old address and about
    /// bookings whose mails were held back. Unconfirmed accounts at the new address lose it, and their sessions end. At most
    /// 65 rows, and what ends the sessions of 32 accounts.
    pub(in crate::modules) async fn move_email(&self, plan: &EmailMove<'_>) -> Result<EmailMoved> {
        let (user, tenant) = (plan.user, &plan.user.tenant);
        let mut script = Script::transaction(tenant);
        let id = script.bind(UserRow::key(tenant, user.id));
        let own = script.bind(user.id.ulid().to_string());
        let (old, new) = (user.email.as_str(), plan.email.as_str());
        let (old_email, new_email) = (script.bind(old.to_owned()), script.bind(new.to_owned()));
        let change = script.bind(plan.change.ulid().to_string());
        script.push(format!(
            "LET $held_back = (SELECT VALUE mails_held_back FROM ONLY {id}) ?? false"
        ));
        script.require(
            format!(
                "UPDATE {id} SET email = {new_email}, email_change = NONE, unverified = NONE, mails_held_back = NONE \
                 WHERE email_change = {change} AND email = {old_email} RETURN VALUE id"
            ),
            STALE_CREDENTIALS,
        );
        let account = UserRow::key(tenant, user.id);
        script.tell(ChangeKind::CustomerUpdated, account);
        let old_login = script.bind(LoginRow::by_email(tenant, &user.email));
        script.push(format!(
            "IF (SELECT VALUE user FROM ONLY {old_login}) = {own} {{ DELETE {old_login} RETURN NONE }}"
        ));
        let login = LoginRow::new(LoginRow::by_email(tenant, plan.email), user.id);
        let login = script.bind(login);
        script.push(format!("INSERT INTO login {login} RETURN NONE"));
        let waited = script.bind(SignUpRow::of(tenant, &user.email, user.id).id);
        script.push(format!("DELETE {waited} RETURN NONE"));
        give_way(&mut script, plan.email);
        for one in plan.waiting.iter().filter(|one| **one != user.id) {
            let owner = SessionOwner::User {
                tenant: tenant.clone(),
                user: *one,
            };
            add_end_of_sessions(&mut script, &owner, None, plan.epoch);
        }
        script.push(format!(
            "DELETE unconfirmed_account:[$tenant, {own}] RETURN NONE"
        ));
        script.push(format!(
            "DELETE guest:[$tenant, {old_email}] WHERE user = NONE RETURN NONE"
        ));
        add_takeover(&mut script, (&own, &new_email));
        add_guests_move(&mut script, (&own, &new_email));
        add_mails_if(&mut script, tenant, plan.summary, "$held_back")?;
        if let Some((notification, mails)) = plan.notice {
            let row = script.bind(AccountMailRow::of(user, notification, &user.email));
            script.push(format!("INSERT INTO account_mail {row} RETURN NONE"));
            add_mails(&mut script, tenant, mails)?;
        }
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(EmailMoved::Done),
            Err(StepError::Exists(_)) => Ok(EmailMoved::Taken),
            Err(error) if error.is_guard(STALE_CREDENTIALS) => Ok(EmailMoved::Stale),
            Err(error) => Err(error.into()),
        }
    }
}

/// The day of a moment (UTC), counted from 1970.
pub(in crate::modules) fn day_of(moment: Timestamp) -> i64 {
    moment.as_second().div_euclid(24 * 3_600)
}

/// Counts a mail of the kind and day for an address or an account (`whose`), if there are fewer than the most, which
/// `variable` then says. Deletes the counts of earlier days. Guard: the keys are in the row that is written.
pub(super) fn add_count(script: &mut Script, variable: &str, whose: &str, mail: &AccountMail<'_>) {
    let whose = script.bind(whose.to_owned());
    let kind = script.bind(mail.kind.as_str().to_owned());
    let (day, before) = (script.bind(mail.day), script.bind(mail.day - 1));
    let key = script.bind(mail.notification.to_string());
    let most = script.bind(i64::from(mail.most));
    let id = format!("unconfirmed_mail:[$tenant, {whose}, {kind}, {day}]");
    script.push(format!(
        "LET {variable} = array::len((SELECT VALUE keys FROM ONLY {id}) ?? []) < {most}"
    ));
    script.push(format!(
        "IF {variable} {{ UPSERT {id} SET keys = array::append(keys ?? [], {key}) RETURN NONE }}"
    ));
    script.push(format!(
        "DELETE (SELECT VALUE id FROM unconfirmed_mail:[$tenant, {whose}, {kind}]..[$tenant, {whose}, {kind}, {before}]) RETURN NONE"
    ));
}

fn owner_of(user: &User) -> SessionOwner {
    SessionOwner::User {
        tenant: user.tenant.clone(),
        user: user.id,
    }
}
