//! Routes of those who run the installation.

use boxoffice_tests::Account;
use serde_json::json;

use super::{Door, Row, Thing, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "POST",
        "/api/operator/login",
        Door::Open,
        Thing::None,
        Some(|_| json!({"email": "op@boxoffice.test", "password": Account::PASSWORD})),
        200,
    ),
    row(
        "POST",
        "/api/operator/tenants",
        Door::Operator,
        Thing::None,
        Some(
            |_| json!({"id": "west", "name": "West", "currency": "EUR", "organizersMayRegister": true}),
        ),
        201,
    ),
    row(
        "GET",
        "/api/operator/tenants",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/tenants/{tenant}",
        Door::Operator,
        Thing::Tenant,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/verification/claims",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/verification/payments",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/verification/receipts",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/verification",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "PUT",
        "/api/operator/tenants/{tenant}/sender",
        Door::Operator,
        Thing::Tenant,
        Some(|_| json!({"mailFrom": "tickets@north.test"})),
        200,
    ),
    row(
        "POST",
        "/api/operator/tenants/{tenant}/users",
        Door::Operator,
        Thing::Tenant,
        Some(
            |_| json!({"email": "otto@north.test", "name": "Otto", "password": Account::PASSWORD, "role": "owner"}),
        ),
        201,
    ),
    row(
        "GET",
        "/api/operator/tenants/{tenant}/users",
        Door::Operator,
        Thing::Tenant,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/backup",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/restoration",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    // This store did not come from a backup: the right caller is told so.
    row(
        "POST",
        "/api/operator/restoration/release",
        Door::Operator,
        Thing::None,
        None,
        404,
    ),
];
