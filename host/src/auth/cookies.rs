//! Sessions of pages: our tokens in cookies that no script can read.
//!
//! A cookie alone is nobody: a request counts as its session's only with the header that our own page sends along, which
//! no other site can, and from no other site (`Sec-Fetch-Site`, or `Origin` where a browser sends no such header).
//!
//! Called by [`BearerAuthentication`](super::BearerAuthentication) and by the page's sign-in.

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, HOST, ORIGIN},
};
use boxoffice_engine::{Error, ErrorCode, Result};

use super::{ACCESS_TOKEN_LIFE, TokenKeys, not_authenticated};

/// The header that proves that a page of ours sends the request.
pub(crate) const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Cookies of pages that came over TLS: bound to the host, its whole path, and TLS (RFC 6265bis, 4.1.3.2).
const SECURE: [&str; 2] = ["__Host-boxoffice-session", "__Host-boxoffice-refresh"];
/// The same without TLS, as on one's own machine.
const PLAIN: [&str; 2] = ["boxoffice-session", "boxoffice-refresh"];
/// As long as a session that nobody uses lives.
const REFRESH_SECONDS: u64 = 30 * 24 * 3600;
/// Longest header of cookies that is looked at; browsers send no more than 8 KB for one.
const COOKIES_BYTES_MAX: usize = 8 * 1024;

/// The tokens in a request's cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CookieTokens<'a> {
    /// The access token.
    pub(crate) access: Option<&'a str>,
    /// The refresh token.
    pub(crate) refresh: Option<&'a str>,
}

/// Reads a request's cookies. Those of TLS count before those without: nobody on the way can set them.
pub(crate) fn read(headers: &HeaderMap) -> CookieTokens<'_> {
    let find = |name: &str| {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .filter(|text| text.len() <= COOKIES_BYTES_MAX)
            .flat_map(|text| text.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(own, value)| *own == name && !value.is_empty())
            .map(|(_, value)| value)
    };
    let either = |index: usize| find(SECURE[index]).or_else(|| find(PLAIN[index]));
    CookieTokens {
        access: either(0),
        refresh: either(1),
    }
}

/// The access token of a request that one of our pages sends; none without a cookie, or without our header.
///
/// # Errors
/// `not-authenticated` if the header is not the session's, or the request comes from another site.
pub(crate) fn access_token<'a>(
    headers: &'a HeaderMap,
    keys: &TokenKeys,
) -> Result<Option<&'a str>> {
    let (Some(token), Some(csrf)) = (read(headers).access, headers.get(CSRF_TOKEN)) else {
        return Ok(None);
    };
    require_own_site(headers)?;
    let csrf = csrf.to_str().unwrap_or_default();
    if keys.is_csrf_of(token, csrf) {
        Ok(Some(token))
    } else {
        Err(not_authenticated(
            "This page's session has changed; load the page again.",
        ))
    }
}

/// Refuses what a browser sends on behalf of another site.
///
/// # Errors
/// `forbidden`.
pub(crate) fn require_own_site(headers: &HeaderMap) -> Result<()> {
    let other = || Error::new(ErrorCode::Forbidden, "Another site may not send this.");
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return match site.as_bytes() {
            b"same-origin" | b"none" => Ok(()),
            _ => Err(other()),
        };
    }
    let Some(origin) = headers.get(ORIGIN) else {
        return Ok(());
    };
    let origin = origin.to_str().unwrap_or_default();
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if authority.is_some() && authority == host {
        Ok(())
    } else {
        Err(other())
    }
}

/// The cookies of a session, as `Set-Cookie` has them. `refresh` is none for operators, who have no sessions.
pub(crate) fn set(headers: &HeaderMap, access: &str, refresh: Option<&str>) -> Vec<HeaderValue> {
    let names = names(headers);
    let mut cookies = vec![cookie(
        headers,
        names[0],
        access,
        ACCESS_TOKEN_LIFE.as_secs(),
    )];
    cookies.push(match refresh {
        Some(refresh) => cookie(headers, names[1], refresh, REFRESH_SECONDS),
        None => cookie(headers, names[1], "", 0),
    });
    cookies.into_iter().flatten().collect()
}

/// Takes the cookies of a session away.
pub(crate) fn clear(headers: &HeaderMap) -> Vec<HeaderValue> {
    let names = names(headers).into_iter();
    names
        .filter_map(|name| cookie(headers, name, "", 0))
        .collect()
}

fn cookie(headers: &HeaderMap, name: &str, value: &str, seconds: u64) -> Option<HeaderValue> {
    let secure = if is_secure(headers) { "; Secure" } else { "" };
    let text =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).ok()
}

fn names(headers: &HeaderMap) -> [&'static str; 2] {
    if is_secure(headers) { SECURE } else { PLAIN }
}

/// Whether the page came over TLS, as the browser says of the page that sends the request.
fn is_secure(headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    origin.is_some_and(|origin| origin.starts_with("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn cookies_of_tls_count_first() {
        let both = headers(&[(
            "cookie",
            "a=b; boxoffice-session=plain; __Host-boxoffice-session=safe; boxoffice-refresh=r",
        )]);
        let read = read(&both);
        assert_eq!((read.access, read.refresh), (Some("safe"), Some("r")));
    }

    #[test]
    fn a_cookie_counts_only_with_its_header_and_from_our_own_page() {
        let keys = TokenKeys::generate();
        let csrf = keys.csrf_of("token");
        let cookie = ("cookie", "boxoffice-session=token");
        let with = |more: &[(&str, &str)]| {
            let pairs: Vec<_> = [cookie].iter().chain(more).copied().collect();
            access_token(&headers(&pairs), &keys).map(|token| token.map(str::to_owned))
        };
        let own = ("x-csrf-token", csrf.as_str());
        assert_eq!(with(&[]).unwrap(), None, "a cookie alone is nobody");
        assert_eq!(with(&[own]).unwrap().as_deref(), Some("token"));
        assert!(with(&[("x-csrf-token", "other")]).is_err());
        assert!(with(&[own, ("sec-fetch-site", "cross-site")]).is_err());
        assert!(with(&[own, ("sec-fetch-site", "same-site")]).is_err());
        assert!(with(&[own, ("sec-fetch-site", "same-origin")]).is_ok());
        let host = ("host", "tickets.example");
        assert!(with(&[own, host, ("origin", "https://tickets.example")]).is_ok());
        assert!(with(&[own, host, ("origin", "https://evil.example")]).is_err());
        assert!(with(&[own, host, ("origin", "null")]).is_err());
    }

    #[test]
    fn cookies_are_bound_to_the_host_where_there_is_tls() {
        let over_tls = headers(&[("origin", "https://tickets.example")]);
        let cookies = set(&over_tls, "a", Some("r"));
        assert_eq!(
            cookies[0],
            "__Host-boxoffice-session=a; Path=/; HttpOnly; SameSite=Strict; Max-Age=900; Secure"
        );
        let plain = set(&headers(&[]), "a", None);
        assert_eq!(
            plain[1],
            "boxoffice-refresh=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        );
    }
}
