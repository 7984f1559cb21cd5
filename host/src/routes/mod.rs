//! The URL table and its layers: [`router`] is the whole HTTP side of an installation.
//!
//! Called by the host's program and by platforms that mount it. Routes call controllers, and only those call the
//! engine's AppModules.

mod account_links;
mod admin_pages;
mod api;
mod choices;
mod compression;
mod controllers;
pub(crate) mod cors;
mod dev_mails;
mod extract;
mod host_codes;
mod html;
mod incoming;
mod openapi;
mod pages;
mod problem;
mod refusals;
mod response_layers;
mod start_page;
mod tickets;
mod unsubscribe;
mod verify;

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Request},
    http::HeaderValue,
    middleware::{from_fn, from_fn_with_state},
    routing::{any, get, post},
};
use boxoffice_engine::{Engine, Error, ErrorCode};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{
        Authenticate, BearerAuthentication, IdTokens, LoginThrottle, MailLinks, NetworkAllowance,
        Recognition, RequestLimits, TokenKeys, Transport,
    },
    egress::Egress,
    metrics::Metrics,
};
use api::{TokenIssuer, api};
use controllers::{
    auth::SignIn, changes::ChangeStreams, dashboard_session, live::OverviewStream,
    unconfirmed::UnconfirmedTickets,
};
use dev_mails::MailsFolder;
use extract::RequestContext;
use host_codes::METHOD_NOT_ALLOWED;
use problem::Problem;

pub(crate) use incoming::Misframed;
pub use openapi::openapi_json;
pub use pages::{error_codes, error_page};
#[cfg(feature = "program")]
pub(crate) use start_page::is_loopback;
pub use start_page::{DemoAccess, DemoSignIn};

