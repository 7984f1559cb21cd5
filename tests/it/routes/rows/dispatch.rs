//! Routes of health checks and of looking after what goes out. First: rows of other files call events off, and with them their
//! notifications.

use serde_json::json;

use super::{Door, Row, Thing, row};

pub(super) const ROWS: &[Row] = &[
    row("GET", "/health/live", Door::Open, Thing::None, None, 200),
    row("GET", "/health/ready", Door::Open, Thing::None, None, 200),
    row(
        "GET",
        "/api/admin/sight",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/notifications",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/notifications/{id}/failed",
        Door::Organizer(403),
        Thing::Notification,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/failed",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/reasons",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/admin/deliveries/{id}",
        Door::Organizer(403),
        Thing::Delivery,
        None,
        200,
    ),
    row(
        "POST",
        "/api/admin/searches",
        Door::Manager,
        Thing::None,
        Some(|_| json!({"text": "ann@north.test"})),
        200,
    ),
    row(
        "POST",
        "/api/admin/retries",
        Door::Manager,
        Thing::None,
        Some(|_| json!({"state": "dead", "reason": "550", "dryRun": true, "why": "a test"})),
        200,
    ),
    row(
        "POST",
        "/api/admin/notifications/{id}/pause",
        Door::Organizer(403),
        Thing::Notification,
        Some(|_| json!({"why": "a test"})),
        204,
    ),
    row(
        "POST",
        "/api/admin/notifications/{id}/resume",
        Door::Organizer(403),
        Thing::Notification,
        Some(|_| json!({"why": "a test"})),
        204,
    ),
    row(
        "POST",
        "/api/admin/notifications/{id}/cancel",
        Door::Organizer(403),
        Thing::Notification,
        Some(|_| json!({"why": "a test"})),
        204,
    ),
    row(
        "GET",
        "/api/admin/audit",
        Door::Owner,
        Thing::None,
        None,
        200,
    ),
];
