//! The rows of users, logins and operators.

use surrealdb::types::{RecordId, SurrealValue, Value};

use ulid::Ulid;

use super::keys::{
    at_millisecond, json_of, key_text, key_ulid, millisecond, of_json, record, ulid_key,
};
use crate::{
    error::{Error, Result},
    types::{
        AddressOwner, EmailAddress, Label, NotificationId, NotificationKind, Operator, TenantId,
        User, UserId, VerificationRequest,
    },
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct UserRow {
    pub(in crate::modules::repositories) id: RecordId,
    email: String,
    name: String,
    role: String,
    external_id: Option<String>,
    /// The platform's own strings, as JSON; nothing without any.
    metadata: Option<String>,
    /// Whether they may not sign in; nothing if they may.
    suspended: Option<bool>,
    /// When it was erased; nothing if it was not.
    erased_at: Option<i64>,
    pub(in crate::modules::repositories) password_hash: Option<String>,
    created_at: i64,
    /// The requests to confirm their address; `None` once they did, or if nobody asks.
    unverified: Option<UnverifiedRow>,
    /// Whether mails about bookings were held back because the address is not confirmed; nothing once it is.
    mails_held_back: Option<bool>,
    /// The newest request for another address; nothing once it is made or dropped.
    email_change: Option<String>,
    /// The guests that it took over; nothing without any.
    guests: Option<Vec<String>>,
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct UnverifiedRow {
    asked_at: i64,
    mails: u32,
}

impl UnverifiedRow {
    pub(in crate::modules::repositories) fn of(asked: &VerificationRequest) -> Self {
        Self {
            asked_at: millisecond(asked.at),
            mails: asked.mails,
        }
    }
}

impl UserRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId, user: UserId) -> RecordId {
        record(
            "user",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(user.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        user: &User,
        password_hash: Option<String>,
        asked: Option<&VerificationRequest>,
    ) -> Self {
        Self {
            id: Self::key(&user.tenant, user.id),
            email: user.email.as_str().to_owned(),
            name: user.name.as_str().to_owned(),
            role: user.role.as_str().to_owned(),
            external_id: user.external_id.clone(),
            metadata: json_of(&user.metadata),
            suspended: user.is_suspended.then_some(true),
            erased_at: user.erased_at.map(millisecond),
            password_hash,
            created_at: millisecond(user.created_at),
            unverified: asked.map(UnverifiedRow::of),
            mails_held_back: None,
            email_change: None,
            guests: None,
        }
    }

    /// The requests to confirm their address, if it is still unconfirmed.
    pub(in crate::modules::repositories) fn asked(&self) -> Result<Option<VerificationRequest>> {
        let asked = self.unverified.as_ref().map(|row| {
            Ok(VerificationRequest {
                at: at_millisecond(row.asked_at)?,
                mails: row.mails,
            })
        });
        asked.transpose()
    }

    /// The newest request for another address.
    pub(in crate::modules::repositories) fn email_change(&self) -> Option<Result<NotificationId>> {
        let change = Ulid::from_string(self.email_change.as_ref()?);
        Some(
            change
                .map(NotificationId::from_ulid)
                .map_err(Error::internal),
        )
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<User> {
        Ok(User {
            id: UserId::from_ulid(key_ulid(&self.id, 1)?),
            tenant: TenantId::trusted(key_text(&self.id, 0)?),
            email: EmailAddress::stored(self.email),
            email_verified: self.unverified.is_none(),
            name: Label::stored(self.name),
            role: self.role.parse()?,
            external_id: self.external_id,
            metadata: of_json(self.metadata)?,
            is_suspended: self.suspended.unwrap_or(false),
            erased_at: self.erased_at.map(at_millisecond).transpose()?,
            created_at: at_millisecond(self.created_at)?,
        })
    }
}

/// What a user's row has of guests.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct GuestLinksRow {
    guests: Option<Vec<String>>,
}

impl GuestLinksRow {
    pub(in crate::modules::repositories) fn guests(self) -> Result<Vec<UserId>> {
        let guests = self.guests.unwrap_or_default();
        let guests = guests.iter().map(|guest| {
            let guest = Ulid::from_string(guest).map_err(Error::internal)?;
            Ok(UserId::from_ulid(guest))
        });
        guests.collect()
    }
}

/// The guest of an address; without a user once an account has confirmed the address.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct GuestRow {
    id: RecordId,
    user: Option<String>,
    /// Raised with every write.
    pub(in crate::modules::repositories) revision: i64,
}

impl GuestRow {
    pub(in crate::modules::repositories) fn of(guest: &User, revision: i64) -> Self {
        Self {
            id: Self::key(&guest.tenant, &guest.email),
            user: Some(guest.id.ulid().to_string()),
            revision,
        }
    }

    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> RecordId {
        let text = |part: &str| Value::String(part.to_owned());
        record("guest", [text(tenant.as_str()), text(email.as_str())])
    }

    pub(in crate::modules::repositories) fn email(&self) -> Result<EmailAddress> {
        Ok(EmailAddress::stored(key_text(&self.id, 1)?.to_owned()))
    }

    pub(in crate::modules::repositories) fn user(&self) -> Result<Option<UserId>> {
        let user = self.user.as_ref().map(|user| Ulid::from_string(user));
        let user = user.transpose().map_err(Error::internal)?;
        Ok(user.map(UserId::from_ulid))
    }
}

/// An entry for one of a tenant's owners, to find them without reading all users.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct OwnerRow {
    pub(in crate::modules::repositories) id: RecordId,
}

