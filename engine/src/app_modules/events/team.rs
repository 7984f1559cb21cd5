//! Use cases of the teams of events, and what a place in a team permits.
//!
//! Called by hosts, and by every use case of something that belongs to an event. Calls the events and users modules.

use super::Events;
use crate::{
    context::EngineContext,
    error::{Error, ErrorCode, Result},
    types::{
        AuditEntry, Caller, EventId, ListedTeamMember, Role, Scope, TeamMember, TeamRole, UserId,
    },
};

impl Events {
    /// Lists the team of an event, in the order in which they joined, for those who manage the event.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub async fn team(&self, caller: &Caller, event: EventId) -> Result<Vec<ListedTeamMember>> {
        let caller = &caller.scoped(Scope::EventsRead)?;
        caller.require_signed_in()?;
        let found = self.0.visible_event(caller, event).await?;
        self.0
            .require_manager(caller, event, found.organizer)
            .await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let team = modules.events.team(tenant, event).await?;
        self.listed(caller, team).await
    }

    /// Puts a user of the tenant into the team of an event, or changes what they may do, for the event's organizer and the tenant's
    /// owners. A team has at most 100 people.
    ///
    /// # Errors
    /// `not-found`, also for the user; `forbidden`, also for managers of the team; `field-invalid`.
    pub async fn put_team_member(
        &self,
        caller: &Caller,
        event: EventId,
        user: UserId,
        role: TeamRole,
    ) -> Result<ListedTeamMember> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        self.require_organizer(caller, event).await?;
        let (modules, tenant) = (&self.0.modules, caller.tenant()?);
        let found = modules.users.find(tenant, user).await?;
        let found = found.filter(|user| user.erased_at.is_none());
        let found = found.ok_or_else(|| Error::not_found("user", user))?;
        let audit = self.entry(caller, event, user, role.as_str()).await?;
        let events = &modules.events;
        let member = events.put_team_member(tenant, (event, user, role), &audit);
        Ok(ListedTeamMember {
            member: member.await?,
            name: found.name,
            email: found.email,
        })
    }

    /// Removes somebody from the team of an event, for the event's organizer and the tenant's owners, and for themselves.
    ///
    /// # Errors
    /// `not-found`, `forbidden`.
    pub async fn remove_team_member(
        &self,
        caller: &Caller,
        event: EventId,
        user: UserId,
    ) -> Result<()> {
        let caller = &caller.scoped(Scope::EventsWrite)?;
        if caller.user_id() != Some(user) || caller.role() == Role::Anonymous {
            self.require_organizer(caller, event).await?;
        }
        let audit = self.entry(caller, event, user, "none").await?;
        let (events, tenant) = (&self.0.modules.events, caller.tenant()?);
        events
            .remove_team_member(tenant, (event, user), &audit)
            .await
    }

    /// Lists the teams that the acting user is in, the newest event first; at most 1,000.
    ///
    /// # Errors
    /// `not-authenticated`, `forbidden` for trusted code without a user.
    pub async fn own_teams(&self, caller: &Caller) -> Result<Vec<TeamMember>> {
        let user = caller.acting_user()?;
        let events = &self.0.modules.events;
        events.teams_of(caller.tenant()?, user).await
    }

    async fn require_organizer(&self, caller: &Caller, event: EventId) -> Result<()> {
        caller.require_signed_in()?;
        let found = self.0.visible_event(caller, event).await?;
        caller.require_manager(found.organizer)
    }

    async fn listed(
        &self,
        caller: &Caller,
        team: Vec<TeamMember>,
    ) -> Result<Vec<ListedTeamMember>> {
        let ids: Vec<UserId> = team.iter().map(|member| member.user).collect();
        let users = &self.0.modules.users;
        let users = users.find_many(caller.tenant()?, &ids).await?;
        let listed = team.into_iter().filter_map(|member| {
            let user = users.iter().find(|user| user.id == member.user)?;
            Some(ListedTeamMember {
                name: user.name.clone(),
                email: user.email.clone(),
                member,
            })
        });
        Ok(listed.collect())
    }

    async fn entry(
        &self,
        caller: &Caller,
        event: EventId,
        user: UserId,
        role: &str,
    ) -> Result<AuditEntry> {
        Ok(AuditEntry {
            at: self.0.context.now(),
            who: self.0.audited_name(caller).await?,
            action: "change-team".to_owned(),
            subject: format!("event {event}, user {user}"),
            why: role.to_owned(),
            count: None,
        })
    }
}

impl EngineContext {
    /// Refuses everybody but those who manage an event: its organizer, the tenant's owners, trusted code, and managers of its team.
    pub(in crate::app_modules) async fn require_manager(
        &self,
        caller: &Caller,
        event: EventId,
        organizer: Option<UserId>,
    ) -> Result<()> {
        let Err(refusal) = caller.require_manager(organizer) else {
            return Ok(());
        };
        match self.team_role(caller, event).await? {
            Some(TeamRole::Manager) => Ok(()),
            Some(TeamRole::CheckIn) | None => Err(refusal),
        }
    }

    /// Refuses everybody but those who manage an event, the tenant's staff, and the event's team.
    pub(in crate::app_modules) async fn require_manager_or_staff(
        &self,
        caller: &Caller,
        event: EventId,
        organizer: Option<UserId>,
    ) -> Result<()> {
        let Err(refusal) = caller.require_manager_or_staff(organizer) else {
            return Ok(());
        };
        match self.team_role(caller, event).await? {
            Some(TeamRole::Manager | TeamRole::CheckIn) => Ok(()),
            None => Err(refusal),
        }
    }

    /// Whether [`Self::require_manager`] lets the caller pass.
    pub(in crate::app_modules) async fn manages(
        &self,
        caller: &Caller,
        event: EventId,
        organizer: Option<UserId>,
    ) -> Result<bool> {
        allowed(self.require_manager(caller, event, organizer).await)
    }

    /// Whether [`Self::require_manager_or_staff`] lets the caller pass.
    pub(in crate::app_modules) async fn may_look_after(
        &self,
        caller: &Caller,
        event: EventId,
        organizer: Option<UserId>,
    ) -> Result<bool> {
        let outcome = self.require_manager_or_staff(caller, event, organizer);
        allowed(outcome.await)
    }

    /// What the acting user may do for an event as a member of its team.
    pub(in crate::app_modules) async fn team_role(
        &self,
        caller: &Caller,
        event: EventId,
    ) -> Result<Option<TeamRole>> {
        match (caller.role(), caller.user_id()) {
            (Role::Customer | Role::Staff | Role::Organizer, Some(user)) => {
                let events = &self.modules.events;
                events.team_role(caller.tenant()?, event, user).await
            }
            _ => Ok(None),
        }
    }
}

/// Whether somebody was let pass; errors of the store stay errors.
fn allowed(outcome: Result<()>) -> Result<bool> {
    match outcome {
        Ok(()) => Ok(true),
        Err(refusal)
            if matches!(
                refusal.code(),
                ErrorCode::Forbidden | ErrorCode::NotAuthenticated
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
