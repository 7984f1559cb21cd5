//! Code that must not compile: modules that reveal what only repositories may know. See `app_modules::layer_probe`.

/// A module that returns a repository to the rest of the crate (`private_interfaces`).
#[cfg(layer_probe = "module_returns_repository")]
impl super::TenantsModule {
    pub(crate) fn leaked(&self, db: &super::repositories::Db) -> super::repositories::Db {
        db.clone()
    }
}

/// A module that names a row (E0603: models are private to repositories).
#[cfg(layer_probe = "module_names_row")]
pub(crate) type Named = super::repositories::models::TenantRow;

/// A module that writes a query of its own (E0603: scripts are private to repositories).
#[cfg(layer_probe = "module_writes_query")]
pub(crate) fn written(tenant: &crate::types::TenantId) {
    let _ = super::repositories::db::Script::of(tenant);
}
