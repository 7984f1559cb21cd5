//! What wit-bindgen makes of `wit/boxoffice.wit`: one module for each world.
//!
//! Used by the rest of this crate, and by what its macros expand to.

/// The world of policies.
pub mod policy {
    wit_bindgen::generate!({
        path: "wit",
        world: "policy",
        pub_export_macro: true,
        export_macro_name: "export_policy_world",
        default_bindings_module: "boxoffice_plugin::expanded::policy",
    });
}

/// The world of templates.
pub mod template {
    wit_bindgen::generate!({
        path: "wit",
        world: "template",
        pub_export_macro: true,
        export_macro_name: "export_template_world",
        default_bindings_module: "boxoffice_plugin::expanded::template",
    });
}
