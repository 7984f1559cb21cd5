//! Storage steps of erasures: what names a person is removed, what counts stays.
//!
//! The account's row stays under its id, so that bookings and ledgers keep their meaning. The first step ends the account; the later
//! ones look through what was recorded about it, and may be repeated. Called by the users module; calls models.

use std::collections::BTreeSet;

use jiff::Timestamp;
use surrealdb::types::{RecordId, SurrealValue};
use ulid::Ulid;

use super::{
    bookings::read_list_of,
    db::{Script, SystemScope},
    delivery_admin::add_audit,
    event_teams::teams_of,
    identities::add_end_of_identities,
    invitations::{MemberChanged, STALE_MEMBER, add_owner_change},
    models::{
        BookingRow, CustomerBookingRow, CustomerHoldRow, CustomerWaitlistRow, DetailsColumns,
        ErasureDueRow, ErasureRow, HoldRow, IdRow, InvitationRow, LoginRow, PaymentListRow,
        PaymentRow, PluginNoteRow, SignUpRow, TeamRow, UserRow, WaitingRow, WaitlistEntryRow,
        millisecond,
    },
    sessions::add_end_of_sessions,
    transfers::received_of,
    users::UsersRepository,
};
use crate::{
    error::{Error, Result},
    types::{
        AuditEntry, BookingId, ChangeKind, DecisionRecord, Erasure, EventId, SessionOwner,
        TeamMember, TenantId, TicketId, User, UserId,
    },
};

/// Rows that a step looks through; keeps each transaction short.
const BATCH: usize = 200;

/// What an erasure writes.
pub(in crate::modules) struct ErasureStep<'a> {
    /// The account before.
    pub(in crate::modules) before: &'a User,
    /// What is left of it.
    pub(in crate::modules) after: &'a User,
    /// The teams that it is in.
    pub(in crate::modules) teams: &'a [TeamMember],
    pub(in crate::modules) erasure: &'a Erasure,
    /// When what was recorded about it is looked through again.
    pub(in crate::modules) due: Timestamp,
    pub(in crate::modules) epoch: &'a str,
    pub(in crate::modules) audit: (Ulid, &'a AuditEntry),
}

