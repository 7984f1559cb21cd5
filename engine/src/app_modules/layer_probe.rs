//! Code that must not compile: the test command builds it with `layer_probe`.
//!
//! Proves that the compiler, not a reviewer, keeps AppModules away from repositories. Never part of a real build.

/// An AppModule that names a repository (E0603: the module `repositories` is private).
#[cfg(layer_probe = "app_module_names_repository")]
pub(crate) type Named = crate::modules::repositories::TenantsRepository;

/// An AppModule that reaches through a module for its repository (E0616: the field is private).
#[cfg(layer_probe = "app_module_calls_repository")]
pub(crate) async fn reached(inner: &crate::context::EngineContext) {
    let _ = inner
        .modules
        .tenants
        .repository
        .find(&crate::types::TenantId::trusted("acme"))
        .await;
}

/// An AppModule that opens the store itself (E0603, E0624).
#[cfg(layer_probe = "app_module_opens_store")]
pub(crate) async fn opened() {
    let _ = crate::modules::repositories::Db::open(
        &crate::settings::Store::Memory,
        std::sync::Arc::default(),
    )
    .await;
}