impl OwnerRow {
    pub(in crate::modules::repositories) fn of(tenant: &TenantId, user: UserId) -> Self {
        let id = record(
            "owner",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(user.ulid()),
            ],
        );
        Self { id }
    }

    pub(in crate::modules::repositories) fn user(&self) -> Result<UserId> {
        Ok(UserId::from_ulid(key_ulid(&self.id, 1)?))
    }
}

/// Maps a login (an address, or a platform's id) to its user. Its id makes the login unique.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct LoginRow {
    pub(in crate::modules::repositories) id: RecordId,
    pub(in crate::modules::repositories) user: String,
    /// When the owner of an address was last told that somebody signed up with it.
    noticed_at: Option<i64>,
}

impl LoginRow {
    pub(in crate::modules::repositories) fn by_email(
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> RecordId {
        record(
            "login",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::String(email.as_str().to_owned()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn by_external_id(
        tenant: &TenantId,
        external_id: &str,
    ) -> RecordId {
        record(
            "external_login",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::String(external_id.to_owned()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn new(id: RecordId, user: UserId) -> Self {
        Self {
            id,
            user: user.ulid().to_string(),
            noticed_at: None,
        }
    }

    pub(in crate::modules::repositories) fn user(&self) -> Result<UserId> {
        let user = Ulid::from_string(&self.user).map_err(Error::internal)?;
        Ok(UserId::from_ulid(user))
    }

    pub(in crate::modules::repositories) fn owner(self) -> Result<AddressOwner> {
        Ok(AddressOwner {
            user: self.user()?,
            noticed_at: self.noticed_at.map(at_millisecond).transpose()?,
        })
    }
}

/// The address of a mail that does not go to the account's own: the one it may move to, or the one it had.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct AccountMailRow {
    id: RecordId,
    email: String,
    /// When housekeeping deletes it.
    expires_at: i64,
}

/// How long the address of such a mail is kept: longer than any mail is tried, and than its link is valid.
const ACCOUNT_MAIL_KEPT_MILLISECONDS: i64 = 30 * 24 * 3_600 * 1_000;

impl AccountMailRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        user: UserId,
        notification: NotificationId,
    ) -> RecordId {
        record(
            "account_mail",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(user.ulid()),
                ulid_key(notification.ulid()),
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        user: &User,
        notification: NotificationId,
        email: &EmailAddress,
    ) -> Self {
        let made_at = i64::try_from(notification.ulid().timestamp_ms()).unwrap_or(i64::MAX);
        Self {
            id: Self::key(&user.tenant, user.id, notification),
            email: email.as_str().to_owned(),
            expires_at: made_at.saturating_add(ACCOUNT_MAIL_KEPT_MILLISECONDS),
        }
    }

    pub(in crate::modules::repositories) fn email(self) -> EmailAddress {
        EmailAddress::stored(self.email)
    }
}

/// An unconfirmed account at an address; several may wait for it, in the order they signed up.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct SignUpRow {
    pub(in crate::modules::repositories) id: RecordId,
}

impl SignUpRow {
    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        email: &EmailAddress,
        user: UserId,
    ) -> Self {
        let id = record(
            "sign_up",
            [
                Value::String(tenant.as_str().to_owned()),
                Value::String(email.as_str().to_owned()),
                ulid_key(user.ulid()),
            ],
        );
        Self { id }
    }

    /// The count of mails of a kind and day to an unconfirmed address.
    pub(in crate::modules::repositories) fn mails_of(
        tenant: &TenantId,
        email: &EmailAddress,
        kind: NotificationKind,
        day: i64,
    ) -> RecordId {
        let text = |part: &str| Value::String(part.to_owned());
        let key = [
            text(tenant.as_str()),
            text(email.as_str()),
            text(kind.as_str()),
            day.into_value(),
        ];
        record("unconfirmed_mail", key)
    }

    pub(in crate::modules::repositories) fn user(&self) -> Result<UserId> {
        Ok(UserId::from_ulid(key_ulid(&self.id, 2)?))
    }
}

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct OperatorRow {
    pub(in crate::modules::repositories) id: RecordId,
    name: String,
    pub(in crate::modules::repositories) password_hash: String,
    created_at: i64,
    /// Changes with everything that ends all of the account's sessions. A new account has another one.
    pub(in crate::modules::repositories) session_epoch: Option<String>,
}

impl OperatorRow {
    pub(in crate::modules::repositories) fn key(email: &EmailAddress) -> RecordId {
        record("operator", [Value::String(email.as_str().to_owned())])
    }

    pub(in crate::modules::repositories) fn of(
        operator: &Operator,
        password_hash: String,
        session_epoch: String,
    ) -> Self {
        Self {
            id: Self::key(&operator.email),
            name: operator.name.as_str().to_owned(),
            password_hash,
            created_at: millisecond(operator.created_at),
            session_epoch: Some(session_epoch),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Operator> {
        Ok(Operator {
            email: EmailAddress::stored(key_text(&self.id, 0)?.to_owned()),
            name: Label::stored(self.name),
            created_at: at_millisecond(self.created_at)?,
        })
    }
}