impl UsersRepository {
    /// The teams that a user is in.
    pub(in crate::modules) async fn teams(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<Vec<TeamMember>> {
        teams_of(&self.db, tenant, user).await
    }

    /// Ends an account: its name, addresses, logins, sessions and places in teams are gone: at most 12 rows, two per team, and the
    /// sessions. Guard: the account still has the address that was read.
    pub(in crate::modules) async fn erase(&self, step: &ErasureStep<'_>) -> Result<MemberChanged> {
        let (before, tenant) = (step.before, &step.before.tenant);
        let mut script = Script::transaction(tenant);
        let account = UserRow::key(tenant, before.id);
        let row = script.bind_content(&account, UserRow::of(step.after, None, None));
        let id = script.bind(account.clone());
        let email = script.bind(before.email.as_str().to_owned());
        let own = script.bind(before.id.ulid().to_string());
        script.require(
            format!(
                "UPDATE {id} CONTENT {row} WHERE email = {email} AND erased_at = NONE RETURN VALUE id"
            ),
            STALE_MEMBER,
        );
        script.tell(ChangeKind::CustomerErased, account);
        let login = script.bind(LoginRow::by_email(tenant, &before.email));
        script.push(format!("DELETE {login} WHERE user = {own} RETURN NONE"));
        if let Some(external_id) = &before.external_id {
            script.remove([LoginRow::by_external_id(tenant, external_id)]);
        }
        script.remove([SignUpRow::of(tenant, &before.email, before.id).id]);
        let invitation = script.bind(InvitationRow::key(tenant, &before.email));
        script.push(format!(
            "DELETE {invitation} WHERE user = {own} RETURN NONE"
        ));
        script.push(format!(
            "DELETE (SELECT VALUE id FROM unconfirmed_mail:[$tenant, {email}]..[$tenant, {email}, ..]) RETURN NONE"
        ));
        script.push(format!(
            "DELETE guest:[$tenant, {email}] WHERE user = NONE OR user = {own} RETURN NONE"
        ));
        for table in ["unconfirmed_mail", "account_mail"] {
            script.push(format!(
                "DELETE (SELECT VALUE id FROM {table}:[$tenant, {own}]..[$tenant, {own}, ..]) RETURN NONE"
            ));
        }
        script.push(format!(
            "DELETE unconfirmed_account:[$tenant, {own}] RETURN NONE"
        ));
        let teams = step.teams.iter();
        script.remove(teams.flat_map(|member| TeamRow::keys(tenant, member.event, before.id)));
        add_end_of_identities(&mut script, tenant, before.id);
        add_owner_change(&mut script, before, step.after);
        script.insert("erasure", [ErasureRow::of(step.erasure)]);
        script.insert("erasure_due", [ErasureDueRow::of(step.due, step.erasure)]);
        let sessions = SessionOwner::User {
            tenant: tenant.clone(),
            user: before.id,
        };
        add_end_of_sessions(&mut script, &sessions, None, step.epoch);
        add_audit(&mut script, Some(tenant), step.audit.0, step.audit.1);
        MemberChanged::of(self.db.run_retrying(&script).await)
    }

    /// Deletes up to [`BATCH`] recorded answers to a user's requests with a key. Returns whether there may be more.
    pub(in crate::modules) async fn forget_answers(
        &self,
        tenant: &TenantId,
        user: UserId,
    ) -> Result<bool> {
        let mut script = Script::transaction(tenant);
        let own = script.bind(user.ulid().to_string());
        let index = script.push(format!(
            "DELETE (SELECT VALUE id FROM idempotency:[$tenant, {own}]..[$tenant, {own}, ..] LIMIT {BATCH}) RETURN BEFORE"
        ));
        let rows: Vec<IdRow> = self.db.run_retrying(&script).await?.rows(index)?;
        Ok(rows.len() >= BATCH)
    }

    /// Blanks what policies were told, and said, about up to [`BATCH`] of a user's bookings after `after`, newest first: two rows
    /// each. Returns the last one looked at, if there may be more.
    pub(in crate::modules) async fn blank_decisions(
        &self,
        tenant: &TenantId,
        user: UserId,
        after: Option<Ulid>,
    ) -> Result<Option<Ulid>> {
        let list = self.list_of(tenant, "customer_booking", (user, after));
        let rows: Vec<CustomerBookingRow> = list.await?;
        let mut script = Script::transaction(tenant);
        let mut last = None;
        for row in &rows {
            let booking = row.booking()?;
            let serial = booking.serial();
            last = Some(serial);
            add_blank(&mut script, BookingRow::key(tenant, booking));
            let decision = PluginNoteRow::decision(tenant, serial, erased_decision()?);
            let (id, row) = (script.bind(decision.id.clone()), script.bind(decision));
            script.push(format!("UPDATE {id} CONTENT {row} RETURN NONE"));
        }
        self.write(script).await?;
        Ok(last.filter(|_| rows.len() >= BATCH))
    }

    /// Blanks what policies said about up to [`BATCH`] of a user's holds after `after`, newest first: a row each. Returns the last one
    /// looked at, if there may be more.
    pub(in crate::modules) async fn blank_holds(
        &self,
        tenant: &TenantId,
        user: UserId,
        after: Option<Ulid>,
    ) -> Result<Option<Ulid>> {
        let list = self.list_of(tenant, "customer_hold", (user, after));
        let rows: Vec<CustomerHoldRow> = list.await?;
        let mut script = Script::transaction(tenant);
        let mut last = None;
        for row in &rows {
            let hold = row.hold()?;
            last = Some(hold.booking().serial());
            add_blank(&mut script, HoldRow::key(tenant, hold));
        }
        self.write(script).await?;
        Ok(last.filter(|_| rows.len() >= BATCH))
    }

    /// Blanks the same in the orders of up to [`BATCH`] of a user's payments after `after`, newest first: a row each. Returns the last
    /// one looked at, if there may be more.
    pub(in crate::modules) async fn blank_payments(
        &self,
        tenant: &TenantId,
        user: UserId,
        after: Option<Ulid>,
    ) -> Result<Option<Ulid>> {
        let list = self.list_of(tenant, "payment_list", (user, after));
        let rows: Vec<PaymentListRow> = list.await?;
        let is_full = rows.len() >= BATCH;
        let mut script = Script::transaction(tenant);
        let mut last = None;
        for row in rows {
            last = Some(row.serial()?);
            let payment = script.bind(PaymentRow::key(tenant, &row.into_key()));
            script.push(format!(
                "UPDATE {payment} SET order.messages = NONE, order.details = NONE WHERE order != NONE RETURN NONE"
            ));
            script.push(format!(
                "UPDATE {payment} SET order.sale.complimentary = 'Erased' WHERE order.sale.complimentary != NONE RETURN NONE"
            ));
        }
        self.write(script).await?;
        Ok(last.filter(|_| is_full))
    }

    /// Removes who has the tickets that a user got by transfers: of up to [`BATCH`] tickets after `after`, a row for each booking. A booking
    /// that is changed at the same time is left to the next look. Returns the last ticket looked at, if there may be more.
    pub(in crate::modules) async fn blank_received(
        &self,
        tenant: &TenantId,
        user: UserId,
        after: Option<TicketId>,
    ) -> Result<Option<TicketId>> {
        let tickets = received_of(&self.db, tenant, (user, after), BATCH as u32).await?;
        let bookings: BTreeSet<BookingId> = tickets.iter().map(|one| one.booking).collect();
        if bookings.is_empty() {
            return Ok(None);
        }
        let mut script = Script::of(tenant);
        let keys = bookings.iter().map(|id| BookingRow::key(tenant, *id));
        let index = script.read_all(keys.collect::<Vec<_>>());
        let rows: Vec<BookingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let mut script = Script::transaction(tenant);
        for row in rows {
            let booking = row.into_type()?;
            let Some(before) = &booking.details else {
                continue;
            };
            let mut after = before.as_ref().clone();
            let theirs = |number: &u32| booking.owner_of(*number) == user;
            after.ticket_holders.retain(|number, _| !theirs(number));
            let key = script.bind(BookingRow::key(tenant, booking.id));
            let old = script.bind(DetailsColumns::of(Some(before)).details);
            let new = script.bind(DetailsColumns::of(Some(&after)).details);
            script.push(format!(
                "UPDATE {key} SET details = {new} WHERE details = {old} RETURN NONE"
            ));
        }
        self.write(script).await?;
        Ok(tickets.last().copied().filter(|_| tickets.len() >= BATCH))
    }

    /// Blanks what a user's entries on waiting lists carry, of up to [`BATCH`] events after `after`, newest first: a row each. Returns the
    /// last event looked at, if there may be more.
    pub(in crate::modules) async fn blank_waiting(
        &self,
        tenant: &TenantId,
        user: UserId,
        after: Option<Ulid>,
    ) -> Result<Option<Ulid>> {
        let list = self.list_of(tenant, "customer_waitlist", (user, after));
        let rows: Vec<CustomerWaitlistRow> = list.await?;
        let events = rows.iter().map(CustomerWaitlistRow::event);
        let events: Vec<EventId> = events.collect::<Result<_>>()?;
        if events.is_empty() {
            return Ok(None);
        }
        let mut script = Script::of(tenant);
        let keys = events.iter();
        let keys = keys.map(|event| WaitingRow::key(tenant, *event, user));
        let index = script.read_all(keys.collect::<Vec<_>>());
        let places: Vec<WaitingRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let mut script = Script::transaction(tenant);
        for place in &places {
            let entry = WaitlistEntryRow::key(tenant, place.event()?, place.number);
            let entry = script.bind(entry);
            script.push(format!(
                "UPDATE {entry} SET details = NONE WHERE details != NONE RETURN NONE"
            ));
        }
        self.write(script).await?;
        let last = events.last().map(|event| event.ulid());
        Ok(last.filter(|_| rows.len() >= BATCH))
    }

    /// Up to [`BATCH`] rows of a user's list after one of them, newest first.
    async fn list_of<T: SurrealValue>(
        &self,
        tenant: &TenantId,
        table: &str,
        position: (UserId, Option<Ulid>),
    ) -> Result<Vec<T>> {
        let mut script = Script::of(tenant);
        let index = read_list_of(&mut script, table, position, BATCH as u32);
        self.db.run_retrying(&script).await?.rows(index)
    }

    /// Writes a step that may have nothing to write.
    async fn write(&self, script: Script) -> Result<()> {
        if !script.is_empty() {
            self.db.run_retrying(&script).await?;
        }
        Ok(())
    }

    /// Deletes what plugins' calls recorded with one of these texts in it: refusals, failed calls and logs. The number of these records
    /// of a tenant is limited, so they are read to the end.
    pub(in crate::modules) async fn forget_notes(
        &self,
        tenant: &TenantId,
        texts: &[String],
    ) -> Result<()> {
        for table in ["plugin_refusal", "plugin_failed_call", "plugin_log"] {
            let mut script = Script::of(tenant);
            let index = script.read_under(table, [tenant.as_str().to_owned()]);
            let rows: Vec<PluginNoteRow> = self.db.run_retrying(&script).await?.rows(index)?;
            let names = |row: &PluginNoteRow| {
                let body = row.body.to_lowercase();
                texts.iter().any(|text| body.contains(text))
            };
            let found: Vec<RecordId> = rows.into_iter().filter(names).map(|row| row.id).collect();
            for ids in found.chunks(BATCH) {
                let mut script = Script::transaction(tenant);
                script.remove(ids.to_vec());
                self.db.run_retrying(&script).await?;
            }
        }
        Ok(())
    }

    /// Erasures whose records are to be looked through again by now; at most [`BATCH`].
    pub(in crate::modules) async fn due_erasures(
        &self,
        scope: SystemScope,
        now: Timestamp,
    ) -> Result<Vec<(Timestamp, TenantId, UserId)>> {
        let mut script = Script::across_tenants(scope);
        let now = script.bind(millisecond(now));
        let index = script.push(format!(
            "SELECT * FROM type::record('erasure_due', [0]..[{now}, ..]) LIMIT {BATCH}"
        ));
        let rows: Vec<ErasureDueRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(ErasureDueRow::into_type).collect()
    }

    /// Ends an erasure: 1 row.
    pub(in crate::modules) async fn finish_erasure(
        &self,
        due: Timestamp,
        (tenant, user): (&TenantId, UserId),
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        script.remove([ErasureDueRow::key(due, tenant, user)]);
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Erased accounts of all tenants, in the order of tenant and id, after one; at most `max`.
    pub(in crate::modules) async fn erasures(
        &self,
        scope: SystemScope,
        after: Option<&(TenantId, UserId)>,
        max: u32,
    ) -> Result<Vec<Erasure>> {
        let mut script = Script::across_tenants(scope);
        let range = match after {
            Some((tenant, user)) => {
                let tenant = script.bind(tenant.as_str().to_owned());
                let user = script.bind(user.ulid().to_string());
                format!("type::record('erasure', [{tenant}, {user}]>..)")
            }
            None => "erasure".to_owned(),
        };
        let index = script.push(format!("SELECT * FROM {range} LIMIT {max}"));
        let rows: Vec<ErasureRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(ErasureRow::into_type).collect()
    }
}

/// Removes the free texts of a booking or a hold, if it has any: 1 row.
fn add_blank(script: &mut Script, row: RecordId) {
    let row = script.bind(row);
    script.push(format!(
        "UPDATE {row} SET messages = NONE, details = NONE WHERE messages != NONE OR details != NONE RETURN NONE"
    ));
    script.push(format!(
        "UPDATE {row} SET sale.complimentary = 'Erased' WHERE sale.complimentary != NONE RETURN NONE"
    ));
}

/// The record of a decision about an erased account.
fn erased_decision() -> Result<String> {
    let record = DecisionRecord {
        is_erased: true,
        ..DecisionRecord::default()
    };
    serde_json::to_string(&record).map_err(Error::internal)
}
