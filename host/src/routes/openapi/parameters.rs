//! Parameters that many operations have: the tenant, and the Idempotency-Key.

use boxoffice_engine::ErrorCode;
use utoipa::{
    Modify,
    openapi::{
        HeaderBuilder, ObjectBuilder, RefOr, Required,
        path::{ParameterBuilder, ParameterIn},
        schema::Type,
    },
};

use super::{operations, operations_by_method};
use crate::routes::refusals::own_codes;

/// Adds the header that names the tenant to every operation that has one.
pub(super) struct TenantHeader;

impl Modify for TenantHeader {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let header = ParameterBuilder::new()
            .name("X-Tenant")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "Which tenant, where neither host name nor token say so",
            ))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
            .build();
        for (path, operation) in operations(openapi) {
            if path.starts_with("/api/") && !path.starts_with("/api/operator/") {
                operation
                    .parameters
                    .get_or_insert_default()
                    .push(header.clone());
            }
        }
    }
}

/// Adds to each operation that creates or changes something whether it honours an Idempotency-Key.
pub(super) struct IdempotencyKeys;

impl Modify for IdempotencyKeys {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some(
                "1 to 255 visible ASCII characters, of the caller's choice. The same request under the same key has its \
                 effect once: for 24 hours it is answered as at first, with `Idempotency-Replayed: true`. A refusal is \
                 judged again",
            ))
            .schema(Some(
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .min_length(Some(1))
                    .max_length(Some(255)),
            ))
            .build();
        for (method, _, operation) in operations_by_method(openapi) {
            if !own_codes(operation).contains(ErrorCode::IdempotencyKeyReused.as_str()) {
                if method == "POST" {
                    let says = operation.description.take().unwrap_or_default();
                    let ignores = "This operation ignores `Idempotency-Key`.";
                    let says = format!("{says}\n\n{ignores}");
                    operation.description = Some(says.trim().to_owned());
                }
                continue;
            }
            operation
                .parameters
                .get_or_insert_default()
                .push(key.clone());
            for (status, response) in &mut operation.responses.responses {
                if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
                    let header = HeaderBuilder::new().description(Some(
                        "`true`, if the answer is the one to the request before",
                    ));
                    response
                        .headers
                        .insert("Idempotency-Replayed".to_owned(), header.build());
                }
            }
        }
    }
}

/// Marks bodies that are described in several media types as required, which the attribute cannot.
pub(super) struct RequiredBodies;

impl Modify for RequiredBodies {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        for (method, _, operation) in operations_by_method(openapi) {
            if let ("PATCH", Some(body)) = (method, &mut operation.request_body) {
                body.required = Some(Required::True);
            }
        }
    }
}
