//! The tenant whose door this is: what everybody sees of it, its settings, and what its customers do without.

use axum::{Json as JsonAnswer, extract::State, response::IntoResponse as _, response::Response};
use boxoffice_engine::{
    EmailAddress, Engine, Label, ReminderLead, Result, Suppression, Tenant, TenantSettings,
    UpdateTenant,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value, json};
use utoipa::ToSchema;

use super::{Answer, PageResponse, merge_patch, numbers::whole, with_etag};
use crate::routes::extract::{AsCaller, AtPage, MergePatch, PageParams, SeenVersions, read_value};

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct TenantResponse {
    /// Its name in host names, headers and tokens.
    #[schema(example = "default")]
    id: String,
    /// What people call it.
    name: String,
    /// ISO 4217 code of all its prices.
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

/// What a tenant decides about itself.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TenantSettingsResponse {
    /// Its name in host names, headers and tokens.
    #[schema(example = "default")]
    id: String,
    /// Counts the changes; the ETag.
    version: u64,
    /// What people call it.
    name: String,
    /// The sender's name of its mails; null stands for `name`.
    sender_name: Option<String>,
    /// Where answers to its mails go; null stands for the sender's address.
    reply_to: Option<String>,
    /// The sender's address of its mails, as an operator set it; null stands for the installation's.
    mail_from: Option<String>,
    /// How long before an event its reminder goes out, in minutes; null for no reminders.
    reminder_minutes: Option<u32>,
    /// Whether anybody may register as an organizer.
    organizers_may_register: bool,
    /// Announcements that all organizers together may make in a day (UTC).
    announcements_per_day: u32,
    /// Whether customers who sign up are asked to confirm their address, and get no mails to many until they do. Nobody is
    /// asked where the installation makes no links (`public_url` and `keys` under `[links]`), and by `boxoffice dev`.
    bulk_to_verified_only: bool,
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
        }
    }
}

impl TenantSettingsResponse {
    pub(super) fn answer(tenant: Tenant) -> Response {
        let version = tenant.version;
        with_etag(version, JsonAnswer(Self::from(tenant)).into_response())
    }
}

/// What an owner may change of a tenant's settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct TenantSettingsRequest {
    /// What people call it: one line of 1 to 200 characters.
    #[schema(example = "North Stage")]
    name: String,
    /// The sender's name of its mails; null stands for `name`.
    sender_name: Option<String>,
    /// Where answers to its mails go; null stands for the sender's address.
    reply_to: Option<String>,
    /// How long before an event its reminder goes out, in minutes (5 to 86,400); null or 0 for no reminders. Holds for
    /// events that are made or changed from then on; an event may have a time of its own.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 86_400, example = 1440)]
    reminder_minutes: Option<Number>,
    /// Whether anybody may register as an organizer.
    #[serde(default)]
    organizers_may_register: bool,
    /// Announcements that all organizers together may make in a day (UTC).
    #[schema(value_type = Option<u32>, default = 10)]
    announcements_per_day: Option<Number>,
    /// Whether customers who sign up are asked to confirm their address, and get no mails to many until they do.
    #[schema(default = true)]
    bulk_to_verified_only: Option<bool>,
}

impl TenantSettingsRequest {
    fn command(&self, expected_version: u64) -> Result<UpdateTenant> {
        let reminder_lead = match &self.reminder_minutes {
            None => None,
            Some(minutes) => match whole(minutes, "reminderMinutes")? {
                0 => None,
                minutes => Some(ReminderLead::parse("reminderMinutes", minutes)?),
            },
        };
        let line = |field: &'static str, text: &Option<String>| {
            text.as_deref()
                .map(|text| Label::parse(field, text))
                .transpose()
        };
        Ok(UpdateTenant {
            expected_version,
            name: Label::parse("name", &self.name)?,
            settings: TenantSettings {
                organizers_may_register: self.organizers_may_register,
                sender_name: line("senderName", &self.sender_name)?,
                reply_to: self
                    .reply_to
                    .as_deref()
                    .map(|address| EmailAddress::parse("replyTo", address))
                    .transpose()?,
                reminder_lead,
                announcements_per_day: match &self.announcements_per_day {
                    Some(number) => whole(number, "announcementsPerDay")?,
                    None => TenantSettings::ANNOUNCEMENTS_PER_DAY_DEFAULT,
                },
                bulk_to_verified_only: self.bulk_to_verified_only.unwrap_or(true),
            },
        })
    }
}

