//! Storage steps of plugins' records: failures by customer, decisions, logs and failed calls.
//!
//! Called by the plugins module; calls models.

use jiff::Timestamp;
use surrealdb::types::SurrealValue as _;
use ulid::Ulid;

use super::{PluginsRepository, parsed};
use crate::{
    error::Result,
    modules::repositories::{
        db::Script,
        models::{PluginFailureRow, PluginNoteRow, millisecond},
    },
    types::{DecisionRecord, NotedFailure, PluginExport, PluginHash, PluginName, TenantId},
};

/// The numbers of customers for whom an export failed lately.
#[derive(Debug, Clone, Copy)]
pub(in crate::modules) struct FailedFor {
    pub(in crate::modules) witnesses: usize,
    pub(in crate::modules) strangers: usize,
}

impl PluginsRepository {
    /// Records that an export failed for a customer: 1 row; deletes those before `since`. Returns for how many it failed since
    /// then, of the first `most`.
    pub(in crate::modules) async fn note_failure(
        &self,
        tenant: &TenantId,
        failure: &NotedFailure,
        since: Timestamp,
        most: usize,
    ) -> Result<FailedFor> {
        let mut script = Script::transaction(tenant);
        let row = PluginFailureRow::of(tenant, failure);
        let key = script.bind(row.id.clone());
        let row = script.bind(row);
        let hash = script.bind(failure.version.to_string());
        let export = script.bind(failure.export.as_str().to_owned());
        let (since, most) = (script.bind(millisecond(since)), script.bind(most as i64));
        script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
        script.push(format!(
            "DELETE plugin_failure:[$tenant, {hash}, {export}]..[$tenant, {hash}, {export}, ..] WHERE at < {since} RETURN NONE"
        ));
        let index = script.push(format!(
            "SELECT * FROM type::record('plugin_failure', [$tenant, {hash}, {export}]..[$tenant, {hash}, {export}, ..]) LIMIT {most}"
        ));
        let rows: Vec<PluginFailureRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let witnesses = rows.iter().filter(|row| row.is_witness).count();
        Ok(FailedFor {
            witnesses,
            strangers: rows.len() - witnesses,
        })
    }

    /// Deletes the failures of an export: all, or those of accounts that do not count in full.
    pub(in crate::modules) async fn forget_failures(
        &self,
        tenant: &TenantId,
        version: PluginHash,
        export: PluginExport,
        strangers_only: bool,
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let hash = script.bind(version.to_string());
        let export = script.bind(export.as_str().to_owned());
        let which = match strangers_only {
            true => "WHERE is_witness = false",
            false => "",
        };
        script.push(format!(
            "DELETE plugin_failure:[$tenant, {hash}, {export}]..[$tenant, {hash}, {export}, ..] {which} RETURN NONE"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// Stores a failed call in a slot: 1 row, which replaces the old one.
    pub(in crate::modules) async fn keep_failed_call(
        &self,
        tenant: &TenantId,
        slot: u32,
        body: String,
    ) -> Result<()> {
        self.keep(tenant, PluginNoteRow::failed_call(tenant, slot, body))
            .await
    }

    /// A tenant's recorded failed calls, unordered.
    pub(in crate::modules) async fn failed_calls<T: serde::de::DeserializeOwned>(
        &self,
        tenant: &TenantId,
    ) -> Result<Vec<T>> {
        let mut script = Script::of(tenant);
        let index = script.push("SELECT * FROM plugin_failed_call:[$tenant]..[$tenant, ..]");
        self.notes(&script, index).await
    }

    /// The decision of a booking, if policies were asked.
    pub(in crate::modules) async fn find_decision(
        &self,
        tenant: &TenantId,
        serial: Ulid,
    ) -> Result<Option<DecisionRecord>> {
        let mut script = Script::of(tenant);
        let index = script.read(PluginNoteRow::decision(tenant, serial, String::new()).id);
        let row: Option<PluginNoteRow> = self.db.run_retrying(&script).await?.row(index)?;
        row.map(|row| parsed(&row)).transpose()
    }

    /// The latest decisions of bookings, newest first.
    pub(in crate::modules) async fn latest_decisions(
        &self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<Vec<DecisionRecord>> {
        let mut script = Script::of(tenant);
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('plugin_decision', [$tenant]..[$tenant, ..]) LIMIT {limit}"
        ));
        self.notes(&script, index).await
    }

    /// Stores a refusal in a slot: 1 row, which replaces the old one.
    pub(in crate::modules) async fn keep_refusal(
        &self,
        tenant: &TenantId,
        slot: u32,
        body: String,
    ) -> Result<()> {
        self.keep(tenant, PluginNoteRow::refusal(tenant, slot, body))
            .await
    }

    /// The recorded refusals, unordered.
    pub(in crate::modules) async fn refusals(
        &self,
        tenant: &TenantId,
        limit: u32,
    ) -> Result<Vec<DecisionRecord>> {
        let mut script = Script::of(tenant);
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('plugin_refusal', [$tenant]..[$tenant, ..]) LIMIT {limit}"
        ));
        self.notes(&script, index).await
    }

    /// Stores a call's log in a slot: 1 row, which replaces the old one.
    pub(in crate::modules) async fn keep_log(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
        slot: u32,
        body: String,
    ) -> Result<()> {
        self.keep(tenant, PluginNoteRow::log(tenant, plugin, slot, body))
            .await
    }

    /// Deletes a plugin's recorded log, if no version has its name.
    pub(in crate::modules) async fn forget_name(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let name = script.bind(plugin.as_str().to_owned());
        script.push(format!(
            "LET $versions = (SELECT VALUE name FROM type::record('plugin', [$tenant]..[$tenant, ..]) WHERE name = {name} LIMIT 1)"
        ));
        script.push(format!(
            "IF array::len($versions) = 0 {{ DELETE plugin_log:[$tenant, {name}]..[$tenant, {name}, ..] RETURN NONE }}"
        ));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    /// A plugin's recorded log, unordered.
    pub(in crate::modules) async fn logs<T: serde::de::DeserializeOwned>(
        &self,
        tenant: &TenantId,
        plugin: &PluginName,
    ) -> Result<Vec<T>> {
        let mut script = Script::of(tenant);
        let name = script.bind(plugin.as_str().to_owned());
        let index = script.push(format!(
            "SELECT * FROM plugin_log:[$tenant, {name}]..[$tenant, {name}, ..]"
        ));
        self.notes(&script, index).await
    }

    async fn keep(&self, tenant: &TenantId, row: PluginNoteRow) -> Result<()> {
        let mut script = Script::transaction(tenant);
        let key = script.bind(row.id.clone());
        let row = script.bind(row.into_value());
        script.push(format!("UPSERT {key} CONTENT {row} RETURN NONE"));
        self.db.run_retrying(&script).await?;
        Ok(())
    }

    async fn notes<T: serde::de::DeserializeOwned>(
        &self,
        script: &Script,
        index: usize,
    ) -> Result<Vec<T>> {
        let rows: Vec<PluginNoteRow> = self.db.run_retrying(script).await?.rows(index)?;
        rows.iter().map(parsed).collect()
    }
}
