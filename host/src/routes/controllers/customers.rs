//! People as those see them who look after bookings: who booked, and looking people up.

use axum::{Json as JsonAnswer, extract::State};
use boxoffice_engine::{Customer, Engine};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, PageResponse, auth::UserResponse};
use crate::routes::{
    extract::{AsCaller, AtUserPage, PageParams, UserParams},
    refusals,
};

/// Who booked, holds or waits.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct CustomerResponse {
    /// The customer's id.
    pub(super) id: String,
    /// Their display name.
    pub(super) name: String,
    /// Their e-mail address.
    pub(super) email: String,
}

impl From<Customer> for CustomerResponse {
    fn from(customer: Customer) -> Self {
        Self {
            id: customer.id.to_string(),
            name: customer.name.to_string(),
            email: customer.email.to_string(),
        }
    }
}

/// Lists the tenant's users in order of creation, or finds some by address, name or the platform's id
///
/// For the tenant's owners and staff. All conditions must hold. A page of a search by name alone looks at 5,000 users: it may have
/// fewer items than its limit, or none, and still have a next page.
#[utoipa::path(get, path = "/api/users", tag = "users", params(PageParams, UserParams),
    responses((status = 200, body = PageResponse<UserResponse>), refusals::Restricted))]
pub(in crate::routes) async fn find(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtUserPage(page, filter): AtUserPage,
) -> Answer<JsonAnswer<PageResponse<UserResponse>>> {
    let page = engine.users().list(&caller, filter, page).await?;
    Ok(PageResponse::of(page, UserResponse::from))
}
