//! Who works for a tenant: invitations, changes of roles, and the teams of events.

use std::{collections::BTreeMap, fmt, str::FromStr};

use jiff::Timestamp;

use super::{EmailAddress, EventId, Label, UserId, UserRole};
use crate::error::{Error, Result};

/// Most invitations of a tenant that wait for an answer.
pub(crate) const INVITATIONS_MAX: usize = 100;
/// Most people in the team of an event.
pub(crate) const TEAM_MAX: usize = 100;

/// Invites somebody to work for the tenant.
#[derive(Debug, Clone)]
pub struct Invite {
    /// The address that gets the link.
    pub email: EmailAddress,
    /// Their display name.
    pub name: Label,
    /// `Staff`, `Organizer` or `Owner`.
    pub role: UserRole,
}

/// An invitation that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The id of the account that accepting it makes.
    pub user: UserId,
    /// The address that got the link.
    pub email: EmailAddress,
    /// The display name.
    pub name: Label,
    /// The role that accepting it gives.
    pub role: UserRole,
    /// The owner who invited; `None` for trusted code.
    pub invited_by: Option<UserId>,
    /// When the newest mail was asked for, UTC.
    pub invited_at: Timestamp,
    /// When the newest link expires, UTC.
    pub expires_at: Timestamp,
}

/// Changes what a user may do, and the metadata of their account. What is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct ChangeMember {
    /// The new role.
    pub role: Option<UserRole>,
    /// Whether they may not sign in.
    pub is_suspended: Option<bool>,
    /// New values of the keys of the metadata; `None` removes a key, and the others stay.
    pub metadata: BTreeMap<String, Option<String>>,
}

impl ChangeMember {
    /// Whether it changes what the user may do.
    pub(crate) fn changes_rights(&self) -> bool {
        self.role.is_some() || self.is_suspended.is_some()
    }
}

/// What somebody may do for one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TeamRole {
    /// What its organizer may, except changing the team.
    Manager,
    /// What staff may: check tickets in, and see bookings.
    CheckIn,
}

impl TeamRole {
    /// The role as text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::CheckIn => "door",
        }
    }
}

impl fmt::Display for TeamRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for TeamRole {
    type Err = Error;

    /// # Errors
    /// `field-invalid` names the roles that there are.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "manager" => Ok(Self::Manager),
            "door" => Ok(Self::CheckIn),
            _ => Err(Error::field("role", "A role is one of manager, door.")),
        }
    }
}

/// Somebody in the team of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeamMember {
    /// The event.
    pub event: EventId,
    /// The user.
    pub user: UserId,
    /// What they may do.
    pub role: TeamRole,
    /// Since when, UTC.
    pub since: Timestamp,
}

/// Somebody in the team of an event, with what they are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTeamMember {
    /// Who, and what they may do.
    pub member: TeamMember,
    /// Their display name.
    pub name: Label,
    /// Their address.
    pub email: EmailAddress,
}
