//! The origin of a sign-in: the client's address, its name, and the cookie of a known device.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header::USER_AGENT, request::Parts},
};
use boxoffice_engine::Label;

use super::caller::{ClientAddress, OverTls, RequestContext};
use crate::auth::devices;

/// The origin of a sign-in, as far as it is known.
#[derive(Debug)]
pub(in crate::routes) struct SignInOrigin {
    /// The client's address.
    pub(in crate::routes) address: Option<IpAddr>,
    /// Whether it came over TLS: the cookie is then bound to TLS.
    pub(in crate::routes) is_over_tls: bool,
    /// The device's cookie, unchecked.
    pub(in crate::routes) device: Option<String>,
    /// What the client calls itself.
    pub(in crate::routes) client: Option<Label>,
}

impl<S> FromRequestParts<S> for SignInOrigin
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let ClientAddress(address) = ClientAddress::from_request_parts(parts, state).await?;
        let OverTls(is_over_tls) = OverTls::from_request_parts(parts, state).await?;
        let device = devices::cookie_of(&parts.headers, is_over_tls);
        Ok(Self {
            address,
            is_over_tls,
            device: device.map(str::to_owned),
            client: client_of(&parts.headers),
        })
    }
}

/// The first characters of `User-Agent`, if it is one line.
fn client_of(headers: &HeaderMap) -> Option<Label> {
    let agent = headers.get(USER_AGENT)?.to_str().ok()?;
    let shown: String = agent.chars().take(Label::CHARACTERS_MAX).collect();
    Label::parse("userAgent", &shown).ok()
}
