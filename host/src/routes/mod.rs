//! The URL table and what stands around it: [`router`] is the whole HTTP side of an installation.
//!
//! Called by the host's program and by platforms that mount it. Routes call controllers, and those alone call the
//! engine's AppModules.

mod compression;
mod controllers;
pub(crate) mod cors;
mod dev_mails;
mod extract;
mod html;
mod incoming;
mod openapi;
mod pages;
mod response_layers;
mod unsubscribe;
mod verify;

use std::{net::IpAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, Request},
    http::HeaderValue,
    middleware::{from_fn, from_fn_with_state},
    routing::{any, delete, get, post, put},
};
use boxoffice_engine::{Engine, Error, ErrorCode};
use tokio_util::sync::CancellationToken;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use crate::{
    auth::{
        Authenticate, BearerAuthentication, LoginThrottle, MailLinks, NetworkAllowance,
        Recognition, RequestLimits, TokenKeys, Transport,
    },
    metrics::{self, Metrics},
};
use controllers::{
    announcements,
    auth::{self, SignIn},
    backups, bookings, check_ins, dashboard_session, delivery_admin,
    events::{self, ticket_types},
    health, holds,
    live::{self, OverviewStream},
    notifications, operators, plugins,
    problem::{METHOD_NOT_ALLOWED, Problem},
    subscriptions, tenants,
    unconfirmed::UnconfirmedTickets,
    waitlist,
};
use dev_mails::MailsFolder;
use extract::RequestContext;

pub(crate) use incoming::Misframed;
pub use openapi::openapi_json;
pub use pages::{error_codes, error_page};

/// How the HTTP side behaves. The defaults suit one process that serves browsers and programs directly.
pub struct RouterOptions {
    /// Recognises callers in place of our own tokens. The routes that make ours (`/api/auth/*` but `me`, and those of
    /// operators' accounts) are then left out.
    pub authenticate: Option<Arc<dyn Authenticate>>,
    /// Sign our tokens. Generated ones end with the process, and every session with them.
    pub keys: TokenKeys,
    /// Signed the links with which customers unsubscribe and confirm their address; the same that the engine was built with
    /// ([`EngineBuilder::links`](boxoffice_engine::EngineBuilder::links)). Without it no such link is any good.
    pub links: Option<MailLinks>,
    /// Largest request body, in bytes; beyond it `body-too-large`.
    pub body_bytes_max: usize,
    /// Whether wrong passwords (per account and network, per network and per account) and accounts that are made are counted.
    pub throttle_logins: bool,
    /// Accounts that one network (an IPv4 address, a /64 of IPv6) may make in an hour, at once or one by one; beyond it
    /// `too-many-requests`. Each process counts by itself. None for as many as come.
    pub sign_ups_per_hour: Option<NonZeroU32>,
    /// Tickets that people whose address is not confirmed may book, hold or wait for from one network in an hour, at once or
    /// one by one, in each tenant that asks for addresses to be confirmed; beyond it `too-many-requests`. Each process counts by
    /// itself. None for as many as they like.
    pub unconfirmed_tickets_per_hour: Option<NonZeroU32>,
    /// Requests a minute of one user, or of one network address where nobody signed in; beyond it `too-many-requests`.
    /// Each process counts by itself. None for as many as come.
    pub client_requests_per_minute: Option<NonZeroU32>,
    /// The same for all that is asked of one tenant.
    pub tenant_requests_per_minute: Option<NonZeroU32>,
    /// Origins whose pages may ask from a browser, each as browsers send it: `https://shop.example`. Never with cookies.
    pub cors_origins: Vec<HeaderValue>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Whether everything comes over TLS, ended in front of this router, whatever a request says. Cookies are bound to it
    /// then; without it a trusted proxy's `X-Forwarded-Proto` decides.
    pub behind_tls: bool,
    /// How long browsers shall insist on TLS once they came over it (HSTS, RFC 6797), in seconds; 0 says nothing.
    pub hsts_seconds: u64,
    /// Where `tenant.BASE` is a tenant's own address.
    pub base_domain: Option<String>,
    /// Shows the mails in this folder under `/dev/mails`, to anybody. Only for development.
    pub mails_folder: Option<PathBuf>,
    /// Counts requests. Tell it with [`metrics_router`](crate::metrics_router), where only Prometheus reaches it.
    pub metrics: Arc<Metrics>,
    /// Whether this router answers `/metrics` too, to anybody.
    pub open_metrics: bool,
    /// Cancelled when the program is to stop: what is shown live ends then, so that it holds nothing up.
    pub stopping: CancellationToken,
    /// How long a request may take; beyond it `unavailable`, or `outcome-unknown` for one that changes things.
    pub request_timeout: Duration,
}

