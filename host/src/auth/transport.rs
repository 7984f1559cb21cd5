//! Whether a request came over TLS, which a proxy terminates. It decides about cookies, and whether browsers
//! are told to use TLS only.
//!
//! Called by the extractors and by the response layers.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request},
    http::{Extensions, HeaderMap, HeaderName, header::ORIGIN},
};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// How to find out whether a request came over TLS.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    /// All requests do.
    pub(crate) always_tls: bool,
    /// Proxies whose `X-Forwarded-Proto` is trusted.
    pub(crate) trusted_proxies: Vec<IpAddr>,
}

impl Transport {
    /// Whether a request came over TLS.
    pub(crate) fn is_tls(&self, request: &Request) -> bool {
        self.is_over_tls(request.extensions(), request.headers())
    }

    /// The same, by its parts. Without a proxy's header, the origin of the page that sends the request decides.
    pub(crate) fn is_over_tls(&self, extensions: &Extensions, headers: &HeaderMap) -> bool {
        if self.always_tls {
            return true;
        }
        let peer = extensions.get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|info| info.0.ip().to_canonical());
        let is_trusted = peer.is_some_and(|peer| {
            let mut proxies = self.trusted_proxies.iter();
            proxies.any(|proxy| proxy.to_canonical() == peer)
        });
        if is_trusted && let Some(scheme) = forwarded_scheme(headers) {
            return scheme.eq_ignore_ascii_case("https");
        }
        let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
        origin.is_some_and(|origin| origin.starts_with("https://"))
    }
}

/// The nearest proxy's value: the last one.
fn forwarded_scheme(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(X_FORWARDED_PROTO).iter();
    let last = values.next_back()?.to_str().ok()?;
    last.rsplit(',').next().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_over_tls(always_tls: bool, peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let transport = Transport {
            always_tls,
            trusted_proxies: vec!["10.0.0.1".parse().unwrap()],
        };
        let mut extensions = Extensions::new();
        let peer = SocketAddr::new(peer.parse().unwrap(), 9);
        extensions.insert(ConnectInfo(peer));
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        transport.is_over_tls(&extensions, &headers)
    }

    #[test]
    fn a_setting_or_a_trusted_proxy_says_so() {
        let proxy = "10.0.0.1";
        assert!(is_over_tls(true, "192.0.2.7", &[]));
        assert!(!is_over_tls(false, proxy, &[]));
        let https = ("x-forwarded-proto", "https");
        assert!(is_over_tls(false, proxy, &[https]));
        assert!(is_over_tls(false, "::ffff:10.0.0.1", &[https]));
        assert!(!is_over_tls(false, "192.0.2.7", &[https]), "a stranger");
        let http = ("x-forwarded-proto", "https, http");
        assert!(!is_over_tls(false, proxy, &[http]));
        let page = ("origin", "https://tickets.example");
        assert!(is_over_tls(false, "192.0.2.7", &[page]));
        assert!(!is_over_tls(false, proxy, &[http, page]));
    }
}