/// The options of the router. The defaults suit one process that serves browsers and programs directly.
pub struct RouterOptions {
    /// Authenticates callers in place of own tokens. The routes for own tokens (`/api/auth/*` except `me`, and those of
    /// operators' accounts) are then left out.
    pub authenticate: Option<Arc<dyn Authenticate>>,
    /// The keys that sign tokens. Generated ones end with the process, and so do all sessions.
    pub keys: TokenKeys,
    /// The links with which customers unsubscribe, confirm their address and see their tickets; the same as in the engine
    /// ([`EngineBuilder::links`](boxoffice_engine::EngineBuilder::links)). Without it no such link works.
    pub links: Option<MailLinks>,
    /// Opens connections to what tenants name: the keys of their identity providers.
    pub egress: Egress,
    /// Largest request body, in bytes; beyond it `body-too-large`.
    pub body_bytes_max: usize,
    /// Whether wrong passwords (per account and network, per network and per account) and sign-ups are limited.
    pub throttle_logins: bool,
    /// Accounts that one network (an IPv4 address, a /64 of IPv6) may create in an hour, at once or one by one; beyond it
    /// `too-many-requests`. As many links for forgotten passwords may be asked for, counted apart. Each process counts by itself.
    /// `None` for no limit.
    pub sign_ups_per_hour: Option<NonZeroU32>,
    /// Tickets that unconfirmed users may book, hold or wait for from one network in an hour, at once or
    /// one by one, in each tenant that asks for addresses to be confirmed; beyond it `too-many-requests`. Each process counts by
    /// itself. `None` for no limit.
    pub unconfirmed_tickets_per_hour: Option<NonZeroU32>,
    /// Requests a minute of one user, or of one network address where nobody signed in; beyond it `too-many-requests`.
    /// Each process counts by itself. `None` for no limit.
    pub client_requests_per_minute: Option<NonZeroU32>,
    /// The same for all requests to one tenant.
    pub tenant_requests_per_minute: Option<NonZeroU32>,
    /// Origins whose pages may call the API from a browser, each as browsers send it: `https://shop.example`. Never with cookies.
    pub cors_origins: Vec<HeaderValue>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are trusted.
    pub trusted_proxies: Vec<IpAddr>,
    /// Whether a proxy terminates TLS for all requests, whatever their headers. Cookies are bound to TLS
    /// then; without it a trusted proxy's `X-Forwarded-Proto` decides.
    pub behind_tls: bool,
    /// How long browsers shall use TLS only (HSTS, RFC 6797), in seconds; 0 sends no header.
    pub hsts_seconds: u64,
    /// The domain of which `tenant.BASE` is a tenant's address.
    pub base_domain: Option<String>,
    /// Shows the mails in this folder under `/dev/mails`, to anybody. Only for development.
    pub mails_folder: Option<PathBuf>,
    /// Sign-ins and commands that `/` shows, to anybody. Only for development.
    pub demo: Option<DemoAccess>,
    /// Counts requests. Serve it with [`metrics_router`](crate::metrics_router), where only Prometheus has access.
    pub metrics: Arc<Metrics>,
    /// Whether this router also serves `/metrics`, to anybody.
    pub open_metrics: bool,
    /// Cancelled when the program shall stop: live streams end then, so that they do not delay the stop.
    pub stopping: CancellationToken,
    /// Time limit of a request; beyond it `unavailable`, or `outcome-unknown` for a change.
    pub request_timeout: Duration,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            authenticate: None,
            keys: TokenKeys::generate(),
            links: None,
            egress: Egress::default(),
            // The largest useful request, an event with 10,000 characters of prose, is a tenth of it.
            body_bytes_max: 1024 * 1024,
            throttle_logins: true,
            // Enough for an office or a hotel on the day of a sale, and few mails to strangers.
            sign_ups_per_hour: NonZeroU32::new(60),
            // Enough for two school classes on the day of a sale; a small venue for one network.
            unconfirmed_tickets_per_hour: NonZeroU32::new(200),
            // Twenty a second: nobody clicks that often, and one program must not use the whole host.
            client_requests_per_minute: NonZeroU32::new(1_200),
            // 5,000 a second: about the capacity of two cores, so a single tenant is hardly limited.
            tenant_requests_per_minute: NonZeroU32::new(300_000),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            behind_tls: false,
            hsts_seconds: 0,
            base_domain: None,
            mails_folder: None,
            demo: None,
            metrics: Metrics::new(),
            open_metrics: false,
            stopping: CancellationToken::new(),
            // Longer than any limit in the engine, shorter than proxies wait.
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Builds the router: REST API, OpenAPI description, health checks and pages.
///
/// It nests under any prefix: links in responses include the prefix. For limits by address, serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn router(engine: Engine, options: RouterOptions) -> Router {
    let issuer = match options.authenticate {
        None => TokenIssuer::Own,
        Some(_) => TokenIssuer::Platform,
    };
    let shared = Shared::new(engine, &options);
    let limits = shared.context.limits.as_ref();
    let completion = response_layers::Completion::new(
        shared.metrics.clone(),
        limits.map(|limits| limits.policies()),
        shared.context.transport.clone(),
        options.hsts_seconds,
    );
    let cors = cors::layer(&options.cors_origins);
    let parts = Parts {
        issuer,
        mails: options.mails_folder.is_some(),
        metrics: options.open_metrics,
    };
    // Requests to unknown paths are counted, too.
    let nothing = any(async || nothing_here()).layer(from_fn_with_state(
        shared.context.clone(),
        extract::count_address,
    ));
    let mut app = table(parts, &shared.context)
        .fallback_service(nothing)
        .method_not_allowed_fallback(async || {
            Problem::host(
                &METHOD_NOT_ALLOWED,
                "The header Allow names the methods that work at this path.",
            )
        })
        .with_state(shared)
        // From the inside out; the last one sees a request first.
        .layer(DefaultBodyLimit::max(options.body_bytes_max))
        .layer(from_fn_with_state(
            options.request_timeout,
            response_layers::guard,
        ));
    if let Some(cors) = cors {
        app = app.layer(cors);
    }
    app.layer(from_fn_with_state(completion, response_layers::complete))
        .layer(compression::layer())
}

fn nothing_here() -> Problem {
    Error::new(ErrorCode::NotFound, "There is nothing at this path.").into()
}

/// The optional parts of the URL table.
#[derive(Debug, Clone, Copy)]
struct Parts {
    issuer: TokenIssuer,
    /// The mails of a developer's machine.
    mails: bool,
    /// `/metrics`.
    metrics: bool,
}

