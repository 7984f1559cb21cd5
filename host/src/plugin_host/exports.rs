//! The exports of a component that can be called, found by linking it.
//!
//! Called where a component is compiled, and where its machine code is loaded. Calls wasmtime.

use boxoffice_engine::ports::LoadFailure;
use boxoffice_wit::host::{policy::PolicyPre, template::TemplatePre};
use wasmtime::component::{Component, Linker};

use super::{guest::Guest, inspect};

/// The callable exports of a loaded component.
pub(super) struct Loaded {
    pub(super) policy: Option<PolicyPre<Guest>>,
    pub(super) template: Option<TemplatePre<Guest>>,
}

impl Loaded {
    /// Checks every type of imports and exports.
    pub(super) fn link(linker: &Linker<Guest>, component: &Component) -> Result<Self, LoadFailure> {
        let rejected = |error: wasmtime::Error| {
            LoadFailure::Rejected(inspect::with_wit_line(&format!("{error:#}")))
        };
        let pre = linker.instantiate_pre(component).map_err(rejected)?;
        let engine = component.engine();
        let exports = |interface: &str| {
            let start = format!("{}/{interface}@", boxoffice_wit::PACKAGE);
            component
                .component_type()
                .exports(engine)
                .any(|(name, _)| name.starts_with(&start))
        };
        let policy = match exports("booking-policy") {
            true => Some(PolicyPre::new(pre.clone()).map_err(rejected)?),
            false => None,
        };
        let template = match exports("notification-template") {
            true => Some(TemplatePre::new(pre).map_err(rejected)?),
            false => None,
        };
        Ok(Self { policy, template })
    }
}
