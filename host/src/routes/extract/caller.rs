//! Extractors for the caller, the tenant and the client address.
//!
//! The tenant of a request: the header `X-Tenant`, else the subdomain, else the token's, else the only one.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRef, FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, Uri, header::HOST, request::Parts},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{Caller, Engine, Error, ErrorCode, Idempotency, Result, Role, TenantId};

use crate::{
    auth::{
        RateLimitState, Recognition, RequestLimits, Transport, client_address, not_authenticated,
    },
    routes::problem::Problem,
};

const X_TENANT: HeaderName = HeaderName::from_static("x-tenant");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The context of every request: authentication, tenants and limits.
pub(in crate::routes) struct RequestContext {
    /// Finds the only tenant.
    pub(in crate::routes) engine: Engine,
    /// Authenticates callers.
    pub(in crate::routes) recognition: Recognition,
    /// Finds out whether a request came over TLS.
    pub(in crate::routes) transport: Transport,
    /// In host names below it the first label is a tenant.
    pub(in crate::routes) base_domain: Option<String>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub(in crate::routes) trusted_proxies: Vec<IpAddr>,
    /// The rate limits, if there are any.
    pub(in crate::routes) limits: Option<Arc<RequestLimits>>,
}

impl RequestContext {
    /// The caller of a request in its tenant.
    async fn caller(&self, parts: &Parts) -> Result<Caller> {
        let named = self.named_tenant(parts)?;
        let Some(caller) = self.recognised(parts, named.as_ref()).await? else {
            return Ok(Caller::anonymous(self.or_implied(named).await?));
        };
        match (caller.tenant(), named) {
            (Ok(own), Some(named)) if *own != named => {
                Err(not_authenticated("This token belongs to another tenant."))
            }
            (Ok(_), _) => Ok(caller),
            (Err(_), named) => Ok(caller.within(self.or_implied(named).await?)),
        }
    }

    /// Authenticates the request and counts it: for the user, or for the address if the credentials are wrong.
    async fn recognised(&self, parts: &Parts, named: Option<&TenantId>) -> Result<Option<Caller>> {
        let recognised = self.recognise(parts).await;
        let caller = recognised.as_ref().ok().and_then(Option::as_ref);
        let own = caller.and_then(|caller| caller.tenant().ok());
        self.count(parts, caller, own.or(named))?;
        recognised
    }

    async fn recognise(&self, parts: &Parts) -> Result<Option<Caller>> {
        let recognition = &self.recognition;
        let is_over_tls = self.is_over_tls(parts);
        recognition.recognise(&parts.headers, is_over_tls).await
    }

    fn is_over_tls(&self, parts: &Parts) -> bool {
        let transport = &self.transport;
        transport.is_over_tls(&parts.extensions, &parts.headers)
    }

    /// Counts a request against its client's limit, and its tenant's.
    fn count(
        &self,
        parts: &Parts,
        caller: Option<&Caller>,
        tenant: Option<&TenantId>,
    ) -> Result<()> {
        let Some(limits) = &self.limits else {
            return Ok(());
        };
        let state = parts.extensions.get::<Arc<RateLimitState>>();
        limits.count(
            caller,
            self.client_address(parts),
            tenant,
            state.map(AsRef::as_ref),
        )
    }

    /// The client's address, as far as it can be trusted.
    fn client_address(&self, parts: &Parts) -> Option<IpAddr> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|info| info.0.ip());
        // A value that is not text ends the chain of trusted proxies.
        let values = parts
            .headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .map(|value| value.to_str().unwrap_or("?"));
        client_address(peer, values, &self.trusted_proxies)
    }

    /// The tenant that a request names.
    ///
    /// # Errors
    /// `field-invalid` for an invalid `X-Tenant`, `not-found` for a subdomain that cannot be a tenant.
    fn named_tenant(&self, parts: &Parts) -> Result<Option<TenantId>> {
        let mut values = parts.headers.get_all(X_TENANT).iter();
        if let Some(value) = values.next() {
            if values.next().is_some() {
                return Err(Error::field("X-Tenant", "Name one tenant."));
            }
            return TenantId::parse(value.to_str().unwrap_or_default())
                .map(Some)
                .map_err(|error| error.at_field("X-Tenant"));
        }
        match (&self.base_domain, host(&parts.uri, &parts.headers)) {
            (Some(base), Some(host)) => tenant_of_host(host, base),
            _ => Ok(None),
        }
    }

    async fn or_implied(&self, named: Option<TenantId>) -> Result<TenantId> {
        if let Some(named) = named {
            return Ok(named);
        }
        self.engine.tenants().implied().await?.ok_or_else(|| {
            Error::new(
                ErrorCode::NotFound,
                "Name the tenant in the header X-Tenant, because there is not exactly one.",
            )
        })
    }
}

/// The caller, signed in or not, in the request's tenant.
#[derive(Debug)]
pub(in crate::routes) struct AsCaller(pub(in crate::routes) Caller);

impl<S> FromRequestParts<S> for AsCaller
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Arc::<RequestContext>::from_ref(state).caller(parts).await?;
        Ok(Self(with_key(caller, parts)))
    }
}

/// The caller with the request's idempotency key, if it has one.
fn with_key(caller: Caller, parts: &Parts) -> Caller {
    match parts.extensions.get::<Idempotency>() {
        Some(idempotency) => caller.with_idempotency(idempotency.clone()),
        None => caller,
    }
}

