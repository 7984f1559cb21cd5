//! The caller's subscriptions to bulk mails.

use axum::{Json as JsonAnswer, extract::State};
use boxoffice_engine::{Engine, Error, NotificationKind, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use crate::routes::{
    choices,
    extract::{AsCaller, Json},
    refusals,
};

/// Most items of the list: more than the number of kinds is a mistake.
const ITEMS_MAX: usize = 16;

/// The caller's subscriptions to bulk mails.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct SubscriptionsResponse {
    /// The kinds of mail that customers can unsubscribe from.
    #[schema(value_type = Vec<choices::OptionalMailKind>)]
    kinds: Vec<&'static str>,
    /// The kinds that the caller has unsubscribed from.
    #[schema(value_type = Vec<choices::OptionalMailKind>)]
    unsubscribed: Vec<&'static str>,
}

/// Replaces the kinds that the caller has unsubscribed from.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct SubscriptionsRequest {
    /// The kinds that the caller unsubscribes from; they get all others. Mails about their bookings are always sent, also about changed or cancelled events.
    #[schema(value_type = Vec<choices::OptionalMailKind>)]
    unsubscribed: Vec<String>,
}

impl SubscriptionsRequest {
    fn kinds(&self) -> Result<Vec<NotificationKind>> {
        if self.unsubscribed.len() > ITEMS_MAX {
            return Err(Error::field("unsubscribed", "Name each kind once."));
        }
        let all = NotificationKind::needing_consent();
        let read = |(index, text): (usize, &String)| {
            let known = all.iter().copied().find(|kind| kind.as_str() == text);
            known.ok_or_else(|| {
                let kinds: Vec<&str> = all.iter().map(|kind| kind.as_str()).collect();
                Error::field(
                    format!("unsubscribed[{index}]"),
                    format!(
                        "Only these kinds can be unsubscribed from: {}.",
                        kinds.join(", ")
                    ),
                )
            })
        };
        self.unsubscribed.iter().enumerate().map(read).collect()
    }
}

impl From<Vec<NotificationKind>> for SubscriptionsResponse {
    fn from(unsubscribed: Vec<NotificationKind>) -> Self {
        let texts = |kinds: &[NotificationKind]| kinds.iter().map(|kind| kind.as_str()).collect();
        Self {
            kinds: texts(&NotificationKind::needing_consent()),
            unsubscribed: texts(&unsubscribed),
        }
    }
}

/// Shows the kinds of mail that the caller has unsubscribed from
#[utoipa::path(get, path = "/api/auth/me/subscriptions", tag = "auth", operation_id = "show_subscriptions",
    responses((status = 200, body = SubscriptionsResponse), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<SubscriptionsResponse>> {
    let unsubscribed = engine.subscriptions().show(&caller).await?;
    Ok(JsonAnswer(unsubscribed.into()))
}

/// Replaces the kinds of mail that the caller has unsubscribed from
///
/// The last request wins. Repeating a request changes nothing.
#[utoipa::path(put, path = "/api/auth/me/subscriptions", tag = "auth", operation_id = "replace_subscriptions",
    request_body = SubscriptionsRequest,
    responses((status = 200, body = SubscriptionsResponse), refusals::RestrictedChange))]
pub(in crate::routes) async fn replace(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<SubscriptionsRequest>,
) -> Answer<JsonAnswer<SubscriptionsResponse>> {
    let kinds = request.kinds()?;
    let unsubscribed = engine.subscriptions().replace(&caller, &kinds).await?;
    Ok(JsonAnswer(unsubscribed.into()))
}