impl Default for RouterOptions {
    fn default() -> Self {
        Self {
            authenticate: None,
            keys: TokenKeys::generate(),
            links: None,
            // The largest useful request, an event with 10,000 characters of prose, is a tenth of it.
            body_bytes_max: 1024 * 1024,
            throttle_logins: true,
            // An office or a hotel on the day of a sale; a mail to a stranger each, and no flood of them.
            sign_ups_per_hour: NonZeroU32::new(60),
            // A school class or two on the day of a sale; what is a small house to one network.
            unconfirmed_tickets_per_hour: NonZeroU32::new(200),
            // Twenty a second, all day: no person clicks that often, and one program is not the whole host.
            client_requests_per_minute: NonZeroU32::new(1_200),
            // 5,000 a second: about what two cores answer, so that it bounds who is alone least of all.
            tenant_requests_per_minute: NonZeroU32::new(300_000),
            cors_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            behind_tls: false,
            hsts_seconds: 0,
            base_domain: None,
            mails_folder: None,
            metrics: Metrics::new(),
            open_metrics: false,
            stopping: CancellationToken::new(),
            // Longer than any bound inside the engine, shorter than what proxies wait.
            request_timeout: Duration::from_secs(30),
        }
    }
}

/// Builds the whole HTTP side: the REST interface, its description, health checks and pages.
///
/// It nests under any prefix: links in answers carry the prefix. For throttles by address, serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`.
pub fn router(engine: Engine, options: RouterOptions) -> Router {
    let own_tokens = options.authenticate.is_none();
    let shared = Shared::new(engine, &options);
    let metrics = shared.metrics.clone();
    let policies = shared.door.limits.as_ref().map(|limits| limits.policies());
    let cors = cors::layer(&options.cors_origins);
    let transport = shared.door.transport.clone();
    let parts = Parts {
        own_tokens,
        mails: options.mails_folder.is_some(),
        metrics: options.open_metrics,
    };
    // Whoever tries paths that are not there is counted like everybody else.
    let nothing = any(async || nothing_here()).layer(from_fn_with_state(
        shared.door.clone(),
        extract::count_address,
    ));
    let mut app = table(parts, &shared.door)
        .fallback_service(nothing)
        .method_not_allowed_fallback(async || {
            Problem::host(
                &METHOD_NOT_ALLOWED,
                "The header Allow names the methods that work at this path.",
            )
        })
        .with_state(shared)
        // From the inside out; the last one sees a request first.
        .layer(from_fn(response_layers::idempotency))
        .layer(DefaultBodyLimit::max(options.body_bytes_max))
        .layer(from_fn_with_state(
            options.request_timeout,
            response_layers::within_time,
        ))
        .layer(CatchPanicLayer::custom(response_layers::panicked))
        .layer(from_fn(incoming::check));
    if let Some(policies) = policies {
        app = app.layer(from_fn_with_state(policies, response_layers::tell_limits));
    }
    app = app
        .layer(from_fn_with_state(metrics, metrics::count))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(response_layers::span)
                .on_request(())
                .on_response(response_layers::answered)
                .on_failure(()),
        );
    if let Some(cors) = cors {
        app = app.layer(cors);
    }
    if options.hsts_seconds > 0 {
        let insisting = response_layers::InsistingOnTls::new(transport, options.hsts_seconds);
        app = app.layer(from_fn_with_state(
            insisting,
            response_layers::insist_on_tls,
        ));
    }
    app.layer(from_fn(response_layers::complete))
        .layer(compression::layer())
}

fn nothing_here() -> Problem {
    Error::new(ErrorCode::NotFound, "There is nothing at this path.").into()
}

