//! Storage steps of tenants. Called by the tenants module; calls models.

use super::{
    db::{Db, Script, StepError, SystemScope},
    models::{LogoRow, TenantRow},
};
use crate::{
    error::Result,
    types::{LogoFacts, Page, PageRequest, Tenant, TenantId},
};

/// The guard's word when a tenant was changed meanwhile.
const STALE_TENANT: &str = "tenant-moved";

pub(in crate::modules) struct TenantsRepository {
    pub(super) db: Db,
}

impl TenantsRepository {
    pub(in crate::modules) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Writes a new tenant: 1 row. Returns false if the name is taken.
    pub(in crate::modules) async fn insert(&self, tenant: &Tenant) -> Result<bool> {
        let mut script = Script::transaction(&tenant.id);
        let row = script.bind(TenantRow::of(tenant));
        script.push(format!("INSERT INTO tenant {row} RETURN NONE"));
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(StepError::Exists(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(in crate::modules) async fn find(&self, tenant: &TenantId) -> Result<Option<Tenant>> {
        let mut script = Script::of(tenant);
        let index = script.read(TenantRow::key(tenant));
        self.db
            .run_retrying(&script)
            .await?
            .row::<TenantRow>(index)?
            .map(TenantRow::into_type)
            .transpose()
    }

    /// Writes a tenant, with the next version, if it is still at the version that `tenant` has: 1 row. Returns whether
    /// it was.
    pub(in crate::modules) async fn replace(&self, tenant: &Tenant) -> Result<bool> {
        let mut script = Script::of(&tenant.id);
        let update = replacement(&mut script, tenant);
        let index = script.push(update);
        let mut answers = self.db.run_retrying(&script).await?;
        Ok(!answers.rows::<u64>(index)?.is_empty())
    }

    /// The same with the bytes of its logo, if it has one, in place of the former: 3 rows.
    pub(in crate::modules) async fn replace_with_logo(
        &self,
        tenant: &Tenant,
        bytes: Option<&[u8]>,
        former: Option<&LogoFacts>,
    ) -> Result<bool> {
        let mut script = Script::transaction(&tenant.id);
        let update = replacement(&mut script, tenant);
        script.require(update, STALE_TENANT);
        let key = |logo: &LogoFacts| LogoRow::key(&tenant.id, &logo.sha256);
        script.remove(former.map(key));
        if let (Some(logo), Some(bytes)) = (&tenant.logo, bytes) {
            let key = key(logo);
            script.put(key.clone(), LogoRow::of(key, bytes));
        }
        match self.db.run_retrying(&script).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_guard(STALE_TENANT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The bytes of a tenant's logo; `None` if it has another by now.
    pub(in crate::modules) async fn logo(
        &self,
        tenant: &TenantId,
        logo: &LogoFacts,
    ) -> Result<Option<Vec<u8>>> {
        let mut script = Script::of(tenant);
        let index = script.read(LogoRow::key(tenant, &logo.sha256));
        let row: Option<LogoRow> = self.db.run_retrying(&script).await?.row(index)?;
        Ok(row.map(LogoRow::into_bytes))
    }

    /// A page of all tenants, by name.
    pub(in crate::modules) async fn list(
        &self,
        scope: SystemScope,
        page: &PageRequest,
    ) -> Result<Page<Tenant>> {
        let mut script = Script::across_tenants(scope);
        let after = page.position::<TenantId>()?;
        let after = script.bind(after.map(|after| after.to_string()).unwrap_or_default());
        let count = script.bind(i64::from(page.limit) + 1);
        let index = script.push(format!(
            "SELECT * FROM type::record('tenant', [{after}]>..) LIMIT {count}"
        ));
        let rows: Vec<TenantRow> = self.db.run_retrying(&script).await?.rows(index)?;
        let items = rows
            .into_iter()
            .map(TenantRow::into_type)
            .collect::<Result<Vec<_>>>()?;
        Ok(page.cut(items, |tenant| tenant.id.to_string()))
    }
}

/// The statement that writes a tenant with the next version, if it is still at the version that `tenant` has.
fn replacement(script: &mut Script, tenant: &Tenant) -> String {
    let next = Tenant {
        version: tenant.version + 1,
        ..tenant.clone()
    };
    let key = script.bind(TenantRow::key(&tenant.id));
    let row = script.bind(TenantRow::of(&next));
    let seen = script.bind(tenant.version);
    format!("UPDATE {key} CONTENT {row} WHERE version = {seen} RETURN VALUE version")
}
