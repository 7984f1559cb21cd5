//! Use cases of operators: tenants and their first users. Operators' own accounts are in `operators/accounts.rs`.

mod accounts;

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{
    Brand, CreateTenant, CreateUser, EmailAddress, Engine, Error, EventVerdict, Label,
    PaymentVerdict, TenantId, TenantLinks, TenantSettings, UserFilter, UserId,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    auth::UserResponse,
    branding::{BrandPatchRequest, change_links},
    created,
    patched::Patched,
    payments::PaymentMoneyResponse,
    tenants::{TenantResponse, TenantSettingsResponse},
};
use crate::routes::{
    choices,
    extract::{AsCaller, AsOperator, AtPage, Id, Json, PageParams, Prefix},
    refusals,
};

pub(in crate::routes) use accounts::*;

/// Creates a tenant.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CreateTenantRequest {
    /// 1 to 63 lower-case letters, digits and inner hyphens.
    #[schema(example = "acme")]
    id: String,
    /// Its display name.
    name: String,
    /// ISO 4217 code of all its prices. The default is `EUR`.
    currency: Option<String>,
    /// Whether anybody may register as an organizer.
    #[serde(default)]
    organizers_may_register: bool,
    /// The look of its mails.
    brand: Option<BrandPatchRequest>,
    /// Where a customer sees a booking, with placeholders; see the tenant's settings.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    booking_url: Patched<String>,
    /// Where a customer takes offered tickets, with placeholders.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    offer_url: Patched<String>,
    /// Where anybody sees an event, with placeholders.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    event_url: Patched<String>,
}

/// A user to create, with any role.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct CreateUserRequest {
    /// Their address and login.
    email: String,
    /// Their display name.
    name: String,
    /// 8 to 200 characters. Without it they cannot sign in with a password.
    password: Option<String>,
    /// `owner`, `organizer`, `staff` or `customer`.
    #[schema(value_type = choices::UserRole)]
    role: String,
}

/// The sender of a tenant's mails.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct SenderRequest {
    /// The sender's address; null means the installation's.
    #[schema(example = "tickets@north.example")]
    mail_from: Option<String>,
}

/// The result of recomputing an event's counters.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct EventVerdictResponse {
    /// The event's tenant.
    tenant: String,
    /// The event's id.
    event_id: String,
    /// The revision of its inventory.
    revision: i64,
    /// Tickets sold, by its inventory.
    sold: u32,
    /// Tickets held, by its inventory.
    held: u32,
    /// The first difference; null if there is none.
    difference: Option<String>,
}

impl From<EventVerdict> for EventVerdictResponse {
    fn from(verdict: EventVerdict) -> Self {
        Self {
            tenant: verdict.tenant.to_string(),
            event_id: verdict.event.to_string(),
            revision: verdict.revision,
            sold: verdict.sold,
            held: verdict.held,
            difference: verdict.difference,
        }
    }
}

/// Creates a tenant
#[utoipa::path(post, path = "/api/operator/tenants", tag = "operator", request_body = CreateTenantRequest,
    responses((status = 201, body = TenantResponse, headers(("Location" = String))), refusals::CreateTenant))]
pub(in crate::routes) async fn create_tenant(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    Prefix(prefix): Prefix,
    Json(request): Json<CreateTenantRequest>,
) -> Answer<Response> {
    let brand = request.brand.as_ref();
    let brand = brand.map(|brand| brand.applied(&Brand::default()));
    let mut links = TenantLinks::default();
    let given = [&request.booking_url, &request.offer_url, &request.event_url];
    change_links(&mut links, given)?;
    let command = CreateTenant {
        id: TenantId::parse(&request.id).map_err(|error| error.at_field("id"))?,
        name: Label::parse("name", &request.name)?,
        currency: request.currency.unwrap_or_else(|| "EUR".to_owned()),
        settings: TenantSettings {
            organizers_may_register: request.organizers_may_register,
            brand: brand.transpose()?.unwrap_or_default(),
            links,
            ..TenantSettings::default()
        },
    };
    let tenant = engine.tenants().create(&caller, command).await?;
    let location = format!("{prefix}/api/operator/tenants/{}", tenant.id);
    Ok(created(&location, TenantResponse::from(tenant)))
}

/// Shows a tenant
#[utoipa::path(get, path = "/api/operator/tenants/{tenant}", tag = "operator",
    operation_id = "show_tenant",
    params(("tenant" = String, Path, description = "Which tenant")),
    responses((status = 200, body = TenantResponse), refusals::Restricted))]
pub(in crate::routes) async fn show_tenant(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    Id(tenant): Id<TenantId>,
) -> Answer<JsonAnswer<TenantResponse>> {
    let tenant = engine.tenants().show(&caller.within(tenant)).await?;
    Ok(JsonAnswer(tenant.into()))
}

