//! Routes of payments, refunds and receipts.

use serde_json::json;

use super::{Door, Row, Thing, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "POST",
        "/api/holds/{id}/payments",
        Door::Owner,
        Thing::PricedHold,
        Some(
            |_| json!({"provider": "acme", "reference": "pay-open", "amountMinor": 1000, "currency": "EUR"}),
        ),
        201,
    ),
    row("GET", "/api/payments", Door::Owner, Thing::None, None, 200),
    row("GET", "/api/claims", Door::Owner, Thing::None, None, 200),
    row(
        "GET",
        "/api/payments/{provider}/{reference}",
        Door::Owner,
        Thing::Payment,
        None,
        200,
    ),
    row(
        "GET",
        "/api/events/{id}/payments",
        Door::Organizer(403),
        Thing::Event,
        None,
        200,
    ),
    row(
        "POST",
        "/api/payments/{provider}/{reference}/captured",
        Door::Owner,
        Thing::NewPayment,
        Some(
            |_| json!({"noticeId": "evt-1", "amountMinor": 1000, "currency": "EUR", "at": "2026-12-01T12:00:00Z"}),
        ),
        200,
    ),
    row(
        "POST",
        "/api/payments/{provider}/{reference}/failed",
        Door::Owner,
        Thing::NewPayment,
        Some(|_| json!({"noticeId": "evt-2", "at": "2026-12-01T12:00:00Z"})),
        200,
    ),
    row(
        "POST",
        "/api/payments/{provider}/{reference}/refunded",
        Door::Owner,
        Thing::NewPayment,
        Some(|_| json!({"noticeId": "evt-3", "amountMinor": 1000, "at": "2026-12-01T12:00:00Z"})),
        200,
    ),
    row("GET", "/api/refunds", Door::Owner, Thing::None, None, 200),
    row("GET", "/api/receipts", Door::Owner, Thing::None, None, 200),
    row(
        "GET",
        "/api/receipts/{id}",
        Door::Customer(404),
        Thing::Receipt,
        None,
        200,
    ),
    row(
        "GET",
        "/api/bookings/{id}/receipts",
        Door::Customer(404),
        Thing::Booking,
        None,
        200,
    ),
    row(
        "POST",
        "/api/refunds/{id}/settled",
        Door::Owner,
        Thing::Refund,
        None,
        200,
    ),
];