/// Every URL there is.
fn table(parts: Parts, context: &Arc<RequestContext>) -> Router<Shared> {
    let counted = from_fn_with_state(context.clone(), extract::count_address);
    let mut all = Router::from(api(parts.issuer))
        .merge(pages(parts).route_layer(counted.clone()))
        .merge(mail_links().route_layer(counted.clone()))
        .merge(tickets_links());
    if parts.issuer == TokenIssuer::Own {
        all = all
            .merge(dashboard().route_layer(counted))
            .merge(dashboard_session());
    }
    if parts.mails {
        all = all.merge(developer_mails());
    }
    if parts.metrics {
        all = all.route("/metrics", get(pages::metrics));
    }
    all
}

fn pages(parts: Parts) -> Router<Shared> {
    Router::new()
        .route(
            "/",
            get(async move |demo, request: Request| start_page::show(parts, demo, &request)),
        )
        .route(
            "/openapi.json",
            get(async move |request: Request| pages::openapi(parts.issuer, &request)),
        )
        .route("/docs", get(pages::docs))
        .route("/docs/{file}", get(pages::docs_file))
        .route("/errors/{code}", get(pages::error))
}

fn dashboard() -> Router<Shared> {
    Router::new()
        .route("/admin", get(admin_pages::overview))
        .route("/admin/{section}", get(admin_pages::section))
        .route("/admin/assets/{file}", get(admin_pages::file))
        .route_layer(from_fn(extract::refuse_query))
}

/// The dashboard signs in with cookies of ours.
fn dashboard_session() -> Router<Shared> {
    Router::new()
        .route(
            "/admin/session",
            get(dashboard_session::show)
                .post(dashboard_session::open)
                .delete(dashboard_session::end),
        )
        .route("/admin/session/refresh", post(dashboard_session::refresh))
        .route_layer(from_fn(compression::keep_plain))
        .route_layer(from_fn(extract::refuse_query))
}

/// For whoever holds a link of a mail; nobody signs in here.
fn mail_links() -> Router<Shared> {
    Router::new()
        .route(
            "/unsubscribe/{token}",
            get(unsubscribe::show).post(unsubscribe::unsubscribe),
        )
        .route(
            "/unsubscribe/{token}/undo",
            post(unsubscribe::subscribe_again),
        )
        .route("/verify/{token}", get(verify::show).post(verify::confirm))
        .route(
            "/password/{token}",
            get(account_links::show_password).post(account_links::set_password),
        )
        .route(
            "/invitation/{token}",
            get(account_links::show_invitation).post(account_links::accept_invitation),
        )
        .route(
            "/email/{token}",
            get(account_links::show_email).post(account_links::change_email),
        )
        .route_layer(from_fn(compression::keep_plain))
}

/// The same for tickets; counted for the tenant that the request names, too.
fn tickets_links() -> Router<Shared> {
    Router::new()
        .route("/tickets/{token}", get(tickets::show))
        .route("/tickets/{token}/{file}", get(tickets::file))
        .route_layer(from_fn(compression::keep_plain))
}

/// Only in development.
fn developer_mails() -> Router<Shared> {
    Router::new()
        .route("/dev/mails", get(dev_mails::list_page))
        .route("/dev/mails.json", get(dev_mails::list_json))
        .route("/dev/mails/{name}", get(dev_mails::mail_page))
        .route("/dev/mails/{name}/raw", get(dev_mails::raw))
}

/// The state of handlers; each takes its part.
#[derive(Clone)]
struct Shared {
    engine: Engine,
    context: Arc<RequestContext>,
    sign_in: Arc<SignIn>,
    unconfirmed: Arc<UnconfirmedTickets>,
    links: Option<MailLinks>,
    mails: MailsFolder,
    demo: Option<DemoAccess>,
    changes: Arc<ChangeStreams>,
    live: Arc<OverviewStream>,
    metrics: Arc<Metrics>,
}