/// A kind of mail that a customer does without.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct SuppressionResponse {
    /// The customer.
    customer_id: String,
    /// What they do without.
    #[schema(example = "event-announcement")]
    kind: &'static str,
    /// How they said so: `link` (in a mail) or `account` (signed in).
    #[schema(example = "link")]
    source: &'static str,
    /// When they said so.
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
    responses((status = 200, body = TenantResponse)),
    extensions(("x-error-codes" = json!(["not-found"]))))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<TenantResponse>> {
    Ok(JsonAnswer(engine.tenants().show(&caller).await?.into()))
}

/// Shows the tenant's settings, to its owners and organizers
#[utoipa::path(get, path = "/api/tenant/settings", tag = "tenant",
    operation_id = "show_settings",
    responses((status = 200, body = TenantSettingsResponse, headers(("ETag" = String)))),
    extensions(("x-error-codes" = json!(["forbidden", "not-found"]))))]
pub(in crate::routes) async fn settings(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<Response> {
    let tenant = engine.tenants().settings(&caller).await?;
    Ok(TenantSettingsResponse::answer(tenant))
}

/// Changes some of the tenant's settings (RFC 7396), by its owners
///
/// null resets a setting to its default. The sender's address is for operators to set.
#[utoipa::path(patch, path = "/api/tenant/settings", tag = "tenant",
    operation_id = "change_settings",
    request_body(content((TenantSettingsRequest = "application/merge-patch+json"),
        (TenantSettingsRequest = "application/json")), description = "Any of the settings"),
    params(("If-Match" = String, Header, description = "The ETag of the version that the caller saw")),
    responses((status = 200, body = TenantSettingsResponse, headers(("ETag" = String)))),
    extensions(("x-error-codes" = json!([
        "forbidden", "not-found", "conflict-try-again", "version-mismatch", "precondition-required"]))))]
pub(in crate::routes) async fn merge_settings(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    SeenVersions(seen): SeenVersions,
    MergePatch(patch): MergePatch,
) -> Answer<Response> {
    // If somebody changes the settings in between, the version no longer matches and nothing is written.
    let current = engine.tenants().settings_to_change(&caller).await?;
    let version = seen.judge(current.version)?;
    let request: TenantSettingsRequest = read_value(merged(&current, patch))?;
    let command = request.command(version)?;
    let changed = engine.tenants().update(&caller, command).await;
    let tenant = changed.map_err(|refusal| seen.refused(refusal))?;
    Ok(TenantSettingsResponse::answer(tenant))
}

/// Lists which mails the tenant's customers do without, in customer order
#[utoipa::path(get, path = "/api/tenant/suppressions", tag = "tenant", params(PageParams),
    operation_id = "list_suppressions",
    responses((status = 200, body = PageResponse<SuppressionResponse>)),
    extensions(("x-error-codes" = json!(["forbidden", "not-found"]))))]
pub(in crate::routes) async fn suppressions(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<SuppressionResponse>>> {
    let page = engine.subscriptions().list(&caller, page).await?;
    Ok(PageResponse::of(page, SuppressionResponse::from))
}

/// Merges a patch into what would leave the settings as they are.
fn merged(tenant: &Tenant, patch: Map<String, Value>) -> Value {
    let settings = &tenant.settings;
    let mut target = Map::from_iter([
        ("name".to_owned(), json!(tenant.name)),
        ("senderName".to_owned(), json!(settings.sender_name)),
        ("replyTo".to_owned(), json!(settings.reply_to)),
        (
            "reminderMinutes".to_owned(),
            json!(settings.reminder_lead.map(ReminderLead::minutes)),
        ),
        (
            "organizersMayRegister".to_owned(),
            json!(settings.organizers_may_register),
        ),
        (
            "announcementsPerDay".to_owned(),
            json!(settings.announcements_per_day),
        ),
        (
            "bulkToVerifiedOnly".to_owned(),
            json!(settings.bulk_to_verified_only),
        ),
    ]);
    merge_patch::merge(&mut target, patch);
    Value::Object(target)
}
