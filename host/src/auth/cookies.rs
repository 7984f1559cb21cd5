//! Sessions of pages: tokens in cookies that no script can read.
//!
//! A cookie alone is not enough: a request needs a header that only the page itself sends, which
//! other sites cannot send, and it must not come from another site (`Sec-Fetch-Site`, or `Origin` if a browser sends no such header).
//!
//! Called by [`BearerAuthentication`](super::BearerAuthentication) and by the page's sign-in.

use std::time::Duration;

use axum::http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{COOKIE, HOST, ORIGIN},
};
use boxoffice_engine::{Error, ErrorCode, Result, SessionId};

use super::{ACCESS_TOKEN_LIFE, AccessToken, TokenKeys, not_authenticated};

/// The header that proves that the page itself sends the request.
pub(crate) const CSRF_TOKEN: HeaderName = HeaderName::from_static("x-csrf-token");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Cookies of pages that came over TLS: bound to the host, its whole path, and TLS (RFC 6265bis, 4.1.3.2).
const SECURE: [&str; 2] = ["__Host-boxoffice-session", "__Host-boxoffice-refresh"];
/// The same without TLS, as on one's own machine.
const PLAIN: [&str; 2] = ["boxoffice-session", "boxoffice-refresh"];
/// Longest header of cookies that is read; browsers send at most 8 KB for one.
const COOKIES_BYTES_MAX: usize = 8 * 1024;

/// The tokens in a request's cookies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CookieTokens<'a> {
    /// The access token.
    pub(crate) access: Option<&'a str>,
    /// The refresh token.
    pub(crate) refresh: Option<&'a str>,
}

/// Reads a request's cookies. Over TLS only those count that are bound to it: anybody on the network path, and any site below
/// the same domain, can set others. Without TLS they have priority.
pub(crate) fn read(headers: &HeaderMap, is_over_tls: bool) -> CookieTokens<'_> {
    let either = |index: usize| match (find(headers, SECURE[index]), is_over_tls) {
        (None, false) => find(headers, PLAIN[index]),
        (secure, _) => secure,
    };
    CookieTokens {
        access: either(0),
        refresh: either(1),
    }
}

/// The value of a cookie, if it has one.
pub(super) fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|text| text.len() <= COOKIES_BYTES_MAX)
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(own, value)| *own == name && !value.is_empty())
        .map(|(_, value)| value)
}

/// The access token of a request from one of the pages; `None` without a cookie, or without the header.
///
/// # Errors
/// `not-authenticated` if the token or the header is invalid, `forbidden` if the request comes from another site.
pub(crate) fn access_token(
    headers: &HeaderMap,
    is_over_tls: bool,
    keys: &TokenKeys,
) -> Result<Option<AccessToken>> {
    let Some(token) = read(headers, is_over_tls).access else {
        return Ok(None);
    };
    if !headers.contains_key(CSRF_TOKEN) {
        return Ok(None);
    }
    require_own_site(headers)?;
    let token = keys.verify_access(token)?;
    require_own_page(headers, keys, token.session)?;
    Ok(Some(token))
}

/// Refuses a request without the header that the page sends with this session's cookies.
///
/// # Errors
/// `not-authenticated`.
pub(crate) fn require_own_page(
    headers: &HeaderMap,
    keys: &TokenKeys,
    session: SessionId,
) -> Result<()> {
    let csrf = headers.get(CSRF_TOKEN);
    let csrf = csrf.and_then(|csrf| csrf.to_str().ok()).unwrap_or_default();
    match keys.is_csrf_of(session, csrf) {
        true => Ok(()),
        false => Err(not_authenticated(
            "This page's session has changed; load the page again.",
        )),
    }
}

/// Refuses requests that a browser sends for another site.
///
/// # Errors
/// `forbidden`.
pub(crate) fn require_own_site(headers: &HeaderMap) -> Result<()> {
    let other = || {
        Error::new(
            ErrorCode::Forbidden,
            "Requests from another site are not allowed.",
        )
    };
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

/// The `Set-Cookie` values of a session. The refresh token's lasts at most as long as the session.
pub(crate) fn set(
    is_over_tls: bool,
    access: &str,
    (refresh, lasts): (&str, Duration),
) -> Vec<HeaderValue> {
    let [access_name, refresh_name] = names(is_over_tls);
    let cookies = [
        cookie(is_over_tls, access_name, access, ACCESS_TOKEN_LIFE),
        cookie(is_over_tls, refresh_name, refresh, lasts),
    ];
    cookies.into_iter().flatten().collect()
}

/// Removes the cookies of a session.
pub(crate) fn clear(is_over_tls: bool) -> Vec<HeaderValue> {
    let names = names(is_over_tls).into_iter();
    names
        .filter_map(|name| cookie(is_over_tls, name, "", Duration::ZERO))
        .collect()
}

pub(super) fn cookie(
    is_over_tls: bool,
    name: &str,
    value: &str,
    lasts: Duration,
) -> Option<HeaderValue> {
    let secure = if is_over_tls { "; Secure" } else { "" };
    let seconds = lasts.as_secs();
    let text =
        format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    HeaderValue::from_str(&text).ok()
}

fn names(is_over_tls: bool) -> [&'static str; 2] {
    if is_over_tls { SECURE } else { PLAIN }
}

#[cfg(test)]
mod tests {
    use boxoffice_engine::{SessionOwner, TenantId};

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn over_tls_only_cookies_that_are_bound_to_it_count() {
        let both = headers(&[(
            "cookie",
            "a=b; boxoffice-session=plain; __Host-boxoffice-session=safe; boxoffice-refresh=r",
        )]);
        let plain = read(&both, false);
        assert_eq!((plain.access, plain.refresh), (Some("safe"), Some("r")));
        let secure = read(&both, true);
        assert_eq!((secure.access, secure.refresh), (Some("safe"), None));
    }

    #[test]
    fn a_cookie_counts_only_with_its_header_and_from_our_own_page() {
        let keys = TokenKeys::generate();
        let session: SessionId = "01hzy0000000000000000000cd".parse().unwrap();
        let owner = SessionOwner::User {
            tenant: TenantId::parse("acme").unwrap(),
            user: "01hzy0000000000000000000ab".parse().unwrap(),
        };
        let csrf = keys.csrf_of(session);
        let token = keys.sign_access(&owner, session).unwrap();
        let cookie = format!("boxoffice-session={token}");
        let with = |more: &[(&str, &str)]| {
            let cookie = ("cookie", cookie.as_str());
            let pairs: Vec<_> = [cookie].iter().chain(more).copied().collect();
            let read = access_token(&headers(&pairs), false, &keys);
            read.map(|token| token.map(|token| token.session))
        };
        let own = ("x-csrf-token", csrf.as_str());
        assert_eq!(with(&[]).unwrap(), None, "a cookie alone is nobody");
        assert_eq!(with(&[own]).unwrap(), Some(session));
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
        let cookies = set(true, "a", ("r", Duration::from_secs(60)));
        assert_eq!(
            cookies[0],
            "__Host-boxoffice-session=a; Path=/; HttpOnly; SameSite=Strict; Max-Age=900; Secure"
        );
        let plain = set(false, "a", ("r", Duration::from_secs(60)));
        assert_eq!(
            plain[1],
            "boxoffice-refresh=r; Path=/; HttpOnly; SameSite=Strict; Max-Age=60"
        );
    }
}