impl Shared {
    fn new(engine: Engine, options: &RouterOptions) -> Self {
        let recognition = match &options.authenticate {
            Some(platform) => Recognition::Platform(platform.clone()),
            None => {
                let keys = options.keys.clone();
                Recognition::Own(BearerAuthentication::new(keys, engine.clone()))
            }
        };
        let limits = RequestLimits::new(
            options.client_requests_per_minute,
            options.tenant_requests_per_minute,
        );
        let context = RequestContext {
            engine: engine.clone(),
            limits: limits.map(Arc::new),
            recognition,
            transport: Transport {
                always_tls: options.behind_tls,
                trusted_proxies: options.trusted_proxies.clone(),
            },
            base_domain: options.base_domain.clone(),
            trusted_proxies: options.trusted_proxies.clone(),
        };
        let sign_in = SignIn {
            keys: options.keys.clone(),
            // Enough to find a mistake. More would have this host ask others on somebody's behalf.
            provider_tries: options.throttle_logins.then(|| {
                let most = NonZeroU32::new(20).unwrap_or(NonZeroU32::MIN);
                let detail = "Too many settings of this tenant's identity provider were tried; wait.";
                NetworkAllowance::new(most, Duration::from_secs(3_600), detail)
            }),
            id_tokens: IdTokens::new(options.egress.clone()),
            throttle: options.throttle_logins.then(LoginThrottle::new),
            sign_ups: (options
                .sign_ups_per_hour
                .filter(|_| options.throttle_logins))
            .map(|most| {
                let detail = "Too many accounts were created, or mails were asked for, from your network; wait.";
                NetworkAllowance::new(most, Duration::from_secs(3_600), detail)
            }),
        };
        let unconfirmed = options.unconfirmed_tickets_per_hour.map(|most| {
            let detail = "Too many tickets were taken from your network by people who have not confirmed their e-mail \
                address; confirm yours, or wait.";
            NetworkAllowance::new(most, Duration::from_secs(3_600), detail)
        });
        let mails = MailsFolder::new(options.mails_folder.clone().unwrap_or_default());
        Self {
            changes: ChangeStreams::new(options.stopping.clone()),
            live: OverviewStream::new(engine.clone(), options.stopping.clone()),
            metrics: options.metrics.clone(),
            engine,
            context: Arc::new(context),
            sign_in: Arc::new(sign_in),
            unconfirmed: Arc::new(UnconfirmedTickets(unconfirmed)),
            demo: options.demo.clone(),
            links: options.links.clone(),
            mails,
        }
    }
}

impl FromRef<Shared> for Engine {
    fn from_ref(shared: &Shared) -> Self {
        shared.engine.clone()
    }
}

impl FromRef<Shared> for Arc<RequestContext> {
    fn from_ref(shared: &Shared) -> Self {
        shared.context.clone()
    }
}

impl FromRef<Shared> for Arc<SignIn> {
    fn from_ref(shared: &Shared) -> Self {
        shared.sign_in.clone()
    }
}

impl FromRef<Shared> for Arc<UnconfirmedTickets> {
    fn from_ref(shared: &Shared) -> Self {
        shared.unconfirmed.clone()
    }
}

impl FromRef<Shared> for Option<MailLinks> {
    fn from_ref(shared: &Shared) -> Self {
        shared.links.clone()
    }
}

impl FromRef<Shared> for Option<DemoAccess> {
    fn from_ref(shared: &Shared) -> Self {
        shared.demo.clone()
    }
}

impl FromRef<Shared> for Arc<Metrics> {
    fn from_ref(shared: &Shared) -> Self {
        shared.metrics.clone()
    }
}

impl FromRef<Shared> for Arc<ChangeStreams> {
    fn from_ref(shared: &Shared) -> Self {
        shared.changes.clone()
    }
}

impl FromRef<Shared> for Arc<OverviewStream> {
    fn from_ref(shared: &Shared) -> Self {
        shared.live.clone()
    }
}

impl FromRef<Shared> for MailsFolder {
    fn from_ref(shared: &Shared) -> Self {
        shared.mails.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_two_routes_collide() {
        let engine = Engine::builder().build().await.unwrap();
        let shared = Shared::new(engine, &RouterOptions::default());
        // axum panics when they do.
        for (issuer, dev) in [
            (TokenIssuer::Own, true),
            (TokenIssuer::Own, false),
            (TokenIssuer::Platform, false),
        ] {
            let parts = Parts {
                issuer,
                mails: dev,
                metrics: dev,
            };
            let _ = table(parts, &shared.context);
        }
    }
}
