//! The rows of invitations, and of the teams of events.

use surrealdb::types::{RecordId, SurrealValue, Value};
use ulid::Ulid;

use super::keys::{at_millisecond, key_text, key_ulid, millisecond, record, ulid_key};
use crate::{
    error::{Error, Result},
    types::{EmailAddress, EventId, Invitation, TeamMember, TenantId, User, UserId},
};

/// An invitation that waits for an answer. Its key makes it the only one of its address. Name and role are in the account's row.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct InvitationRow {
    pub(in crate::modules::repositories) id: RecordId,
    user: String,
    invited_by: Option<String>,
    invited_at: i64,
    expires_at: i64,
}

impl InvitationRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        email: &EmailAddress,
    ) -> RecordId {
        let parts = [tenant.as_str(), email.as_str()];
        record(
            "invitation",
            parts.map(|part| Value::String(part.to_owned())),
        )
    }

    pub(in crate::modules::repositories) fn of(tenant: &TenantId, invitation: &Invitation) -> Self {
        Self {
            id: Self::key(tenant, &invitation.email),
            user: invitation.user.ulid().to_string(),
            invited_by: invitation.invited_by.map(|user| user.to_string()),
            invited_at: millisecond(invitation.invited_at),
            expires_at: millisecond(invitation.expires_at),
        }
    }

    /// The account that accepting it makes.
    pub(in crate::modules::repositories) fn user(&self) -> Result<UserId> {
        let user = Ulid::from_string(&self.user).map_err(Error::internal)?;
        Ok(UserId::from_ulid(user))
    }

    pub(in crate::modules::repositories) fn into_type(self, user: &User) -> Result<Invitation> {
        let invited_by = self.invited_by.map(|user| user.parse()).transpose();
        Ok(Invitation {
            user: user.id,
            email: EmailAddress::stored(key_text(&self.id, 1)?.to_owned()),
            name: user.name.clone(),
            role: user.role,
            invited_by: invited_by.map_err(Error::internal)?,
            invited_at: at_millisecond(self.invited_at)?,
            expires_at: at_millisecond(self.expires_at)?,
        })
    }
}

/// Somebody in the team of an event. It stands twice, under the event and under the user, so that both find it.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct TeamRow {
    id: RecordId,
    role: String,
    since: i64,
}

impl TeamRow {
    pub(in crate::modules::repositories) const BY_EVENT: &'static str = "event_team";
    pub(in crate::modules::repositories) const BY_USER: &'static str = "user_team";

    /// The keys of a member's two rows: by event, and by user.
    pub(in crate::modules::repositories) fn keys(
        tenant: &TenantId,
        event: EventId,
        user: UserId,
    ) -> [RecordId; 2] {
        let tenant = || Value::String(tenant.as_str().to_owned());
        let (event, user) = (|| ulid_key(event.ulid()), || ulid_key(user.ulid()));
        [
            record(Self::BY_EVENT, [tenant(), event(), user()]),
            record(Self::BY_USER, [tenant(), user(), event()]),
        ]
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        member: &TeamMember,
    ) -> [Self; 2] {
        let row = |id| Self {
            id,
            role: member.role.as_str().to_owned(),
            since: millisecond(member.since),
        };
        Self::keys(tenant, member.event, member.user).map(row)
    }

    pub(in crate::modules::repositories) fn by_event(self) -> Result<TeamMember> {
        let (event, user) = (key_ulid(&self.id, 1)?, key_ulid(&self.id, 2)?);
        self.into_type(EventId::from_ulid(event), UserId::from_ulid(user))
    }

    pub(in crate::modules::repositories) fn by_user(self) -> Result<TeamMember> {
        let (user, event) = (key_ulid(&self.id, 1)?, key_ulid(&self.id, 2)?);
        self.into_type(EventId::from_ulid(event), UserId::from_ulid(user))
    }

    fn into_type(self, event: EventId, user: UserId) -> Result<TeamMember> {
        Ok(TeamMember {
            event,
            user,
            role: self.role.parse()?,
            since: at_millisecond(self.since)?,
        })
    }
}
