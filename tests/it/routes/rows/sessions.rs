//! Routes of operators' accounts and sessions, and of what ends sessions: after all that needs them.

use boxoffice_tests::Account;
use serde_json::json;

use super::{Door, Row, Thing, row};

pub(super) const ROWS: &[Row] = &[
    row(
        "GET",
        "/api/tenant/identity-provider",
        Door::Owner,
        Thing::None,
        None,
        200,
    ),
    row(
        "PUT",
        "/api/tenant/identity-provider",
        Door::Owner,
        Thing::None,
        Some(|world| {
            let keys = format!("{}/keys", world.provider.issuer());
            let changes = json!({"jwksUrl": keys, "algorithms": ["RS256"]});
            world.provider.settings(changes)
        }),
        200,
    ),
    row(
        "POST",
        "/api/auth/oidc",
        Door::Open,
        Thing::None,
        Some(|world| {
            let address = json!({"email": "new@id.test", "email_verified": true});
            world.provider.sign_in("new", address)
        }),
        200,
    ),
    row(
        "POST",
        "/api/auth/me/identities",
        Door::SignedIn,
        Thing::None,
        Some(|world| {
            let mut body = world.provider.sign_in("ann", json!({}));
            body["currentPassword"] = json!(Account::PASSWORD);
            body
        }),
        201,
    ),
    row(
        "GET",
        "/api/auth/me/identities",
        Door::SignedIn,
        Thing::None,
        None,
        200,
    ),
    row(
        "DELETE",
        "/api/auth/me/identities/{id}",
        Door::SignedIn,
        Thing::Identity,
        None,
        204,
    ),
    row(
        "DELETE",
        "/api/tenant/identity-provider",
        Door::Owner,
        Thing::None,
        None,
        204,
    ),
    row(
        "GET",
        "/api/operator/operators",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/operators/{operator}/sessions",
        Door::Operator,
        Thing::Operator,
        None,
        200,
    ),
    row(
        "DELETE",
        "/api/operator/operators/{operator}/sessions/{id}",
        Door::Operator,
        Thing::OperatorSession,
        None,
        204,
    ),
    row(
        "PUT",
        "/api/operator/password",
        Door::Operator,
        Thing::None,
        Some(
            |_| json!({"presentPassword": Account::PASSWORD, "password": "another horse battery"}),
        ),
        204,
    ),
    row(
        "POST",
        "/api/operator/refresh",
        Door::Open,
        Thing::None,
        Some(|world| json!({"refreshToken": world.operator_refresh_token})),
        200,
    ),
    row(
        "POST",
        "/api/operator/logout",
        Door::Open,
        Thing::None,
        Some(|world| json!({"refreshToken": world.operator_refresh_token})),
        204,
    ),
    row(
        "DELETE",
        "/api/operator/operators/{operator}/sessions",
        Door::Operator,
        Thing::Operator,
        None,
        204,
    ),
    row(
        "DELETE",
        "/api/operator/operators/{operator}",
        Door::Operator,
        Thing::Operator,
        None,
        204,
    ),
    row(
        "POST",
        "/api/auth/password/reset",
        Door::Open,
        Thing::None,
        Some(
            |world| json!({"token": world.north.reset_token, "password": "another horse battery"}),
        ),
        204,
    ),
    row(
        "DELETE",
        "/api/auth/me/sessions/{id}",
        Door::SignedIn,
        Thing::Session,
        None,
        204,
    ),
    row(
        "DELETE",
        "/api/auth/me/sessions/others",
        Door::SignedIn,
        Thing::None,
        None,
        204,
    ),
    row(
        "POST",
        "/api/auth/password",
        Door::SignedIn,
        Thing::None,
        Some(
            |_| json!({"currentPassword": Account::PASSWORD, "newPassword": "another horse battery"}),
        ),
        200,
    ),
    row(
        "POST",
        "/api/users/{id}/erase",
        Door::Owner,
        Thing::OtherUser,
        None,
        200,
    ),
    row(
        "GET",
        "/api/operator/erasures",
        Door::Operator,
        Thing::None,
        None,
        200,
    ),
    row(
        "DELETE",
        "/api/auth/me/sessions",
        Door::SignedIn,
        Thing::None,
        None,
        204,
    ),
    row(
        "POST",
        "/api/auth/me/erase",
        Door::SignedIn,
        Thing::None,
        Some(|_| json!({"currentPassword": Account::PASSWORD})),
        204,
    ),
];
