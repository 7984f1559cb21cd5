//! Every operation of the API. A handler says its own path, method and description; `routes!` takes all three from it.
//!
//! Called by the router, and by `openapi` for the description, so both always hold the same operations.

use axum::{
    middleware::from_fn,
    routing::{get, post},
};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::{
    Shared, compression,
    controllers::{
        account, announcements, api_keys, auth, backups, bookings, branding, changes, check_ins,
        claims, customers, delivery_admin, door_list, erasures,
        events::{self, team, ticket_types},
        health, holds, identities, imports, live, members, notifications, operators, payments,
        personal_data, plugins, quotes, receipts, subscriptions, tenants, transfers, waitlist,
    },
    extract::refuse_query,
};

/// Who issues the tokens that callers sign in with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TokenIssuer {
    /// This host.
    Own,
    /// The platform that mounts the router. Operations that sign in with tokens of this host are left out.
    Platform,
}

/// The operations of a router whose callers have tokens of `issuer`.
pub(super) fn api(issuer: TokenIssuer) -> OpenApiRouter<Shared> {
    let mut without_query = customers()
        .merge(organizers())
        .merge(admin())
        .merge(operators());
    if issuer == TokenIssuer::Own {
        without_query = without_query.merge(sign_in());
    }
    without_query
        .route_layer(from_fn(refuse_query))
        .merge(lists())
        .merge(checks())
}

/// Lists take `?cursor=…&limit=…`, exports `?format=…`; both refuse other parameters themselves.
fn lists() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(events::list))
        .routes(routes!(bookings::list_of_event))
        .routes(routes!(bookings::export::bookings))
        .routes(routes!(bookings::export::attendees))
        .routes(routes!(waitlist::list))
        .routes(routes!(waitlist::skips))
        .routes(routes!(check_ins::list))
        .routes(routes!(check_ins::export))
        .routes(routes!(bookings::list_mine))
        .routes(routes!(bookings::list_of_user))
        .routes(routes!(customers::find))
        .routes(routes!(customers::export))
        .routes(routes!(door_list::list))
        .routes(routes!(door_list::export))
        .routes(routes!(holds::list_mine))
        .routes(routes!(payments::list))
        .routes(routes!(claims::list))
        .routes(routes!(changes::list))
        .route("/api/changes/stream", get(changes::stream))
        .routes(routes!(payments::list_of_event))
        .routes(routes!(payments::refunds))
        .routes(routes!(receipts::list))
        .routes(routes!(receipts::verify))
        .routes(routes!(waitlist::list_mine))
        .routes(routes!(check_ins::tickets).layer(from_fn(compression::keep_plain)))
        .routes(routes!(transfers::list_mine).layer(from_fn(compression::keep_plain)))
        .routes(routes!(notifications::deliveries))
        .routes(routes!(notifications::export))
        .routes(routes!(notifications::list_of_event))
        .routes(routes!(notifications::deliveries_of_booking))
        .routes(routes!(notifications::deliveries_of_user))
        .routes(routes!(tenants::suppressions))
        .routes(routes!(plugins::list_versions))
        .routes(routes!(operators::list_tenants))
        .routes(routes!(operators::verify))
        .routes(routes!(operators::verify_payments))
        .routes(routes!(claims::verify))
        .routes(routes!(operators::list_users))
        .routes(routes!(erasures::list))
        .routes(routes!(delivery_admin::notifications))
        .routes(routes!(delivery_admin::failed_of_notification))
        .routes(routes!(delivery_admin::schedules))
        .routes(routes!(delivery_admin::failed))
        .routes(routes!(delivery_admin::audit))
        .routes(routes!(delivery_admin::export_audit))
}

fn customers() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(tenants::show))
        .routes(routes!(
            branding::show_logo,
            branding::set_logo,
            branding::remove_logo
        ))
        .routes(routes!(auth::me, account::rename))
        .routes(routes!(personal_data::export_own))
        .routes(routes!(auth::ask_to_verify))
        .routes(routes!(team::list_own))
        .routes(routes!(subscriptions::show, subscriptions::replace))
        .routes(routes!(waitlist::join))
        .routes(routes!(waitlist::place, waitlist::leave))
        .routes(routes!(bookings::create))
        .routes(routes!(quotes::create))
        .routes(routes!(bookings::show, bookings::change))
        .routes(routes!(bookings::find))
        .routes(routes!(bookings::find_by_reference))
        .routes(routes!(bookings::cancel))
        .routes(routes!(transfers::create))
        .routes(routes!(receipts::list_of_booking))
        .routes(routes!(receipts::show))
        .routes(routes!(holds::create))
        .routes(routes!(holds::show, holds::change))
        .routes(routes!(holds::extend))
        .routes(routes!(holds::confirm))
        .routes(routes!(holds::release))
}