/// Lists all tenants by name
#[utoipa::path(get, path = "/api/operator/tenants", tag = "operator", params(PageParams),
    responses((status = 200, body = PageResponse<TenantResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_tenants(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<TenantResponse>>> {
    let page = engine.tenants().list(&caller, page).await?;
    Ok(PageResponse::of(page, TenantResponse::from))
}

/// Sets the sender's address of a tenant's mails
///
/// The domain must allow this installation's mail servers to send for it (SPF, DKIM).
#[utoipa::path(put, path = "/api/operator/tenants/{tenant}/sender", tag = "operator", request_body = SenderRequest,
    operation_id = "set_sender",
    params(("tenant" = String, Path, description = "Which tenant")),
    responses((status = 200, body = TenantSettingsResponse, headers(("ETag" = String))), refusals::RestrictedChange))]
pub(in crate::routes) async fn set_sender(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    Id(tenant): Id<TenantId>,
    Json(request): Json<SenderRequest>,
) -> Answer<Response> {
    let mail_from = request
        .mail_from
        .as_deref()
        .map(|address| EmailAddress::parse("mailFrom", address))
        .transpose()?;
    let caller = caller.within(tenant);
    let tenant = engine.tenants().set_mail_from(&caller, mail_from).await?;
    Ok(TenantSettingsResponse::answer(tenant))
}

/// Creates a user of a tenant, with any role
#[utoipa::path(post, path = "/api/operator/tenants/{tenant}/users", tag = "operator", request_body = CreateUserRequest,
    params(("tenant" = String, Path, description = "Which tenant")),
    responses((status = 201, body = UserResponse, headers(("Location" = String))), refusals::CreateUser))]
pub(in crate::routes) async fn create_user(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    Prefix(prefix): Prefix,
    Id(tenant): Id<TenantId>,
    Json(request): Json<CreateUserRequest>,
) -> Answer<Response> {
    let command = CreateUser {
        email: EmailAddress::parse("email", &request.email)?,
        name: Label::parse("name", &request.name)?,
        password: request.password,
        role: request
            .role
            .parse()
            .map_err(|error: Error| error.at_field("role"))?,
    };
    let caller = caller.within(tenant);
    let user = engine.users().create(&caller, command).await?;
    let location = format!("{prefix}/api/users/{}", user.id);
    Ok(created(&location, UserResponse::from(user)))
}

/// Shows a user of the tenant, to its owners
///
/// An operator names the tenant in the header `X-Tenant`.
#[utoipa::path(get, path = "/api/users/{id}", tag = "tenant",
    operation_id = "show_user",
    params(("id" = String, Path, description = "Which user")),
    responses((status = 200, body = UserResponse), refusals::Restricted))]
pub(in crate::routes) async fn show_user(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(user): Id<UserId>,
) -> Answer<JsonAnswer<UserResponse>> {
    Ok(JsonAnswer(engine.users().show(&caller, user).await?.into()))
}

/// Lists a tenant's users in order of creation
#[utoipa::path(get, path = "/api/operator/tenants/{tenant}/users", tag = "operator",
    params(("tenant" = String, Path, description = "Which tenant"), PageParams),
    responses((status = 200, body = PageResponse<UserResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list_users(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    Id(tenant): Id<TenantId>,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<UserResponse>>> {
    let (users, caller) = (engine.users(), caller.within(tenant));
    let page = users.list(&caller, UserFilter::default(), page).await?;
    Ok(PageResponse::of(page, UserResponse::from))
}

/// Verifies events' counters: recomputes them from the capacity ledger and from the bookings
///
/// Events of all tenants, page by page. A difference is no error: the item shows it.
#[utoipa::path(get, path = "/api/operator/verification", tag = "operator", params(PageParams),
    responses((status = 200, body = PageResponse<EventVerdictResponse>), refusals::Restricted))]
pub(in crate::routes) async fn verify(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<EventVerdictResponse>>> {
    let page = engine.operators().verify(&caller, page).await?;
    Ok(PageResponse::of(page, EventVerdictResponse::from))
}

/// The result of recomputing where a payment's money is.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct PaymentVerdictResponse {
    /// The payment's tenant.
    tenant: String,
    /// The payment provider.
    provider: String,
    /// The provider's name of the payment.
    reference: String,
    /// ISO 4217 code of all its amounts.
    currency: String,
    #[serde(flatten)]
    money: PaymentMoneyResponse,
    /// The first difference; null if there is none.
    difference: Option<String>,
}

impl From<PaymentVerdict> for PaymentVerdictResponse {
    fn from(verdict: PaymentVerdict) -> Self {
        Self {
            tenant: verdict.tenant.to_string(),
            provider: verdict.payment.provider.to_string(),
            reference: verdict.payment.reference.to_string(),
            currency: verdict.currency,
            money: verdict.money.into(),
            difference: verdict.difference,
        }
    }
}

/// Verifies payments: what was captured is kept, due back, refunded, pending or unmatched
///
/// Payments of all tenants, page by page, each against its notices, its refunds and its booking. A difference is no error: the item
/// shows it.
#[utoipa::path(get, path = "/api/operator/verification/payments", tag = "operator", params(PageParams),
    responses((status = 200, body = PageResponse<PaymentVerdictResponse>), refusals::Restricted))]
pub(in crate::routes) async fn verify_payments(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<PaymentVerdictResponse>>> {
    let page = engine.operators().verify_payments(&caller, page).await?;
    Ok(PageResponse::of(page, PaymentVerdictResponse::from))
}
