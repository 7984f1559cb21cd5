//! Routes of signing in, of the caller, and of the tenant.

use boxoffice_tests::Account;
use serde_json::json;

use super::{Door, Row, Thing, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "POST",
        "/api/auth/register",
        Door::Open,
        Thing::None,
        Some(
            |_| json!({"email": "new@north.test", "name": "New", "password": Account::PASSWORD, "role": "customer"}),
        ),
        201,
    ),
    row(
        "POST",
        "/api/auth/login",
        Door::Open,
        Thing::None,
        Some(|_| json!({"email": "ann@north.test", "password": Account::PASSWORD})),
        200,
    ),
    row(
        "POST",
        "/api/auth/refresh",
        Door::Open,
        Thing::None,
        Some(|world| json!({"refreshToken": world.north.customer.refresh_token})),
        200,
    ),
    row(
        "POST",
        "/api/auth/logout",
        Door::Open,
        Thing::None,
        Some(|world| json!({"refreshToken": world.north.rival.refresh_token})),
        204,
    ),
    row(
        "GET",
        "/api/auth/me",
        Door::SignedIn,
        Thing::None,
        None,
        200,
    ),
    row(
        "PATCH",
        "/api/auth/me",
        Door::SignedIn,
        Thing::None,
        Some(|_| json!({"name": "Ann Again"})),
        200,
    ),
    row(
        "POST",
        "/api/auth/password/forgotten",
        Door::Open,
        Thing::None,
        Some(|_| json!({"email": "ann@north.test"})),
        202,
    ),
    row(
        "GET",
        "/api/auth/me/sessions",
        Door::SignedIn,
        Thing::None,
        None,
        200,
    ),
    row(
        "POST",
        "/api/auth/me/email",
        Door::SignedIn,
        Thing::None,
        Some(|_| json!({"email": "ann.new@north.test", "currentPassword": Account::PASSWORD})),
        202,
    ),
    row(
        "POST",
        "/api/auth/me/verification",
        Door::SignedIn,
        Thing::None,
        None,
        204,
    ),
    row(
        "GET",
        "/api/auth/me/subscriptions",
        Door::SignedIn,
        Thing::None,
        None,
        200,
    ),
    row(
        "PUT",
        "/api/auth/me/subscriptions",
        Door::SignedIn,
        Thing::None,
        Some(|_| json!({"unsubscribed": ["event-announcement"]})),
        200,
    ),
    row("GET", "/api/tenant", Door::Public, Thing::None, None, 200),
    row(
        "GET",
        "/api/tenant/settings",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
    row(
        "PATCH",
        "/api/tenant/settings",
        Door::Owner,
        Thing::None,
        Some(|_| {
            json!({
                "name": "North", "senderName": "North Hall", "replyTo": "help@north.test", "reminderMinutes": 60,
                "organizersMayRegister": true, "announcementsPerDay": 5, "bulkToVerifiedOnly": false,
                "confirmBeforeBooking": false,
            })
        }),
        200,
    ),
    row(
        "GET",
        "/api/tenant/suppressions",
        Door::Manager,
        Thing::None,
        None,
        200,
    ),
];
