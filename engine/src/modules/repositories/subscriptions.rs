//! Storage steps of subscriptions. Called by the subscriptions module; calls models.

use super::{
    db::{Db, Script},
    models::SuppressionRow,
};
use crate::{
    error::Result,
    types::{NotificationKind, Suppression, TenantId, UserId},
};

pub(in crate::modules) struct SubscriptionsRepository {
    db: Db,
}

impl SubscriptionsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// The customers among these who unsubscribed from a kind; at most the size of a delivery batch.
    pub(in crate::modules) async fn find_many(
        &self,
        tenant: &TenantId,
        kind: NotificationKind,
        customers: &[UserId],
    ) -> Result<Vec<Suppression>> {
        if customers.is_empty() {
            return Ok(Vec::new());
        }
        let mut script = Script::of(tenant);
        let ids: Vec<_> = customers
            .iter()
            .map(|customer| SuppressionRow::key(tenant, *customer, kind))
            .collect();
        let index = script.read_all(ids);
        let rows: Vec<SuppressionRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(SuppressionRow::into_type).collect()
    }

    /// The kinds that one customer unsubscribed from; at most one row for each kind.
    pub(in crate::modules) async fn list_of_customer(
        &self,
        tenant: &TenantId,
        customer: UserId,
    ) -> Result<Vec<Suppression>> {
        let mut script = Script::of(tenant);
        let customer = script.bind(customer.ulid().to_string());
        let index = script.push(format!(
            "SELECT * FROM suppression:[$tenant, {customer}]..[$tenant, {customer}, ..]"
        ));
        let rows: Vec<SuppressionRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(SuppressionRow::into_type).collect()
    }

    /// Up to `limit` of a tenant's suppressions in customer order, after one of them.
    pub(in crate::modules) async fn list(
        &self,
        tenant: &TenantId,
        after: Option<(UserId, NotificationKind)>,
        limit: u32,
    ) -> Result<Vec<Suppression>> {
        let mut script = Script::of(tenant);
        let start = match after {
            None => "[$tenant]".to_owned(),
            Some((customer, kind)) => {
                let customer = script.bind(customer.ulid().to_string());
                let kind = script.bind(kind.as_str().to_owned());
                format!("[$tenant, {customer}, {kind}]>")
            }
        };
        let limit = script.bind(i64::from(limit));
        let index = script.push(format!(
            "SELECT * FROM type::record('suppression', {start}..[$tenant, ..]) LIMIT {limit}"
        ));
        let rows: Vec<SuppressionRow> = self.db.run_retrying(&script).await?.rows(index)?;
        rows.into_iter().map(SuppressionRow::into_type).collect()
    }

    /// Adds and removes customers' suppressions: as many rows as are named. One that
    /// exists already keeps its time and source.
    pub(in crate::modules) async fn change(
        &self,
        tenant: &TenantId,
        unwanted: &[Suppression],
        wanted: &[(UserId, NotificationKind)],
    ) -> Result<()> {
        let mut script = Script::transaction(tenant);
        if !unwanted.is_empty() {
            let rows: Vec<_> = unwanted
                .iter()
                .map(|suppression| SuppressionRow::of(tenant, suppression))
                .collect();
            let rows = script.bind(rows);
            script.push(format!("INSERT IGNORE INTO suppression {rows} RETURN NONE"));
        }
        if !wanted.is_empty() {
            let ids: Vec<_> = wanted
                .iter()
                .map(|(customer, kind)| SuppressionRow::key(tenant, *customer, *kind))
                .collect();
            let ids = script.bind(ids);
            script.push(format!("DELETE {ids} RETURN NONE"));
        }
        self.db.run_retrying(&script).await?;
        Ok(())
    }
}
