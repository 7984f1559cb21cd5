//! The id of the request that is being served: what a host calls it in its answers and logs, so that what the engine
//! keeps of a request can be found by it.
//!
//! Called by hosts around each request, and by what keeps something of it.

use std::sync::Arc;

tokio::task_local! {
    static REQUEST_ID: Arc<str>;
}

/// Serves a request under its id: failed calls of plugins that it leads to are kept with it.
pub async fn in_request<F: Future>(id: Arc<str>, served: F) -> F::Output {
    REQUEST_ID.scope(id, served).await
}

/// The id of the request that this task serves; `None` outside of one.
pub(crate) fn request_id() -> Option<String> {
    REQUEST_ID.try_with(|id| id.as_ref().to_owned()).ok()
}
