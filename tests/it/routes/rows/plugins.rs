//! Routes of plugins. Last but operators: a plugin is taken out of use here.

use serde_json::json;

use super::{Door, Row, Thing, row};

pub(super) const ROWS: &[Row] = &[
    row("GET", "/api/plugins", Door::Owner, Thing::None, None, 200),
    row(
        "GET",
        "/api/policy-catalogue",
        Door::Owner,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/plugins/versions",
        Door::Owner,
        Thing::None,
        None,
        200,
    ),
    // Its body is a component, which rows of this table cannot send: the right caller is asked for one.
    row(
        "POST",
        "/api/plugins/{id}/versions",
        Door::Owner,
        Thing::None,
        None,
        415,
    ),
    row(
        "GET",
        "/api/plugins/versions/{id}",
        Door::Owner,
        Thing::PluginVersion,
        None,
        200,
    ),
    // It is in use: the right caller is told so.
    row(
        "DELETE",
        "/api/plugins/versions/{id}",
        Door::Owner,
        Thing::PluginVersion,
        None,
        409,
    ),
    row(
        "POST",
        "/api/plugins/versions/{id}/dry-run",
        Door::Owner,
        Thing::PluginVersion,
        Some(
            |_| json!({"question": {"export": "render", "request": {"kind": "x", "locale": "en", "data": {}}}, "config": {}}),
        ),
        200,
    ),
    row(
        "POST",
        "/api/plugins/versions/{id}/replay",
        Door::Owner,
        Thing::PluginVersion,
        Some(|_| json!({"last": 10, "config": {}})),
        200,
    ),
    row(
        "POST",
        "/api/plugins/{id}/activate",
        Door::Owner,
        Thing::Plugin,
        Some(
            |world| json!({"version": world.north.plugin, "config": {"a": 1}, "whenNotLoaded": "refuse", "seesIdentity": false, "enabled": true, "position": 0, "fixtures": [], "skipTrial": false}),
        ),
        200,
    ),
    row(
        "GET",
        "/api/plugins/{id}/logs",
        Door::Owner,
        Thing::Plugin,
        None,
        200,
    ),
    row(
        "GET",
        "/api/plugins/{id}/failed-calls",
        Door::Owner,
        Thing::Plugin,
        None,
        200,
    ),
    row(
        "GET",
        "/api/plugins/{id}/metrics",
        Door::Owner,
        Thing::Plugin,
        None,
        200,
    ),
    row(
        "GET",
        "/api/bookings/{id}/decision",
        Door::Owner,
        Thing::Booking,
        None,
        200,
    ),
    row(
        "POST",
        "/api/plugins/{id}/roll-back",
        Door::Owner,
        Thing::Plugin,
        Some(|_| json!({})),
        200,
    ),
    row(
        "POST",
        "/api/plugins/{id}/remove",
        Door::Owner,
        Thing::Plugin,
        Some(|_| json!({})),
        200,
    ),
];
