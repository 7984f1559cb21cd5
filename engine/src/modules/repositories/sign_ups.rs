//! Storage steps of sign-up with confirmation: several accounts may wait for one address, and the one that confirms
//! it owns it. Called by the users module; calls models.
//!
//! `login` has the owner of an address; `sign_up` its unconfirmed accounts, the newest last. Guard: an account
//! becomes the owner in the transaction that inserts `login`, whose id is the address.

use jiff::Timestamp;

use super::{
    accounts::NewPassword,
    db::Script,
    models::{InvitationRow, LoginRow, OwnerRow, SignUpRow, UserRow, millisecond},
    notifications::{NewMails, add_mails, add_mails_if},
    sessions::add_end_of_sessions,
    users::{GIVE_WAY_MAX, UsersRepository, add_takeover, give_way},
};
use crate::{
    error::Result,
    types::{
        AddressOwner, ChangeKind, EmailAddress, NotificationKind, SessionOwner, TenantId, User,
        UserId, VerificationRequest,
    },
};

/// The guard's word when another account owns the address, or it is no longer the account's.
const ADDRESS_OWNED: &str = "address-owned";

/// A mail to an address that nobody confirmed, and what it counts against.
pub(in crate::modules) struct CountedMail<'a> {
    pub(in crate::modules) kind: NotificationKind,
    /// Names the delivery, so that each counts once.
    pub(in crate::modules) key: &'a str,
    /// The day (UTC), counted from 1970.
    pub(in crate::modules) day: i64,
    /// Mails of the kind on that day.
    pub(in crate::modules) most: u32,
    /// Whether the account remembers that it was held back, to be told of it once its address is confirmed.
    pub(in crate::modules) is_told_later: bool,
}

