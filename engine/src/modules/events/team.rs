//! The rules of the teams of events: who may do what for one event.
//!
//! Called by app_modules; calls the events repository.

use super::EventsModule;
use crate::{
    error::{Error, Result},
    types::{AuditEntry, EventId, TEAM_MAX, TeamMember, TeamRole, TenantId, UserId},
};

/// Most teams that a user is in: a page that lists them is read whole.
const TEAMS_OF_USER_MAX: usize = 1_000;

impl EventsModule {
    /// What a user may do for an event as a member of its team.
    pub(crate) async fn team_role(
        &self,
        tenant: &TenantId,
        event: EventId,
        user: UserId,
    ) -> Result<Option<TeamRole>> {
        let member = self.repository.team_member(tenant, event, user).await?;
        Ok(member.map(|member| member.role))
    }

    /// The team of an event, in the order in which they joined.
    pub(crate) async fn team(&self, tenant: &TenantId, event: EventId) -> Result<Vec<TeamMember>> {
        let mut team = self.repository.team(tenant, event).await?;
        team.sort_by_key(|member| (member.since, member.user));
        Ok(team)
    }

    /// The teams that a user is in, the newest event first.
    pub(crate) async fn teams_of(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Vec<TeamMember>> {
        let mut teams = self.repository.teams_of(tenant, user).await?;
        teams.reverse();
        Ok(teams)
    }

    /// Puts somebody into the team of an event, or changes what they may do. Two that join at once may exceed a limit by one.
    ///
    /// # Errors
    /// `field-invalid` if the team is full, or they are in too many.
    pub(crate) async fn put_team_member(
        &self,
        tenant: &TenantId,
        (event, user, role): (EventId, UserId, TeamRole),
        audit: &AuditEntry,
    ) -> Result<TeamMember> {
        let repository = &self.repository;
        let seen = repository.team_member(tenant, event, user).await?;
        if seen.is_none() {
            let full = |detail: String| Err(Error::field("user", detail));
            if repository.team(tenant, event).await?.len() >= TEAM_MAX {
                return full(format!(
                    "The team of an event has at most {TEAM_MAX} people: remove somebody first."
                ));
            }
            if repository.teams_of(tenant, user).await?.len() >= TEAMS_OF_USER_MAX {
                return full(format!(
                    "They are in the teams of {TEAMS_OF_USER_MAX} events, the most: remove them from one first."
                ));
            }
        }
        let member = TeamMember {
            event,
            user,
            role,
            since: seen.map_or_else(|| self.context.now(), |seen| seen.since),
        };
        let entry = (self.context.next_id(), audit);
        repository.put_team_member(tenant, &member, entry).await?;
        Ok(member)
    }

    /// Removes somebody from the team of an event.
    ///
    /// # Errors
    /// `not-found`.
    pub(crate) async fn remove_team_member(
        &self,
        tenant: &TenantId,
        (event, user): (EventId, UserId),
        audit: &AuditEntry,
    ) -> Result<()> {
        let repository = &self.repository;
        if repository.team_member(tenant, event, user).await?.is_none() {
            return Err(Error::not_found("team member", user));
        }
        let entry = (self.context.next_id(), audit);
        repository
            .remove_team_member(tenant, (event, user), entry)
            .await
    }
}