/// Which parts of the table a router has that not every router has.
#[derive(Debug, Clone, Copy)]
struct Parts {
    /// What signs in with tokens of ours.
    own_tokens: bool,
    /// The mails of a developer's machine.
    mails: bool,
    /// `/metrics`.
    metrics: bool,
}

/// Every URL there is.
fn table(parts: Parts, door: &Arc<RequestContext>) -> Router<Shared> {
    let own_tokens = parts.own_tokens;
    let counted = from_fn_with_state(door.clone(), extract::count_address);
    let lists = Router::new() // These take ?cursor=…&limit=…, and say so themselves.
        .route("/api/events", get(events::list))
        .route("/api/events/{id}/bookings", get(bookings::list_of_event))
        .route("/api/events/{id}/waitlist", get(waitlist::list))
        .route("/api/events/{id}/waitlist/skips", get(waitlist::skips))
        .route("/api/events/{id}/check-ins", get(check_ins::list))
        .route("/api/bookings/me", get(bookings::list_mine))
        .route(
            "/api/bookings/{id}/tickets",
            get(check_ins::tickets).layer(from_fn(compression::keep_plain)),
        )
        .route(
            "/api/notifications/{id}/deliveries",
            get(notifications::deliveries),
        )
        .route(
            "/api/events/{id}/notifications",
            get(notifications::list_of_event),
        )
        .route(
            "/api/bookings/{id}/deliveries",
            get(notifications::deliveries_of_booking),
        )
        .route(
            "/api/users/{id}/deliveries",
            get(notifications::deliveries_of_user),
        )
        .route("/api/tenant/suppressions", get(tenants::suppressions))
        .route("/api/plugins/versions", get(plugins::list_versions))
        .route("/api/operator/tenants", get(operators::list_tenants))
        .route("/api/operator/verification", get(operators::verify))
        .route(
            "/api/operator/tenants/{tenant}/users",
            get(operators::list_users),
        );

    let things = Router::new()
        .route("/api/tenant", get(tenants::show))
        .route(
            "/api/tenant/settings",
            get(tenants::settings).patch(tenants::merge_settings),
        )
        .route("/api/auth/me", get(auth::me))
        .route("/api/auth/me/verification", post(auth::ask_to_verify))
        .route(
            "/api/auth/me/subscriptions",
            get(subscriptions::show).put(subscriptions::replace),
        )
        .route("/api/events", post(events::create))
        .route(
            "/api/events/{id}",
            get(events::show)
                .put(events::replace)
                .patch(events::merge)
                .delete(events::delete),
        )
        .route("/api/events/{id}/cancel", post(events::cancel))
        .route("/api/events/{id}/ticket-types", post(ticket_types::create))
        .route(
            "/api/events/{id}/ticket-types/{type}",
            get(ticket_types::show)
                .patch(ticket_types::merge)
                .delete(ticket_types::delete),
        )
        .route(
            "/api/events/{id}/announcements",
            post(announcements::create),
        )
        .route("/api/events/{id}/waitlist", post(waitlist::join))
        .route(
            "/api/events/{id}/waitlist/me",
            get(waitlist::place).delete(waitlist::leave),
        )
        .route("/api/events/{id}/check-ins", post(check_ins::create))
        .route("/api/events/{id}/check-ins.csv", get(check_ins::export))
        .route("/api/events/{id}/check-ins/undo", post(check_ins::undo))
        .route("/api/check-ins/{id}", get(check_ins::show))
        .route("/api/bookings", post(bookings::create))
        .route("/api/bookings/{id}", get(bookings::show))
        .route("/api/bookings/{id}/cancel", post(bookings::cancel))
        .route("/api/holds", post(holds::create))
        .route("/api/holds/{id}", get(holds::show))
        .route("/api/holds/{id}/extend", post(holds::extend))
        .route("/api/holds/{id}/confirm", post(holds::confirm))
        .route("/api/holds/{id}/release", post(holds::release))
        .route("/api/bookings/{id}/decision", get(plugins::decision))
        .route("/api/notifications/{id}", get(notifications::show))
        .route("/api/plugins", get(plugins::in_use))
        .route("/api/plugins/{id}/versions", post(plugins::upload))
        .route("/api/plugins/{id}/activate", post(plugins::activate))
        .route("/api/plugins/{id}/roll-back", post(plugins::roll_back))
        .route("/api/plugins/{id}/remove", post(plugins::remove))
        .route("/api/plugins/{id}/logs", get(plugins::logs))
        .route("/api/plugins/{id}/failed-calls", get(plugins::failed_calls))
        .route("/api/plugins/{id}/metrics", get(plugins::metrics))
        .route(
            "/api/plugins/versions/versions",
            post(plugins::upload_reserved),
        )
        .route(
            "/api/plugins/versions/{id}",
            get(plugins::show_version).delete(plugins::delete_version),
        )
        .route("/api/plugins/versions/{id}/dry-run", post(plugins::dry_run))
        .route("/api/plugins/versions/{id}/replay", post(plugins::replay))
        .route("/api/operator/tenants", post(operators::create_tenant))
        .route(
            "/api/operator/tenants/{tenant}",
            get(operators::show_tenant),
        )
        .route("/api/users/{id}", get(operators::show_user))
        .route(
            "/api/operator/tenants/{tenant}/sender",
            put(operators::set_sender),
        )
        .route(
            "/api/operator/tenants/{tenant}/users",
            post(operators::create_user),
        )
        .route(
            "/api/operator/backup",
            get(backups::backup).layer(from_fn(compression::keep_plain)),
        )
        .route("/api/operator/restoration", get(backups::restoration))
        .route("/api/operator/restoration/release", post(backups::release));

    let admin_lists = Router::new() // These take ?cursor=…&limit=…, too.
        .route(
            "/api/admin/notifications",
            get(delivery_admin::notifications),
        )
        .route(
            "/api/admin/notifications/{id}/failed",
            get(delivery_admin::failed_of_notification),
        )
        .route("/api/admin/schedules", get(delivery_admin::schedules))
        .route("/api/admin/failed", get(delivery_admin::failed))
        .route("/api/admin/audit", get(delivery_admin::audit));

    let admin = Router::new()
        .route("/api/admin/overview", get(delivery_admin::overview))
        .route("/api/admin/live", get(live::stream))
        .route(
            "/api/admin/notifications/{id}/pause",
            post(delivery_admin::pause),
        )
        .route(
            "/api/admin/notifications/{id}/resume",
            post(delivery_admin::resume),
        )
        .route(
            "/api/admin/notifications/{id}/cancel",
            post(delivery_admin::cancel),
        )
        .route(
            "/api/admin/notifications/{id}/promote",
            post(delivery_admin::promote),
        )
        .route(
            "/api/admin/notifications/{id}/move",
            post(delivery_admin::move_to),
        )
        .route(
            "/api/admin/lanes/{id}/pause",
            post(delivery_admin::pause_lane),
        )
        .route(
            "/api/admin/lanes/{id}/resume",
            post(delivery_admin::resume_lane),
        )
        .route("/api/admin/plugins", get(plugins::overview))
        .route("/api/admin/reasons", get(delivery_admin::reasons))
        .route("/api/admin/retries", post(delivery_admin::retry))
        .route("/api/admin/deliveries/{id}", get(delivery_admin::delivery))
        .route("/api/admin/searches", post(delivery_admin::search));

    let dashboard = Router::new()
        .route("/admin/queues", get(pages::queues))
        .route("/admin/queues/queues.js", get(pages::queues_script))
        .route("/admin/queues/views.js", get(pages::queues_views))
        .route("/admin/queues/page.js", get(pages::queues_page))
        .route("/admin/queues/queues.css", get(pages::queues_style))
        .route_layer(counted.clone());

    let dashboard_session = Router::new() // The dashboard signs in with cookies of ours.
        .route(
            "/admin/session",
            get(dashboard_session::show)
                .post(dashboard_session::open)
                .delete(dashboard_session::end),
        )
        .route("/admin/session/refresh", post(dashboard_session::refresh))
        .route_layer(from_fn(compression::keep_plain));

    let sign_in = Router::new() // Only with tokens of our own.
        .route("/api/auth/register", post(auth::register))
        .route("/api/auth/login", post(auth::login))
        .route("/api/auth/refresh", post(auth::refresh))
        .route("/api/auth/logout", post(auth::logout))
        .route("/api/auth/me/sessions", delete(auth::end_sessions))
        .route("/api/operator/login", post(operators::login))
        .route("/api/operator/refresh", post(operators::refresh))
        .route("/api/operator/logout", post(operators::logout))
        .route("/api/operator/password", put(operators::set_password))
        .route("/api/operator/operators", get(operators::list_operators))
        .route(
            "/api/operator/operators/{operator}",
            delete(operators::remove_operator),
        )
        .route(
            "/api/operator/operators/{operator}/sessions",
            get(operators::list_sessions).delete(operators::end_sessions),
        )
        .route(
            "/api/operator/operators/{operator}/sessions/{id}",
            delete(operators::end_session),
        )
        .route_layer(from_fn(compression::keep_plain));

    let checks = Router::new() // For those who must always be answered: never counted.
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready));

    let metrics = Router::new().route("/metrics", get(pages::metrics));

    let pages = Router::new()
        .route(
            "/openapi.json",
            get(async move |request: Request| pages::openapi(own_tokens, &request)),
        )
        .route("/docs", get(pages::docs))
        .route("/docs/docs.js", get(pages::docs_script))
        .route("/docs/pages.css", get(pages::style))
        .route("/errors/{code}", get(pages::error))
        .route_layer(counted.clone());

    let links = Router::new() // For whoever holds a link of a mail; nobody signs in here.
        .route(
            "/unsubscribe/{token}",
            get(unsubscribe::show).post(unsubscribe::unsubscribe),
        )
        .route(
            "/unsubscribe/{token}/undo",
            post(unsubscribe::subscribe_again),
        )
        .route("/verify/{token}", get(verify::show).post(verify::confirm))
        .route_layer(from_fn(compression::keep_plain))
        .route_layer(counted);

    let mails = Router::new() // Only in development.
        .route("/dev/mails", get(dev_mails::list_page))
        .route("/dev/mails.json", get(dev_mails::list_json))
        .route("/dev/mails/{name}", get(dev_mails::mail_page))
        .route("/dev/mails/{name}/raw", get(dev_mails::raw));

    let mut api = things.merge(admin);
    if own_tokens {
        api = api.merge(sign_in).merge(dashboard_session).merge(dashboard);
    }
    let mut all = api
        .route_layer(from_fn(extract::refuse_query))
        .merge(lists)
        .merge(admin_lists)
        .merge(checks)
        .merge(pages)
        .merge(links);
    if parts.mails {
        all = all.merge(mails);
    }
    if parts.metrics {
        all = all.merge(metrics);
    }
    all
}