/// The caller in the request's tenant. An operator who names none stays outside tenants, and sees all of them.
#[derive(Debug)]
pub(in crate::routes) struct AsWatcher(pub(in crate::routes) Caller);

impl<S> FromRequestParts<S> for AsWatcher
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Arc::<RequestContext>::from_ref(state);
        if context.named_tenant(parts)?.is_none()
            && let Ok(Some(caller)) = context.recognise(parts).await
            && caller.role() == Role::Operator
        {
            context.count(parts, Some(&caller), None)?;
            return Ok(Self(caller));
        }
        Ok(Self(context.caller(parts).await?))
    }
}

/// A visitor of a tenant. A token is ignored, because an old one must not prevent
/// a sign-in.
#[derive(Debug)]
pub(in crate::routes) struct Visitor(pub(in crate::routes) Caller);

impl<S> FromRequestParts<S> for Visitor
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Arc::<RequestContext>::from_ref(state);
        let named = context.named_tenant(parts)?;
        context.count(parts, None, named.as_ref())?;
        Ok(Self(Caller::anonymous(context.or_implied(named).await?)))
    }
}

/// The tenant that the request names, if it does.
#[derive(Debug)]
pub(in crate::routes) struct NamedTenant(pub(in crate::routes) Option<TenantId>);

impl<S> FromRequestParts<S> for NamedTenant
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Arc::<RequestContext>::from_ref(state);
        let named = context.named_tenant(parts)?;
        context.count(parts, None, named.as_ref())?;
        Ok(Self(named))
    }
}

/// Counts a request for its network address, for routes without authentication.
pub(in crate::routes) async fn count_address(
    State(context): State<Arc<RequestContext>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    match context.count(&parts, None, None) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => Problem::from(error).into_response(),
    }
}

/// An operator, outside tenants.
///
/// Refuses everybody else here, although use cases authorise: on these routes the path names the tenant,
/// and users of a tenant must never get into another one.
#[derive(Debug)]
pub(in crate::routes) struct AsOperator(pub(in crate::routes) Caller);

impl<S> FromRequestParts<S> for AsOperator
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let context = Arc::<RequestContext>::from_ref(state);
        match context.recognised(parts, None).await? {
            Some(caller) if caller.role() == Role::Operator => {
                Ok(Self(with_key(caller.outside_tenants(), parts)))
            }
            Some(_) => {
                Err(Error::forbidden("Only an operator of this installation may do this.").into())
            }
            None => Err(not_authenticated(
                "Sign in as an operator and send the token with the request.",
            )
            .into()),
        }
    }
}

/// Whether the request came over TLS, as far as that is known.
#[derive(Debug, Clone, Copy)]
pub(in crate::routes) struct OverTls(pub(in crate::routes) bool);

impl<S> FromRequestParts<S> for OverTls
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(
            Arc::<RequestContext>::from_ref(state).is_over_tls(parts),
        ))
    }
}

/// The client's address, if the server provides it (axum's `ConnectInfo<SocketAddr>`).
#[derive(Debug, Clone, Copy)]
pub(in crate::routes) struct ClientAddress(pub(in crate::routes) Option<IpAddr>);

impl<S> FromRequestParts<S> for ClientAddress
where
    S: Send + Sync,
    Arc<RequestContext>: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(
            Arc::<RequestContext>::from_ref(state).client_address(parts),
        ))
    }
}

fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    uri.host().or_else(|| {
        let host = headers.get(HOST)?.to_str().ok()?;
        Some(host.rsplit_once(':').map_or(host, |(name, _port)| name))
    })
}

/// The tenant of a host name below `base`; `None` for other hosts.
fn tenant_of_host(host: &str, base: &str) -> Result<Option<TenantId>> {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let base = base.trim_matches('.').to_ascii_lowercase();
    match host
        .strip_suffix(&base)
        .and_then(|label| label.strip_suffix('.'))
    {
        Some(label) => TenantId::parse(label)
            .map(Some)
            .map_err(|_| Error::not_found("tenant", "of this host name")),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_below_the_base_domain_is_a_tenant() {
        let tenant = |host: &str| {
            tenant_of_host(host, "Tickets.example")
                .map(|tenant| tenant.map(|tenant| tenant.to_string()))
        };
        assert_eq!(
            tenant("acme.tickets.example").unwrap().as_deref(),
            Some("acme")
        );
        assert_eq!(
            tenant("ACME.tickets.EXAMPLE.").unwrap().as_deref(),
            Some("acme")
        );
        assert_eq!(tenant("tickets.example").unwrap(), None);
        assert_eq!(tenant("xtickets.example").unwrap(), None);
        assert_eq!(tenant("localhost").unwrap(), None);
        assert_eq!(
            tenant("a.b.tickets.example").unwrap_err().code(),
            ErrorCode::NotFound
        );
    }

    #[test]
    fn the_port_is_no_part_of_a_host() {
        let headers = HeaderMap::from_iter([(HOST, "acme.tickets.example:8080".parse().unwrap())]);
        assert_eq!(
            host(&Uri::from_static("/api"), &headers),
            Some("acme.tickets.example")
        );
        assert_eq!(
            host(&Uri::from_static("http://b.example:1/api"), &headers),
            Some("b.example")
        );
    }
}