impl UsersRepository {
    /// The owner of an address, and the accounts that wait for it, newest first; at most 32.
    pub(in crate::modules) async fn address(
        &self,
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> Result<(Option<AddressOwner>, Vec<UserId>)> {
        let mut script = Script::of(tenant);
        let login = script.bind(LoginRow::by_email(tenant, email));
        let email = script.bind(email.as_str().to_owned());
        let login = script.push(format!("SELECT * FROM ONLY {login}"));
        let waiting = script.push(format!(
            "SELECT * FROM sign_up:[$tenant, {email}]..[$tenant, {email}, ..] ORDER BY id DESC LIMIT {GIVE_WAY_MAX}"
        ));
        let mut answers = self.db.run_retrying(&script).await?;
        let login: Option<LoginRow> = answers.row(login)?;
        let waiting: Vec<SignUpRow> = answers.rows(waiting)?;
        let owner = login.map(LoginRow::owner).transpose()?;
        let waiting = waiting.iter().map(SignUpRow::user);
        Ok((owner, waiting.collect::<Result<_>>()?))
    }

    /// Writes an account that waits for its address to be confirmed, with a mail to the address: at most 6 rows. `notice`
    /// is the owner of the address and the time of the notice to them.
    pub(in crate::modules) async fn sign_up(
        &self,
        user: &User,
        password_hash: String,
        asked: &VerificationRequest,
        mails: &NewMails,
        notice: Option<Timestamp>,
    ) -> Result<()> {
        let script = sign_up_script(user, Some(password_hash), asked, mails, notice)?;
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Makes an account the owner of its address, with a new password if one is given and the old one is still what it replaces.
    /// The others that wait for the address (`waiting`) lose it: their sessions end, and their passwords become invalid. The
    /// account's own sessions and linked identities end, too, with a new password. If mails were held back, it adds the mail `summary`. At most 44 rows, and what ends the sessions
    /// of 33 accounts. Returns false if somebody else owns the address, or the account has another address or password by now.
    pub(in crate::modules) async fn confirm(
        &self,
        user: &User,
        password: Option<NewPassword>,
        waiting: &[UserId],
        (epoch, summary): (&str, &NewMails),
    ) -> Result<bool> {
        let (tenant, address) = (&user.tenant, &user.email);
        let mut script = Script::transaction(tenant);
        let id = script.bind(UserRow::key(tenant, user.id));
        let login_id = script.bind(LoginRow::by_email(tenant, address));
        let login = script.bind(LoginRow::new(LoginRow::by_email(tenant, address), user.id));
        let own = script.bind(user.id.ulid().to_string());
        let email = script.bind(address.as_str().to_owned());
        script.push(format!(
            "LET $owner = (SELECT VALUE user FROM ONLY {login_id})"
        ));
        script.push(format!(
            "IF $owner != NONE AND $owner != {own} {{ THROW '{ADDRESS_OWNED}' }}"
        ));
        script.push(format!(
            "IF $owner = NONE {{ INSERT INTO login {login} RETURN NONE }}"
        ));
        let has_new_password = password.is_some();
        let (password, unchanged) = match password {
            Some(password) => password.parts(&mut script, user),
            None => Default::default(),
        };
        script.push(format!(
            "LET $held_back = (SELECT VALUE mails_held_back FROM ONLY {id}) ?? false"
        ));
        let confirming = format!(
            "UPDATE {id} SET unverified = NONE, mails_held_back = NONE{password} WHERE email = {email}{unchanged} RETURN VALUE id"
        );
        script.require(confirming, ADDRESS_OWNED);
        add_mails_if(&mut script, tenant, summary, "$held_back")?;
        give_way(&mut script, address);
        for one in waiting {
            if *one != user.id || has_new_password {
                let owner = SessionOwner::User {
                    tenant: tenant.clone(),
                    user: *one,
                };
                add_end_of_sessions(&mut script, &owner, None, epoch);
            }
        }
        script.push(format!(
            "DELETE (SELECT VALUE id FROM unconfirmed_mail:[$tenant, {email}]..[$tenant, {email}, ..]) RETURN NONE"
        ));
        script.push(format!(
            "DELETE unconfirmed_account:[$tenant, {own}] RETURN NONE"
        ));
        add_acceptance(&mut script, user, (&own, &id));
        add_takeover(&mut script, (&own, &email));
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(ADDRESS_OWNED) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Counts a mail to an unconfirmed address against the daily limit, unless its key is counted, and deletes the counts of
    /// earlier days: 1 row. Returns whether it may be sent. If not, the account may remember that a mail was held back: 1 row.
    /// Guard: the day's keys are in the row that is written. A confirmation writes the account's row, too, so a mail is
    /// either held back before it or sent.
    pub(in crate::modules) async fn count_mail(
        &self,
        user: &User,
        mail: &CountedMail<'_>,
    ) -> Result<bool> {
        let mut script = Script::transaction(&user.tenant);
        let (kind, day) = (mail.kind, mail.day);
        let id = script.bind(SignUpRow::mails_of(&user.tenant, &user.email, kind, day));
        let account = script.bind(UserRow::key(&user.tenant, user.id));
        let email = script.bind(user.email.as_str().to_owned());
        let kind = script.bind(kind.as_str().to_owned());
        let key = script.bind(mail.key.to_owned());
        let (before, most) = (script.bind(day - 1), script.bind(i64::from(mail.most)));
        script.push(format!(
            "LET $is_confirmed = (SELECT VALUE unverified FROM ONLY {account}) = NONE"
        ));
        script.push(format!("LET $counted = (SELECT * FROM ONLY {id})"));
        script.push("LET $seen = $counted.keys ?? []");
        script.push(format!(
            "LET $may_go = $is_confirmed OR {key} IN $seen OR array::len($seen) < {most}"
        ));
        script.push(format!(
            "IF $may_go AND !$is_confirmed AND {key} NOT IN $seen {{ UPSERT {id} SET keys = array::append($seen, {key}) RETURN NONE }}"
        ));
        if mail.is_told_later {
            script.push(format!(
                "IF !$may_go {{ UPDATE {account} SET mails_held_back = true RETURN NONE }}"
            ));
        }
        script.push(format!(
            "DELETE (SELECT VALUE id FROM unconfirmed_mail:[$tenant, {email}, {kind}]..[$tenant, {email}, {kind}, {before}]) RETURN NONE"
        ));
        let index = script.push("RETURN [$may_go]");
        let answers: Vec<bool> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(answers.first().copied().unwrap_or(true))
    }
}

/// What writes an account that waits for its address to be confirmed: see [`UsersRepository::sign_up`].
pub(super) fn sign_up_script(
    user: &User,
    password_hash: Option<String>,
    asked: &VerificationRequest,
    mails: &NewMails,
    notice: Option<Timestamp>,
) -> Result<Script> {
    let mut script = Script::transaction(&user.tenant);
    script.happens(user.created_at);
    script.insert("user", [UserRow::of(user, password_hash, Some(asked))]);
    let account = UserRow::key(&user.tenant, user.id);
    script.tell(ChangeKind::CustomerCreated, account);
    let row = script.bind(SignUpRow::of(&user.tenant, &user.email, user.id));
    script.push(format!("INSERT INTO sign_up {row} RETURN NONE"));
    if let Some(at) = notice {
        let login = script.bind(LoginRow::by_email(&user.tenant, &user.email));
        let at = script.bind(millisecond(at));
        script.push(format!("UPDATE {login} SET noticed_at = {at} RETURN NONE"));
    }
    add_mails(&mut script, &user.tenant, mails)?;
    Ok(script)
}

/// Tells of the account, ends the invitation of whoever has accepted it by confirming the address, and counts them if they are an owner: 4 rows. `own`
/// and `id` are bound.
fn add_acceptance(script: &mut Script, user: &User, (own, id): (&str, &str)) {
    let account = UserRow::key(&user.tenant, user.id);
    script.tell(ChangeKind::CustomerUpdated, account);
    let invitation = script.bind(InvitationRow::key(&user.tenant, &user.email));
    script.push(format!(
        "DELETE {invitation} WHERE user = {own} RETURN NONE"
    ));
    let owner = script.bind(OwnerRow::of(&user.tenant, user.id).id);
    script.push(format!(
        "IF (SELECT VALUE role FROM ONLY {id}) = 'owner' {{ UPSERT {owner} RETURN NONE }}"
    ));
}
