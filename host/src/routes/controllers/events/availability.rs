//! What is left of an event.

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, VARY},
    },
    response::{IntoResponse as _, Response},
};
use boxoffice_engine::{Availability, Engine, EventId, TypeAvailability};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Answer, responses::AvailableResponse};
use crate::routes::{
    choices,
    extract::{AsCaller, Id},
    refusals,
};

/// What is left of an event at a moment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct AvailabilityResponse {
    /// The event.
    event_id: String,
    /// `published`, `cancelled`, or `draft` for those who see drafts.
    #[schema(value_type = choices::EventStatus)]
    status: &'static str,
    /// The moment.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What is left of all types together.
    available: AvailableResponse,
    /// Its ticket types, in their order.
    ticket_types: Vec<TypeAvailabilityResponse>,
}

/// What is left of a ticket type at a moment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TypeAvailabilityResponse {
    /// The type's id.
    id: String,
    /// Its name.
    name: String,
    /// `open`, `sold-out`, `not-yet` or `over`.
    #[schema(value_type = choices::SaleState)]
    state: &'static str,
    /// What is left of it, and of the event.
    available: AvailableResponse,
    /// Price of one ticket before any policy, in minor units.
    price_minor: u32,
    /// When its sale begins; null if it has no beginning.
    #[schema(value_type = Option<String>, format = DateTime)]
    sales_open_at: Option<Timestamp>,
    /// When its sale ends.
    #[schema(value_type = String, format = DateTime)]
    sales_close_at: Timestamp,
}

impl From<Availability> for AvailabilityResponse {
    fn from(availability: Availability) -> Self {
        let types = availability.ticket_types.into_iter();
        Self {
            event_id: availability.event.to_string(),
            status: availability.status.as_str(),
            at: availability.at,
            available: availability.available.into(),
            ticket_types: types.map(TypeAvailabilityResponse::from).collect(),
        }
    }
}

impl From<TypeAvailability> for TypeAvailabilityResponse {
    fn from(kind: TypeAvailability) -> Self {
        Self {
            id: kind.id.to_string(),
            name: kind.name.to_string(),
            state: kind.state.as_str(),
            available: kind.available.into(),
            price_minor: kind.price_minor,
            sales_open_at: kind.sales_open_at,
            sales_close_at: kind.sales_close_at,
        }
    }
}

/// Shows what is left of an event, and what can be booked now
///
/// Before policies are asked. Proxies may keep the answer for a second, because many may ask often; not that of a draft, and none that
/// tells more than everybody is told.
#[utoipa::path(get, path = "/api/events/{id}/availability", tag = "events", security((), ("bearer" = [])), operation_id = "availability",
    params(("id" = String, Path, description = "Which event")),
    responses((status = 200, body = AvailabilityResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(event): Id<EventId>,
) -> Answer<Response> {
    let availability = engine.events().availability(&caller, event).await?;
    let is_public = availability.is_public;
    let mut response = JsonAnswer(AvailabilityResponse::from(availability)).into_response();
    if is_public {
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=1"));
        // Those who manage the event are told more, and must not get what a cache keeps for everybody.
        let vary = HeaderValue::from_static("X-Tenant, Authorization, Cookie");
        headers.append(VARY, vary);
    }
    Ok(response)
}
