//! The tenant of the request: its public data, its settings, and its customers' subscriptions.

use axum::{Json as JsonAnswer, extract::State, response::IntoResponse as _, response::Response};
use boxoffice_engine::{
    Brand, EmailAddress, Engine, Label, ReceiptSettings, ReminderLead, Result, ShownAvailability,
    Suppression, Tenant, TenantSettings, UpdateTenant,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    Answer, PageResponse,
    branding::{BrandPatchRequest, BrandResponse, TenantLinksResponse, change_links},
    integers::Whole,
    patched::Patched,
    receipt_settings::{ReceiptSettingsPatchRequest, ReceiptSettingsResponse},
    with_etag,
};
use crate::routes::{
    choices,
    extract::{AsCaller, AtPage, MergePatch, PageParams, SeenVersions, read_value},
    refusals,
};

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct TenantResponse {
    /// Its id, used in host names, headers and tokens.
    #[schema(example = "default")]
    id: String,
    /// Its display name.
    name: String,
    /// ISO 4217 code of all its amounts.
    #[schema(example = "EUR")]
    currency: String,
}

impl From<Tenant> for TenantResponse {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id.to_string(),
            name: tenant.name.to_string(),
            currency: tenant.currency,
        }
    }
}

/// A tenant's settings, which its owners change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TenantSettingsResponse {
    /// Its id, used in host names, headers and tokens.
    #[schema(example = "default")]
    id: String,
    /// Its version, raised by every change; also the ETag.
    version: u64,
    /// Its display name.
    name: String,
    /// The sender's name of its mails; null means `name`.
    sender_name: Option<String>,
    /// The Reply-To address of its mails; null means the sender's address.
    reply_to: Option<String>,
    /// The sender's address of its mails, set by an operator; null means the installation's.
    mail_from: Option<String>,
    /// How long before an event its reminder is sent, in minutes; null for no reminders.
    reminder_minutes: Option<u32>,
    /// Whether anybody may register as an organizer.
    organizers_may_register: bool,
    /// Announcements a day (UTC) of all organizers together.
    announcements_per_day: u32,
    /// Whether customers who sign up are asked to confirm their address, and get no bulk mails until they do. Without
    /// links (`public_url` and `keys` under `[links]`), and in `boxoffice dev`, nobody is asked.
    bulk_to_verified_only: bool,
    /// Whether users must confirm their address before they book, hold or wait for tickets (`email-unconfirmed`). Has no
    /// effect if nobody is asked, as above.
    confirm_before_booking: bool,
    /// Its receipts.
    receipts: ReceiptSettingsResponse,
    /// What is told of the tickets that are left to callers who do not manage the event: `exact`, their number; `few-left`, whether
    /// there are some or few; `yes-no`, whether there are some.
    #[schema(value_type = choices::ShownAvailability)]
    shown_availability: &'static str,
    /// The look of its mails.
    brand: BrandResponse,
    /// Whether it has an uploaded logo (`/api/tenant/logo`).
    has_logo: bool,
    #[serde(flatten)]
    links: TenantLinksResponse,
}

impl From<Tenant> for TenantSettingsResponse {
    fn from(tenant: Tenant) -> Self {
        let settings = tenant.settings;
        Self {
            id: tenant.id.to_string(),
            version: tenant.version,
            name: tenant.name.to_string(),
            sender_name: settings.sender_name.map(|name| name.to_string()),
            reply_to: settings.reply_to.map(|address| address.to_string()),
            mail_from: tenant.mail_from.map(|address| address.to_string()),
            reminder_minutes: settings.reminder_lead.map(ReminderLead::minutes),
            organizers_may_register: settings.organizers_may_register,
            announcements_per_day: settings.announcements_per_day,
            bulk_to_verified_only: settings.bulk_to_verified_only,
            confirm_before_booking: settings.confirm_before_booking,
            receipts: settings.receipts.into(),
            shown_availability: settings.shown_availability.as_str(),
            brand: settings.brand.into(),
            has_logo: tenant.logo.is_some(),
            links: settings.links.into(),
        }
    }
}

impl TenantSettingsResponse {
    pub(super) fn answer(tenant: Tenant) -> Response {
        let version = tenant.version;
        with_etag(version, JsonAnswer(Self::from(tenant)).into_response())
    }
}

