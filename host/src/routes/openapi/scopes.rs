//! The scope that an API key needs for each operation. The engine checks scopes; this list tells them, and a test compares both.

use boxoffice_engine::Scope;
use utoipa::{
    Modify,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
};

use super::operations_by_method;

/// The name of the security scheme.
const API_KEY: &str = "apiKey";

/// Operations by scope: method and path. What is not here no key may do.
const OPERATIONS: &[(Scope, &[(&str, &str)])] = &[
    (
        Scope::EventsRead,
        &[
            ("get", "/api/events"),
            ("get", "/api/events/{id}"),
            ("get", "/api/events/{id}/availability"),
            ("get", "/api/event-references/{reference}"),
            ("get", "/api/events/{id}/team"),
            ("get", "/api/events/{id}/ticket-types/{type}"),
        ],
    ),
    (
        Scope::EventsWrite,
        &[
            ("post", "/api/events"),
            ("put", "/api/events/{id}"),
            ("patch", "/api/events/{id}"),
            ("delete", "/api/events/{id}"),
            ("post", "/api/events/{id}/cancel"),
            ("post", "/api/events/{id}/clone"),
            ("put", "/api/events/{id}/team/{user}"),
            ("delete", "/api/events/{id}/team/{user}"),
            ("post", "/api/events/{id}/ticket-types"),
            ("patch", "/api/events/{id}/ticket-types/{type}"),
            ("delete", "/api/events/{id}/ticket-types/{type}"),
        ],
    ),
    (
        Scope::BookingsRead,
        &[
            ("get", "/api/booking-numbers/{number}"),
            ("get", "/api/booking-references/{reference}"),
            ("get", "/api/claims"),
            ("get", "/api/bookings/{id}"),
            ("get", "/api/bookings/{id}/decision"),
            ("get", "/api/bookings/{id}/tickets"),
            ("get", "/api/events/{id}/attendees/export"),
            ("get", "/api/events/{id}/bookings"),
            ("get", "/api/events/{id}/bookings/export"),
            ("get", "/api/events/{id}/waitlist"),
            ("get", "/api/events/{id}/waitlist/skips"),
            ("get", "/api/users/{id}/bookings"),
            ("post", "/api/quotes"),
        ],
    ),
    (
        Scope::BookingsWrite,
        &[
            ("post", "/api/bookings"),
            ("patch", "/api/bookings/{id}"),
            ("post", "/api/bookings/{id}/cancel"),
            ("post", "/api/tickets/{id}/transfer"),
        ],
    ),
    (
        Scope::Holds,
        &[
            ("post", "/api/holds"),
            ("get", "/api/holds/{id}"),
            ("patch", "/api/holds/{id}"),
            ("post", "/api/holds/{id}/extend"),
            ("post", "/api/holds/{id}/confirm"),
            ("post", "/api/holds/{id}/release"),
        ],
    ),
    (
        Scope::Payments,
        &[
            ("get", "/api/events/{id}/payments"),
            ("post", "/api/holds/{id}/payments"),
            ("get", "/api/payments"),
            ("get", "/api/payments/{provider}/{reference}"),
            ("post", "/api/payments/{provider}/{reference}/captured"),
            ("post", "/api/payments/{provider}/{reference}/failed"),
            ("post", "/api/payments/{provider}/{reference}/refunded"),
        ],
    ),
    (
        Scope::Refunds,
        &[
            ("get", "/api/refunds"),
            ("post", "/api/refunds/{id}/settled"),
        ],
    ),
    (
        Scope::Receipts,
        &[
            ("get", "/api/bookings/{id}/receipts"),
            ("get", "/api/receipts"),
            ("get", "/api/receipts/{id}"),
        ],
    ),
    (
        Scope::CheckIns,
        &[
            ("get", "/api/check-ins/{id}"),
            ("get", "/api/events/{id}/check-ins"),
            ("post", "/api/events/{id}/check-ins"),
            ("post", "/api/events/{id}/check-ins/undo"),
            ("get", "/api/events/{id}/check-ins/export"),
            ("get", "/api/events/{id}/door-list"),
            ("get", "/api/events/{id}/door-list/export"),
        ],
    ),
    (Scope::ChangesRead, &[("get", "/api/changes")]),
    (Scope::Imports, &[("post", "/api/imports")]),
    (
        Scope::Customers,
        &[
            ("get", "/api/users"),
            ("get", "/api/users/export"),
            ("get", "/api/users/{id}"),
            ("patch", "/api/users/{id}"),
            ("get", "/api/users/{id}/personal-data"),
            ("post", "/api/users/{id}/erase"),
        ],
    ),
    (
        Scope::NotificationsRead,
        &[
            ("get", "/api/admin/deliveries/{id}"),
            ("get", "/api/admin/failed"),
            ("get", "/api/admin/notifications"),
            ("get", "/api/admin/notifications/{id}/failed"),
            ("get", "/api/admin/overview"),
            ("get", "/api/admin/reasons"),
            ("get", "/api/admin/schedules"),
            ("post", "/api/admin/searches"),
            ("get", "/api/bookings/{id}/deliveries"),
            ("get", "/api/events/{id}/notifications"),
            ("get", "/api/notifications/{id}"),
            ("get", "/api/notifications/{id}/deliveries"),
            ("get", "/api/notifications/{id}/deliveries/export"),
            ("get", "/api/tenant/suppressions"),
            ("get", "/api/users/{id}/deliveries"),
        ],
    ),
    (
        Scope::NotificationsWrite,
        &[
            ("post", "/api/admin/notifications/{id}/move"),
            ("post", "/api/admin/notifications/{id}/{command}"),
            ("post", "/api/admin/retries"),
            ("post", "/api/events/{id}/announcements"),
        ],
    ),
    (
        Scope::Plugins,
        &[
            ("get", "/api/admin/plugins"),
            ("get", "/api/plugins"),
            ("get", "/api/plugins/versions"),
            ("get", "/api/plugins/versions/{id}"),
            ("delete", "/api/plugins/versions/{id}"),
            ("post", "/api/plugins/versions/{id}/dry-run"),
            ("post", "/api/plugins/versions/{id}/replay"),
            ("post", "/api/plugins/{id}/activate"),
            ("get", "/api/plugins/{id}/logs"),
            ("get", "/api/plugins/{id}/metrics"),
            ("post", "/api/plugins/{id}/remove"),
            ("post", "/api/plugins/{id}/roll-back"),
            ("post", "/api/plugins/{id}/versions"),
            ("get", "/api/policy-catalogue"),
        ],
    ),
    (
        Scope::Settings,
        &[
            ("delete", "/api/tenant/logo"),
            ("put", "/api/tenant/logo"),
            ("get", "/api/tenant/settings"),
            ("patch", "/api/tenant/settings"),
        ],
    ),
];

fn scope_of(method: &str, path: &str) -> Option<Scope> {
    let found = OPERATIONS
        .iter()
        .find(|(_, operations)| operations.contains(&(method, path)));
    found.map(|(scope, _)| *scope)
}

/// Adds to each operation that API keys may do the scope that they need for it.
pub(super) struct ApiKeyScopes;

impl Modify for ApiKeyScopes {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (method, path, operation) in operations_by_method(openapi) {
            if let Some(scope) = scope_of(&method.to_ascii_lowercase(), path) {
                let user = || vec![SecurityRequirement::new("bearer", Vec::<String>::new())];
                let program = SecurityRequirement::new(API_KEY, [scope.as_str()]);
                operation.security.get_or_insert_with(user).push(program);
            }
        }
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("bo_TENANT_…")
            .description(Some(
                "The `secret` of an API key. Each operation names the scope that the key needs; operations without one are \
                 refused to keys.",
            ))
            .build();
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(API_KEY, SecurityScheme::Http(scheme));
    }
}
