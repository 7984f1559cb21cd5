//! The generated bindings of the host's side: what it calls in plugins, and what it does for them.
//!
//! Called by the host's plugin runtime alone.

/// A plugin that decides about bookings.
pub mod policy {
    wasmtime::component::bindgen!({
        path: "boxoffice.wit",
        world: "policy",
        imports: { default: trappable },
        exports: { default: async },
    });
}

/// A plugin that words mails.
pub mod template {
    wasmtime::component::bindgen!({
        path: "boxoffice.wit",
        world: "template",
        imports: { default: trappable },
        exports: { default: async },
        with: { "boxoffice:plugin/host": super::policy::boxoffice::plugin::host },
    });
}