/// The fields to change of a tenant's settings. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct TenantSettingsPatchRequest {
    /// Its display name: one line of 1 to 200 characters.
    #[schema(value_type = String, required = false, example = "North Stage")]
    #[serde(default)]
    name: Patched<String>,
    /// The sender's name of its mails. Null: the tenant's name.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    sender_name: Patched<String>,
    /// The Reply-To address of its mails. Null: the sender's address.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    reply_to: Patched<String>,
    /// How long before an event its reminder is sent, in minutes (5 to 86,400). Null or 0: no reminders. Applies to
    /// events that are created or changed from then on; an event may have its own setting.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 86_400, example = 1440)]
    #[serde(default)]
    reminder_minutes: Patched<Whole<u32>>,
    /// Whether anybody may register as an organizer.
    #[schema(value_type = bool, required = false)]
    #[serde(default)]
    organizers_may_register: Patched<bool>,
    /// Announcements a day (UTC) of all organizers together. Null: 10.
    #[schema(value_type = Option<u32>)]
    #[serde(default)]
    announcements_per_day: Patched<Whole<u32>>,
    /// Whether customers who sign up are asked to confirm their address, and get no bulk mails until they do.
    #[schema(value_type = bool, required = false)]
    #[serde(default)]
    bulk_to_verified_only: Patched<bool>,
    /// Whether users must confirm their address before they book, hold or wait for tickets (`email-unconfirmed`). Users who sign
    /// up are then asked to confirm it. Has no effect without links, and in `boxoffice dev`.
    #[schema(value_type = bool, required = false)]
    #[serde(default)]
    confirm_before_booking: Patched<bool>,
    /// Its receipts. Fields that are left out stay. Null: off, and the default settings.
    #[schema(value_type = Option<ReceiptSettingsPatchRequest>)]
    #[serde(default)]
    receipts: Patched<ReceiptSettingsPatchRequest>,
    /// What is told of the tickets that are left to callers who do not manage the event: `exact`, their number; `few-left`, whether
    /// there are some or few; `yes-no`, whether there are some. Takes effect within a second. Null: `few-left`.
    #[schema(value_type = Option<choices::ShownAvailability>)]
    #[serde(default)]
    shown_availability: Patched<String>,
    /// The look of its mails. Fields that are left out stay. Null: the built-in look.
    #[schema(value_type = Option<BrandPatchRequest>)]
    #[serde(default)]
    brand: Patched<BrandPatchRequest>,
    /// Where a customer sees a booking: an https URL of up to 500 characters. Its path, query and fragment may have `{bookingId}`,
    /// `{bookingNumber}`, `{bookingReference}`, `{eventId}` and `{eventReference}`. Mails to the customer have it as a button; one
    /// that needs a reference which there is not has none. Null: no link.
    #[schema(value_type = Option<String>, max_length = 500, example = "https://shop.example/bookings/{bookingId}")]
    #[serde(default)]
    booking_url: Patched<String>,
    /// Where a customer takes tickets that the waiting list offers; with `{holdId}`, `{eventId}` and `{eventReference}`. Null: no
    /// link.
    #[schema(value_type = Option<String>, max_length = 500, example = "https://shop.example/offers/{holdId}")]
    #[serde(default)]
    offer_url: Patched<String>,
    /// Where anybody sees an event; with `{eventId}` and `{eventReference}`. Null: no link.
    #[schema(value_type = Option<String>, max_length = 500, example = "https://shop.example/events/{eventId}")]
    #[serde(default)]
    event_url: Patched<String>,
}

impl TenantSettingsPatchRequest {
    fn command(&self, tenant: &Tenant, expected_version: u64) -> Result<UpdateTenant> {
        let mut name = tenant.name.clone();
        if let Some(given) = self.name.value("name")? {
            name = Label::parse("name", given)?;
        }
        let mut settings = tenant.settings.clone();
        self.change_mails(&mut settings)?;
        self.announcements_per_day.write(
            &mut settings.announcements_per_day,
            TenantSettings::ANNOUNCEMENTS_PER_DAY_DEFAULT,
            |Whole(number)| Ok(*number),
        )?;
        if let Some(given) = self
            .organizers_may_register
            .value("organizersMayRegister")?
        {
            settings.organizers_may_register = *given;
        }
        if let Some(given) = self.bulk_to_verified_only.value("bulkToVerifiedOnly")? {
            settings.bulk_to_verified_only = *given;
        }
        if let Some(given) = self.confirm_before_booking.value("confirmBeforeBooking")? {
            settings.confirm_before_booking = *given;
        }
        let receipts = settings.receipts.clone();
        self.receipts.write(
            &mut settings.receipts,
            ReceiptSettings::default(),
            |patch| patch.applied(&receipts),
        )?;
        self.shown_availability.write(
            &mut settings.shown_availability,
            ShownAvailability::default(),
            |shown| shown.parse(),
        )?;
        Ok(UpdateTenant {
            expected_version,
            name,
            settings,
        })
    }