fn organizers() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(tenants::settings, tenants::merge_settings))
        .routes(routes!(api_keys::create, api_keys::list).layer(from_fn(compression::keep_plain)))
        .routes(routes!(api_keys::show, api_keys::revoke))
        .routes(routes!(events::create))
        .routes(routes!(
            events::show,
            events::replace,
            events::merge,
            events::delete
        ))
        .routes(routes!(events::cancel))
        .routes(routes!(events::availability::show))
        .routes(routes!(events::clones::create))
        .routes(routes!(events::find_by_reference))
        .routes(routes!(ticket_types::create))
        .routes(routes!(
            ticket_types::show,
            ticket_types::merge,
            ticket_types::delete
        ))
        .routes(routes!(announcements::create))
        .routes(routes!(imports::create))
        .routes(routes!(payments::open))
        .routes(routes!(payments::show))
        .routes(routes!(payments::captured))
        .routes(routes!(payments::failed))
        .routes(routes!(payments::refunded))
        .routes(routes!(payments::settled))
        .routes(routes!(check_ins::create))
        .routes(routes!(check_ins::undo))
        .routes(routes!(check_ins::show))
        .routes(routes!(plugins::decision))
        .routes(routes!(notifications::show))
        .routes(routes!(operators::show_user, members::change))
        .routes(routes!(members::invite, members::list))
        .routes(routes!(members::withdraw))
        .routes(routes!(erasures::erase))
        .routes(routes!(personal_data::export))
        .routes(routes!(team::list))
        .routes(routes!(team::put, team::remove))
        .routes(routes!(plugins::in_use))
        .routes(routes!(plugins::policy_catalogue))
        .routes(routes!(plugins::upload))
        .route(
            "/api/plugins/versions/versions",
            post(plugins::upload_reserved),
        )
        .routes(routes!(plugins::activate))
        .routes(routes!(plugins::roll_back))
        .routes(routes!(plugins::remove))
        .routes(routes!(plugins::logs))
        .routes(routes!(plugins::failed_calls))
        .routes(routes!(plugins::metrics))
        .routes(routes!(plugins::show_version, plugins::delete_version))
        .routes(routes!(plugins::dry_run))
        .routes(routes!(plugins::replay))
}

/// Looking after what goes out.
fn admin() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(live::overview))
        .route("/api/admin/live", get(live::stream))
        .routes(routes!(delivery_admin::command_notification))
        .routes(routes!(delivery_admin::move_to))
        .routes(routes!(delivery_admin::command_lane))
        .routes(routes!(plugins::overview))
        .routes(routes!(delivery_admin::reasons))
        .routes(routes!(delivery_admin::retry))
        .routes(routes!(delivery_admin::delivery))
        .routes(routes!(delivery_admin::search))
}

fn operators() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(operators::create_tenant))
        .routes(routes!(operators::show_tenant))
        .routes(routes!(operators::set_sender))
        .routes(routes!(operators::create_user))
        .routes(routes!(backups::backup).layer(from_fn(compression::keep_plain)))
        .routes(routes!(backups::restoration))
        .routes(routes!(backups::release))
}

/// Only with tokens of our own.
fn sign_in() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(auth::register))
        .routes(routes!(auth::login))
        .routes(routes!(auth::refresh))
        .routes(routes!(auth::logout))
        .routes(routes!(auth::end_sessions, account::list_sessions))
        .routes(routes!(identities::sign_in))
        .routes(routes!(identities::link, identities::list))
        .routes(routes!(identities::unlink))
        .routes(routes!(
            identities::show_provider,
            identities::set_provider,
            identities::remove_provider
        ))
        .routes(routes!(account::end_session))
        .routes(routes!(account::end_other_sessions))
        .routes(routes!(account::forgot_password))
        .routes(routes!(account::reset_password))
        .routes(routes!(members::accept))
        .routes(routes!(account::change_password))
        .routes(routes!(account::ask_for_email))
        .routes(routes!(erasures::erase_me))
        .routes(routes!(operators::login))
        .routes(routes!(operators::refresh))
        .routes(routes!(operators::logout))
        .routes(routes!(operators::set_password))
        .routes(routes!(operators::list_operators))
        .routes(routes!(operators::remove_operator))
        .routes(routes!(operators::list_sessions, operators::end_sessions))
        .routes(routes!(operators::end_session))
        .route_layer(from_fn(compression::keep_plain))
}

/// For those who must always be answered: never counted.
fn checks() -> OpenApiRouter<Shared> {
    OpenApiRouter::default()
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
}
