//! The origin of a sign-in: the client's address, and the cookie of a known device.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};

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
        })
    }
}
