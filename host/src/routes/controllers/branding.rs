//! How a tenant's mails look, as a part of its settings, and its logo.
//!
//! Called by the controllers of tenants and operators.

use axum::{
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{
    Brand, BrandColor, Engine, HttpsUrl, LinkTarget, LinkTemplate, Result, TenantLinks,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Answer, patched::Patched};
use crate::routes::{
    extract::{AsCaller, bytes_of, require_type},
    refusals,
};

const PNG: &str = "image/png";

/// The look of a tenant's mails.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct BrandResponse {
    /// The colour of the line under the header and of buttons.
    #[schema(example = "#7a1f3d")]
    color: Option<String>,
    /// A picture at the tenant's own address. An uploaded logo (`/api/tenant/logo`) is shown instead.
    logo_url: Option<String>,
    /// The last lines of its mails.
    footer: Option<String>,
}

impl From<Brand> for BrandResponse {
    fn from(brand: Brand) -> Self {
        Self {
            color: brand.color.map(|color| color.to_string()),
            logo_url: brand.logo_url.map(|url| url.as_str().to_owned()),
            footer: brand.footer.map(|footer| footer.as_str().to_owned()),
        }
    }
}

/// The fields to change of the look of a tenant's mails. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct BrandPatchRequest {
    /// The colour of the line under the header and of buttons: `#` and six hexadecimal digits. Text on it is black or white,
    /// whichever is read better. Null: none.
    #[schema(value_type = Option<String>, example = "#7a1f3d", pattern = "^#[0-9A-Fa-f]{6}$")]
    #[serde(default)]
    color: Patched<String>,
    /// A picture at the tenant's own address: an https URL of up to 500 characters. Most mail programs load it only when their
    /// reader asks for it; an uploaded logo is shown at once. Null: none.
    #[schema(value_type = Option<String>, max_length = 500)]
    #[serde(default)]
    logo_url: Patched<String>,
    /// The last lines of its mails, such as an imprint: up to 500 characters. Null: none.
    #[schema(value_type = Option<String>, max_length = 500)]
    #[serde(default)]
    footer: Patched<String>,
}

impl BrandPatchRequest {
    /// The look with these changes.
    pub(super) fn applied(&self, before: &Brand) -> Result<Brand> {
        let mut brand = before.clone();
        self.color.write(&mut brand.color, None, |color| {
            BrandColor::parse("brand.color", color).map(Some)
        })?;
        self.logo_url.write(&mut brand.logo_url, None, |url| {
            HttpsUrl::parse("brand.logoUrl", url).map(Some)
        })?;
        self.footer
            .write(&mut brand.footer, None, |text| Brand::parse_footer(text))?;
        Ok(brand)
    }
}

/// The links to a tenant's own pages, with placeholders in braces.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TenantLinksResponse {
    /// Where a customer sees a booking.
    booking_url: Option<String>,
    /// Where a customer takes tickets that the waiting list offers.
    offer_url: Option<String>,
    /// Where anybody sees an event.
    event_url: Option<String>,
}

impl From<TenantLinks> for TenantLinksResponse {
    fn from(links: TenantLinks) -> Self {
        let text = |link: Option<LinkTemplate>| link.map(|link| link.as_str().to_owned());
        Self {
            booking_url: text(links.booking),
            offer_url: text(links.offer),
            event_url: text(links.event),
        }
    }
}

/// Changes the links to a tenant's own pages.
pub(super) fn change_links(
    links: &mut TenantLinks,
    [booking, offer, event]: [&Patched<String>; 3],
) -> Result<()> {
    for (target, link, patch) in [
        (LinkTarget::Booking, &mut links.booking, booking),
        (LinkTarget::Offer, &mut links.offer, offer),
        (LinkTarget::Event, &mut links.event, event),
    ] {
        patch.write(link, None, |text| {
            LinkTemplate::parse(target, text).map(Some)
        })?;
    }
    Ok(())
}

/// Shows the tenant's uploaded logo
#[utoipa::path(get, path = "/api/tenant/logo", tag = "tenant", security((), ("bearer" = [])), operation_id = "show_logo",
    responses((status = 200, content((Vec<u8> = "image/png")))))]
pub(in crate::routes) async fn show_logo(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<Response> {
    let bytes = engine.tenants().logo(&caller).await?;
    Ok(([(CONTENT_TYPE, PNG)], bytes).into_response())
}

/// Uploads the logo of the tenant's mails, for its owners: the PNG picture itself as the body
///
/// At most 64 KiB and 1,200 x 600 pixels, without animation. Mails carry it, so readers see it at once; it is shown on white, at most
/// 240 x 80 large, and comes before `brand.logoUrl`. The version of the settings is raised.
#[utoipa::path(put, path = "/api/tenant/logo", tag = "tenant", operation_id = "set_logo",
    request_body(content_type = "image/png", content = Vec<u8>),
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn set_logo(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    request: Request,
) -> Answer<StatusCode> {
    let tenants = engine.tenants();
    // Before anything is read: the permission.
    tenants.settings_to_change(&caller).await?;
    require_type(request.headers(), &[PNG])?;
    let bytes = bytes_of(request, &()).await?;
    tenants.set_logo(&caller, bytes.into()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes the tenant's uploaded logo, for its owners
#[utoipa::path(delete, path = "/api/tenant/logo", tag = "tenant", operation_id = "remove_logo",
    responses((status = 204), refusals::RestrictedChange))]
pub(in crate::routes) async fn remove_logo(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<StatusCode> {
    engine.tenants().remove_logo(&caller).await?;
    Ok(StatusCode::NO_CONTENT)
}
