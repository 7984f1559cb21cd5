//! Known devices: a cookie that is set at sign-in. With it, wrong passwords of others do not block the account on that device.
//!
//! It proves that the account's password was once used on this device, and grants nothing: a sign-in still needs the
//! password. It does not contain the account: its signature is over tenant, address and a random name. Called by sign-in controllers.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use boxoffice_engine::{EmailAddress, TenantId};
use rand::RngCore as _;

use super::{TokenKeys, cookies};

const SECURE: &str = "__Host-boxoffice-device";
const PLAIN: &str = "boxoffice-device";
/// The longest time that browsers keep a cookie (RFC 6265bis, 5.5). Removing its key invalidates it, too.
const LASTS: Duration = Duration::from_secs(400 * 24 * 3600);
/// Bytes of a device's random name: no collisions.
const NAME_BYTES: usize = 16;
/// Longest cookie that is read; valid ones have 66 characters.
const COOKIE_BYTES_MAX: usize = 128;

/// The cookie of a request, unchecked.
pub(crate) fn cookie_of(headers: &HeaderMap, is_over_tls: bool) -> Option<&str> {
    let name = if is_over_tls { SECURE } else { PLAIN };
    cookies::find(headers, name).filter(|value| value.len() <= COOKIE_BYTES_MAX)
}

/// The name of a device, if its cookie is valid for this account. Operators have no tenant.
pub(crate) fn known<'a>(
    keys: &TokenKeys,
    cookie: &'a str,
    tenant: Option<&TenantId>,
    email: &EmailAddress,
) -> Option<&'a str> {
    let (name, mac) = cookie.split_once('.')?;
    keys.is_sealed(&proof(name, tenant, email), mac)
        .then_some(name)
}

/// A cookie that makes the device known for this account.
pub(crate) fn remember(
    keys: &TokenKeys,
    is_over_tls: bool,
    tenant: Option<&TenantId>,
    email: &EmailAddress,
) -> Option<HeaderValue> {
    let mut name = [0_u8; NAME_BYTES];
    rand::rng().fill_bytes(&mut name);
    let name = URL_SAFE_NO_PAD.encode(name);
    let mac = keys.seal(&proof(&name, tenant, email));
    let cookie = if is_over_tls { SECURE } else { PLAIN };
    cookies::cookie(is_over_tls, cookie, &format!("{name}.{mac}"), LASTS)
}

/// Tenants, addresses and names have no line breaks, so two accounts never have the same signed text.
fn proof(name: &str, tenant: Option<&TenantId>, email: &EmailAddress) -> String {
    let tenant = tenant.map_or("", TenantId::as_str);
    format!("device\n{tenant}\n{}\n{name}", email.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_good_for_one_account_and_under_its_keys() {
        let (keys, other) = (TokenKeys::generate(), TokenKeys::generate());
        let tenant = TenantId::parse("acme").unwrap();
        let email = |text: &str| EmailAddress::parse("email", text).unwrap();
        let ann = email("ann@example.org");
        let set = remember(&keys, false, Some(&tenant), &ann).unwrap();
        let set = set.to_str().unwrap();
        assert!(!set.contains("ann") && !set.contains("acme"), "{set}");
        let pair = set.split(';').next().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("cookie", format!("a=b; {pair}").parse().unwrap());
        let cookie = cookie_of(&headers, false).unwrap();
        assert!(known(&keys, cookie, Some(&tenant), &ann).is_some());
        assert_eq!(known(&keys, cookie, None, &ann), None);
        assert_eq!(
            known(&keys, cookie, Some(&tenant), &email("bob@example.org")),
            None
        );
        assert_eq!(known(&other, cookie, Some(&tenant), &ann), None);
        assert_eq!(known(&keys, &cookie[1..], Some(&tenant), &ann), None);
        assert_eq!(known(&keys, "x", Some(&tenant), &ann), None);
        assert_eq!(
            cookie_of(&headers, true),
            None,
            "over TLS only its own counts"
        );
    }
}
