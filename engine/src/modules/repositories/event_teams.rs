//! Storage steps of the teams of events. Called by the events module; calls models.

use super::{
    db::{Db, Script},
    delivery_admin::add_audit,
    events::EventsRepository,
    models::TeamRow,
};
use crate::{
    error::Result,
    types::{AuditEntry, EventId, TeamMember, TenantId, UserId},
};
use ulid::Ulid;

impl EventsRepository {
    /// Somebody in the team of an event.
    pub(in crate::modules) async fn team_member(
        &self,
        tenant: &TenantId,
        event: EventId,
        user: UserId,
    ) -> Result<Option<TeamMember>> {
        let mut script = Script::of(tenant);
        let [by_event, _] = TeamRow::keys(tenant, event, user);
        let index = script.read(by_event);
        let row: Option<TeamRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(TeamRow::by_event).transpose()
    }

    /// The team of an event, in the order of user ids. Its size is limited, so the range may be read to its end.
    pub(in crate::modules) async fn team(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<Vec<TeamMember>> {
        let mut script = Script::of(tenant);
        let under = [tenant.as_str().to_owned(), event.ulid().to_string()];
        let index = script.read_under(TeamRow::BY_EVENT, under);
        let rows: Vec<TeamRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(TeamRow::by_event).collect()
    }

    /// See [`teams_of`].
    pub(in crate::modules) async fn teams_of(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Vec<TeamMember>> {
        teams_of(&self.db, tenant, user).await
    }

    /// Writes what somebody may do for an event: 3 rows.
    pub(in crate::modules) async fn put_team_member(
        &self,
        tenant: &TenantId,
        member: &TeamMember,
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let ids = TeamRow::keys(tenant, member.event, member.user);
        for (id, row) in ids.into_iter().zip(TeamRow::of(tenant, member)) {
            script.put(id, row);
        }
        add_audit(&mut script, Some(tenant), serial, audit);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Removes somebody from the team of an event: 3 rows.
    pub(in crate::modules) async fn remove_team_member(
        &self,
        tenant: &TenantId,
        (event, user): (EventId, UserId),
        (serial, audit): (Ulid, &AuditEntry),
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        script.remove(TeamRow::keys(tenant, event, user));
        add_audit(&mut script, Some(tenant), serial, audit);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Removes the team of a deleted event: at most 200 rows.
    pub(in crate::modules) async fn remove_team(
        &self,
        tenant: &TenantId,
        event: EventId,
    ) -> Result<()> {
        let team = self.team(tenant, event).await?;
        if team.is_empty() {
            return Ok(());
        }
        let mut script = Script::transaction(tenant);
        let members = team.iter();
        script.remove(members.flat_map(|one| TeamRow::keys(tenant, event, one.user)));
        self.db.run_retrying(&script).await?;
        Ok(())
    }
}

/// The teams that a user is in, in the order of event ids. Their number is limited, so the range may be read to its end.
pub(super) async fn teams_of(db: &Db, tenant: &TenantId, user: UserId) -> Result<Vec<TeamMember>> {
    let mut script = Script::of(tenant);
    let under = [tenant.as_str().to_owned(), user.ulid().to_string()];
    let index = script.read_under(TeamRow::BY_USER, under);
    let rows: Vec<TeamRow> = db.run_retrying(&script).await?.rows(index)?;
    rows.into_iter().map(TeamRow::by_user).collect()
}
