//! Compares refusals that tests see with the description of the API. The client calls it for each answer.

use std::sync::LazyLock;

use serde_json::Value;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(&boxoffice_host::openapi_json()).expect("the description is JSON")
});

/// Checks that the description names the code of a refusal, for this operation and status.
///
/// # Panics
/// When it does not. Answers of other routes and of methods that a path does not have are left alone.
pub(crate) fn assert_documented(method: &str, path: &str, status: u16, body: &str) {
    let problem: Value = serde_json::from_str(body).unwrap_or_default();
    let Some(code) = problem["code"].as_str() else {
        return;
    };
    let paths = DESCRIPTION["paths"].as_object().expect("paths");
    let matching = paths.iter().filter(|(known, _)| is_of(known, path));
    // Of two, the router takes the one that names more of the path.
    let Some((known, item)) = matching.min_by_key(|(known, _)| known.matches('{').count()) else {
        return;
    };
    let operation = &item[method.to_lowercase()];
    if operation.is_null() {
        return;
    }
    let codes = &operation["responses"][status.to_string()]["x-error-codes"];
    let is_named = codes
        .as_array()
        .is_some_and(|codes| codes.iter().any(|one| one == code));
    assert!(
        is_named,
        "{method} {known} answered {status} {code}, which its description does not name \
         (host/src/routes/refusals.rs): {codes}"
    );
}

/// Whether a path is one of those that the description has as `known`.
fn is_of(known: &str, path: &str) -> bool {
    let (known, path) = (known.split('/'), path.split('/'));
    known.clone().count() == path.clone().count()
        && known
            .zip(path)
            .all(|(known, given)| known == given || known.starts_with('{'))
}

#[cfg(test)]
mod tests {
    use super::assert_documented;

    const REFUSED: &str = r#"{"code":"not-enough-tickets"}"#;

    #[test]
    fn named_codes_and_other_routes_pass() {
        assert_documented("POST", "/api/bookings", 409, REFUSED);
        assert_documented("DELETE", "/api/bookings", 409, REFUSED);
        assert_documented("GET", "/tickets/api/bookings", 409, REFUSED);
        assert_documented("GET", "/api/bookings/me", 200, "{}");
    }

    #[test]
    #[should_panic(expected = "GET /api/bookings/{id} answered 409 not-enough-tickets")]
    fn a_code_that_is_not_named_is_found() {
        assert_documented("GET", "/api/bookings/A1", 409, REFUSED);
    }
}
