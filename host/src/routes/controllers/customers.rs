//! People as those see them who look after bookings: who booked, and looking people up.

use axum::{Json as JsonAnswer, extract::State, response::Response};
use boxoffice_engine::{Customer, Engine, UserFilter};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, PageResponse, auth::UserResponse, exports::Reader};
use crate::routes::{
    extract::{AsCaller, AtUserPage, ExportParams, InFormat, PageParams, UserParams},
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

/// A customer's name and address, for the cells of an export.
pub(super) fn name_and_address(customer: Option<&CustomerResponse>) -> [String; 2] {
    let cells = customer.map(|customer| [customer.name.clone(), customer.email.clone()]);
    cells.unwrap_or_default()
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

/// Exports the tenant's users, for its owners and staff
///
/// A line for each user, in order of creation. For CSV see the export of bookings.
#[utoipa::path(get, path = "/api/users/export", tag = "users", params(ExportParams), operation_id = "export_users",
    responses((status = 200, content((String = "text/csv"), (UserResponse = "application/x-ndjson"))), refusals::Restricted))]
pub(in crate::routes) async fn export(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    InFormat(format): InFormat,
) -> Answer<Response> {
    let read = move |reader: Reader, page| async move {
        let users = reader.engine.users();
        users
            .list(&reader.caller, UserFilter::default(), page)
            .await
    };
    let reader = Reader { engine, caller };
    let rows = |user| vec![UserResponse::from(user)];
    Ok(reader.file("users", format, read, rows).await?)
}
