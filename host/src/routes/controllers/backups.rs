//! Backups of the whole store, and the release of a restored one.

use axum::{
    Json as JsonAnswer,
    body::{Body, Bytes},
    extract::State,
    http::{
        HeaderValue,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use boxoffice_engine::{Backup, Engine, Restoration};
use futures::stream;
use serde::Serialize;
use utoipa::ToSchema;

use super::Answer;
use crate::routes::{extract::AsOperator, refusals};

/// Lines of JSON (https://github.com/ndjson/ndjson-spec).
const LINES_OF_JSON: &str = "application/x-ndjson";

/// The backup that this store was restored from.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct RestorationResponse {
    /// When the backup was taken; null if the store was not restored.
    taken_at: Option<String>,
    /// When it was restored.
    restored_at: Option<String>,
    /// Since when its mails are sent; null while they are held back.
    released_at: Option<String>,
    /// Whether mails wait for the release by an operator.
    mails_are_held: bool,
}

impl From<Option<Restoration>> for RestorationResponse {
    fn from(restoration: Option<Restoration>) -> Self {
        let held = |restoration: &Restoration| restoration.released_at.is_none();
        Self {
            mails_are_held: restoration.as_ref().is_some_and(held),
            taken_at: restoration.as_ref().map(|one| one.taken_at.to_string()),
            restored_at: restoration.as_ref().map(|one| one.restored_at.to_string()),
            released_at: restoration
                .and_then(|one| one.released_at)
                .map(|at| at.to_string()),
        }
    }
}

/// Takes a backup: a consistent snapshot of everything
///
/// Lines of JSON, the last with the number of rows and the SHA-256 of all before it. Without that line it is incomplete. It has
/// personal data and hashes of passwords, but no sessions. `boxoffice restore` restores it.
#[utoipa::path(get, path = "/api/operator/backup", tag = "operator",
    responses((status = 200, content_type = "application/x-ndjson", body = String, headers(("Content-Disposition" = String))), refusals::Restricted))]
pub(in crate::routes) async fn backup(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
) -> Answer<Response> {
    let backup = engine.operators().back_up(&caller).await?;
    let pieces = stream::unfold(backup, async |mut backup: Backup| {
        let piece = backup.next().await?;
        // An error ends the response before its last line, so it cannot be taken for complete.
        let piece = piece.map(Bytes::from).inspect_err(|error| {
            tracing::warn!(error = ?error, "a backup ended early");
        });
        Some((piece, backup))
    });
    let mut response = Body::from_stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(LINES_OF_JSON));
    let name = HeaderValue::from_static("attachment; filename=\"boxoffice-backup.jsonl\"");
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// Shows the backup that the store was restored from
#[utoipa::path(get, path = "/api/operator/restoration", tag = "operator",
    responses((status = 200, body = RestorationResponse), refusals::Restricted))]
pub(in crate::routes) async fn restoration(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
) -> Answer<JsonAnswer<RestorationResponse>> {
    let restoration = engine.operators().restoration(&caller).await?;
    Ok(JsonAnswer(restoration.into()))
}

/// Releases the mails of a restored store
///
/// Deliveries that may have been sent since the backup stay `unknown`, and are sent only by a retry. Repeating this
/// changes nothing.
#[utoipa::path(post, path = "/api/operator/restoration/release", tag = "operator",
    responses((status = 200, body = RestorationResponse), refusals::ReleaseRestoration))]
pub(in crate::routes) async fn release(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
) -> Answer<JsonAnswer<RestorationResponse>> {
    let restoration = engine.operators().release(&caller).await?;
    Ok(JsonAnswer(Some(restoration).into()))
}