    /// What mails say of the tenant, and when reminders are sent.
    fn change_mails(&self, settings: &mut TenantSettings) -> Result<()> {
        self.sender_name
            .write(&mut settings.sender_name, None, |name| {
                Label::parse("senderName", name).map(Some)
            })?;
        self.reply_to
            .write(&mut settings.reply_to, None, |address| {
                EmailAddress::parse("replyTo", address).map(Some)
            })?;
        self.reminder_minutes.write(
            &mut settings.reminder_lead,
            None,
            |minutes| match *minutes {
                Whole(0) => Ok(None),
                Whole(minutes) => ReminderLead::parse("reminderMinutes", minutes).map(Some),
            },
        )?;
        let brand = settings.brand.clone();
        self.brand
            .write(&mut settings.brand, Brand::default(), |patch| {
                patch.applied(&brand)
            })?;
        let links = [&self.booking_url, &self.offer_url, &self.event_url];
        change_links(&mut settings.links, links)?;
        Ok(())
    }
}

/// A kind of mail that a customer has unsubscribed from.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct SuppressionResponse {
    /// The customer.
    customer_id: String,
    /// The kind.
    #[schema(value_type = choices::OptionalMailKind)]
    kind: &'static str,
    /// How they unsubscribed: `link` (in a mail) or `account` (signed in).
    #[schema(example = "link")]
    source: &'static str,
    /// When they unsubscribed.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Suppression> for SuppressionResponse {
    fn from(suppression: Suppression) -> Self {
        Self {
            customer_id: suppression.customer.to_string(),
            kind: suppression.kind.as_str(),
            source: suppression.source.as_str(),
            created_at: suppression.created_at,
        }
    }
}

/// Shows the request's tenant
#[utoipa::path(get, path = "/api/tenant", tag = "tenant", security((), ("bearer" = [])),
    responses((status = 200, body = TenantResponse)))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<TenantResponse>> {
    Ok(JsonAnswer(engine.tenants().show(&caller).await?.into()))
}

/// Shows the tenant's settings, to its owners and organizers
#[utoipa::path(get, path = "/api/tenant/settings", tag = "tenant",
    operation_id = "show_settings",
    responses((status = 200, body = TenantSettingsResponse, headers(("ETag" = String))), refusals::Restricted))]
pub(in crate::routes) async fn settings(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<Response> {
    let tenant = engine.tenants().settings(&caller).await?;
    Ok(TenantSettingsResponse::answer(tenant))
}

/// Changes some of the tenant's settings (RFC 7396), for its owners
///
/// Fields that are left out stay; null resets a setting to its default. Only operators set the sender's address.
#[utoipa::path(patch, path = "/api/tenant/settings", tag = "tenant",
    operation_id = "change_settings",
    request_body(content((TenantSettingsPatchRequest = "application/merge-patch+json"),
        (TenantSettingsPatchRequest = "application/json"))),
    params(("If-Match" = String, Header, description = "The ETag of the version that the caller saw")),
    responses((status = 200, body = TenantSettingsResponse, headers(("ETag" = String))), refusals::RestrictedChange))]
pub(in crate::routes) async fn merge_settings(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    SeenVersions(seen): SeenVersions,
    MergePatch(patch): MergePatch,
) -> Answer<Response> {
    // If somebody changes the settings in between, the version no longer matches and nothing is written.
    let current = engine.tenants().settings_to_change(&caller).await?;
    let version = seen.judge(current.version)?;
    let patch: TenantSettingsPatchRequest = read_value(Value::Object(patch))?;
    let command = patch.command(&current, version)?;
    let changed = engine.tenants().update(&caller, command).await;
    let tenant = changed.map_err(|refusal| seen.refused(refusal))?;
    Ok(TenantSettingsResponse::answer(tenant))
}

/// Lists the kinds of mail that the tenant's customers have unsubscribed from, in customer order
///
/// An organizer sees customers of their own events. A page may have fewer items than its limit and still have a next page.
#[utoipa::path(get, path = "/api/tenant/suppressions", tag = "tenant", params(PageParams),
    operation_id = "list_suppressions",
    responses((status = 200, body = PageResponse<SuppressionResponse>), refusals::Restricted))]
pub(in crate::routes) async fn suppressions(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<SuppressionResponse>>> {
    let page = engine.subscriptions().list(&caller, page).await?;
    Ok(PageResponse::of(page, SuppressionResponse::from))
}
