//! Checks of every request before a route reads it: one host, and a body without encoding.
//!
//! Called by [`guard`](super::response_layers::guard).

use axum::{
    body::HttpBody as _,
    extract::Request,
    http::{
        HeaderMap, HeaderValue, Uri, Version,
        header::{ACCEPT_ENCODING, CONTENT_ENCODING, HOST},
        uri::Authority,
    },
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{Error, ErrorCode};

use super::{host_codes::UNSUPPORTED_MEDIA_TYPE, problem::Problem};

/// Marks a request with contradictory framing, with the reason. The connection puts it into the request's extensions.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    not(feature = "program"),
    expect(dead_code, reason = "servers of platforms read their connections")
)]
pub(crate) struct Misframed(pub(crate) &'static str);

/// The refusal of a request that does not name its host as RFC 9112, 3.2, requires, and one whose body has a coding (RFC 9110, 8.4).
///
/// If two programs read different hosts from one request, caches can be poisoned. A compressed body that is parsed as
/// plain text gives a misleading error about its JSON.
pub(super) fn refusal(request: &Request) -> Option<Response> {
    if let Some(Misframed(reason)) = request.extensions().get() {
        let error = Error::new(ErrorCode::MalformedRequest, *reason);
        return Some(Problem::from(error).into_response());
    }
    if !names_its_host(request.version(), request.uri(), request.headers()) {
        let detail = "Send one Host header with the name of this host, and its port if it is not the usual one.";
        let error = Error::new(ErrorCode::MalformedRequest, detail).at_field("Host");
        return Some(Problem::from(error).into_response());
    }
    if is_encoded(request.headers()) && !request.body().is_end_stream() {
        let detail = "Send the body without Content-Encoding: no coding is supported.";
        let mut response = Problem::host(&UNSUPPORTED_MEDIA_TYPE, detail).into_response();
        let headers = response.headers_mut();
        // The supported codings (RFC 9110, 12.5.3).
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        return Some(response);
    }
    None
}

fn names_its_host(version: Version, uri: &Uri, headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(HOST).iter();
    match (values.next(), values.next()) {
        (Some(host), None) => host.to_str().is_ok_and(is_host),
        (Some(_), Some(_)) => false,
        // HTTP/1.0 has no Host, and HTTP/2 has it in the target.
        (None, _) => {
            version < Version::HTTP_11 || version > Version::HTTP_11 && uri.host().is_some()
        }
    }
}

/// Whether this is a name or an address, with a port or without (RFC 9110, 7.2). A comma may stand in the name of a URI; in a
/// header it is what somebody made of two. A URI of the scheme `http` is never
/// without one.
fn is_host(text: &str) -> bool {
    let Ok(authority) = text.parse::<Authority>() else {
        return false;
    };
    let port = text
        .strip_prefix(authority.host())
        .and_then(|rest| rest.strip_prefix(':'));
    let is_port =
        |port: &str| port.is_empty() || port.parse::<u16>().is_ok() && !port.contains('+');
    !authority.host().is_empty() && !text.contains(['@', ',']) && port.is_none_or(is_port)
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let plain = |value: &HeaderValue| {
        let codings = value.to_str().unwrap_or("?").split(',').map(str::trim);
        codings
            .into_iter()
            .all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity"))
    };
    !headers.get_all(CONTENT_ENCODING).iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: axum::http::HeaderName, values: &[&str]) -> HeaderMap {
        let values = values
            .iter()
            .map(|value| (name.clone(), value.parse().unwrap()));
        values.collect()
    }

    #[test]
    fn a_request_names_one_host() {
        let uri = Uri::from_static("/");
        let names = |version, hosts: &[&str]| names_its_host(version, &uri, &with(HOST, hosts));
        for good in [
            "tickets.example",
            "tickets.example:8080",
            "tickets.example:",
            "127.0.0.1:80",
            "[::1]:8080",
            "[::1]",
            "acme_2.tickets.example",
        ] {
            assert!(names(Version::HTTP_11, &[good]), "{good}");
        }
        for bad in [
            "",
            "a b",
            "a,b",
            "a/b",
            "ann@tickets.example",
            "a:b",
            "a:99999",
            "a:+80",
            ":80",
            "http://a",
            "[::1",
            "a:1:2",
        ] {
            assert!(!names(Version::HTTP_11, &[bad]), "{bad}");
            assert!(!names(Version::HTTP_10, &[bad]), "{bad}");
        }
        assert!(!names(Version::HTTP_11, &[]));
        assert!(!names(Version::HTTP_11, &["a", "a"]));
        assert!(names(Version::HTTP_10, &[]));
        let absolute = Uri::from_static("http://a.example/");
        assert!(!names_its_host(
            Version::HTTP_11,
            &absolute,
            &HeaderMap::new()
        ));
        assert!(names_its_host(
            Version::HTTP_2,
            &absolute,
            &HeaderMap::new()
        ));
    }

    #[test]
    fn only_plain_bodies_are_read() {
        for plain in [&[][..], &["identity"], &["Identity, identity"], &[""]] {
            assert!(!is_encoded(&with(CONTENT_ENCODING, plain)), "{plain:?}");
        }
        for encoded in [
            &["gzip"][..],
            &["identity", "br"],
            &["identity, zstd"],
            &["x-unknown"],
        ] {
            assert!(is_encoded(&with(CONTENT_ENCODING, encoded)), "{encoded:?}");
        }
    }
}
