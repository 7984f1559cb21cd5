//! Which mails the caller gets.

use axum::{Json as JsonAnswer, extract::State};
use boxoffice_engine::{Engine, Error, NotificationKind, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Answer;
use super::choices;
use crate::routes::extract::{AsCaller, Json};

/// Most items of the list: more than there are kinds is a mistake.
const ITEMS_MAX: usize = 16;

/// Which mails the caller gets.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct SubscriptionsResponse {
    /// The kinds of mail that one can do without.
    #[schema(value_type = Vec<choices::OptionalMailKind>)]
    kinds: Vec<&'static str>,
    /// Those that the caller does without.
    #[schema(value_type = Vec<choices::OptionalMailKind>)]
    unsubscribed: Vec<&'static str>,
}

/// Replaces which mails the caller does without.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct SubscriptionsRequest {
    /// The kinds of mail that the caller does without; all others come. Mails about what the caller booked always come, changed or cancelled events included.
    #[schema(value_type = Vec<choices::OptionalMailKind>)]
    unsubscribed: Vec<String>,
}

impl SubscriptionsRequest {
    fn kinds(&self) -> Result<Vec<NotificationKind>> {
        if self.unsubscribed.len() > ITEMS_MAX {
            return Err(Error::field("unsubscribed", "Name each kind once."));
        }
        let read = |(index, text): (usize, &String)| {
            let known = NotificationKind::NEED_CONSENT
                .iter()
                .find(|kind| kind.as_str() == text);
            known.copied().ok_or_else(|| {
                let kinds: Vec<&str> = NotificationKind::NEED_CONSENT
                    .iter()
                    .map(|kind| kind.as_str())
                    .collect();
                Error::field(
                    format!("unsubscribed[{index}]"),
                    format!("Only these kinds can be unsubscribed from: {}.", kinds.join(", ")),
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
            kinds: texts(NotificationKind::NEED_CONSENT),
            unsubscribed: texts(&unsubscribed),
        }
    }
}

/// Shows which mails the caller does without
#[utoipa::path(get, path = "/api/auth/me/subscriptions", tag = "auth", operation_id = "show_subscriptions",
    responses((status = 200, body = SubscriptionsResponse)),
    extensions(("x-error-codes" = json!(["forbidden"]))))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
) -> Answer<JsonAnswer<SubscriptionsResponse>> {
    let unsubscribed = engine.subscriptions().show(&caller).await?;
    Ok(JsonAnswer(unsubscribed.into()))
}

/// Replaces which mails the caller does without
///
/// The last one to say so wins; saying the same again changes nothing.
#[utoipa::path(put, path = "/api/auth/me/subscriptions", tag = "auth", operation_id = "replace_subscriptions",
    request_body = SubscriptionsRequest,
    responses((status = 200, body = SubscriptionsResponse)),
    extensions(("x-error-codes" = json!(["forbidden"]))))]
pub(in crate::routes) async fn replace(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Json(request): Json<SubscriptionsRequest>,
) -> Answer<JsonAnswer<SubscriptionsResponse>> {
    let kinds = request.kinds()?;
    let unsubscribed = engine.subscriptions().replace(&caller, &kinds).await?;
    Ok(JsonAnswer(unsubscribed.into()))
}