/// What handlers can take with `State`, each only its own part.
#[derive(Clone)]
struct Shared {
    engine: Engine,
    door: Arc<RequestContext>,
    sign_in: Arc<SignIn>,
    unconfirmed: Arc<UnconfirmedTickets>,
    links: Option<MailLinks>,
    mails: MailsFolder,
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
        let door = RequestContext {
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
            throttle: options.throttle_logins.then(LoginThrottle::new),
            sign_ups: (options
                .sign_ups_per_hour
                .filter(|_| options.throttle_logins))
            .map(|most| {
                let detail = "Very many accounts were made from your network; wait a little.";
                NetworkAllowance::new(most, Duration::from_secs(3_600), detail)
            }),
        };
        let unconfirmed = options.unconfirmed_tickets_per_hour.map(|most| {
            let detail = "Very many tickets were taken from your network by people who have not confirmed their address; confirm \
                yours, or wait a little.";
            NetworkAllowance::new(most, Duration::from_secs(3_600), detail)
        });
        let mails = MailsFolder::new(options.mails_folder.clone().unwrap_or_default());
        Self {
            live: OverviewStream::new(engine.clone(), options.stopping.clone()),
            metrics: options.metrics.clone(),
            engine,
            door: Arc::new(door),
            sign_in: Arc::new(sign_in),
            unconfirmed: Arc::new(UnconfirmedTickets(unconfirmed)),
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
        shared.door.clone()
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

impl FromRef<Shared> for Arc<Metrics> {
    fn from_ref(shared: &Shared) -> Self {
        shared.metrics.clone()
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
        for (own_tokens, dev) in [(true, true), (true, false), (false, false)] {
            let parts = Parts {
                own_tokens,
                mails: dev,
                metrics: dev,
            };
            let _ = table(parts, &shared.door);
        }
    }
}
