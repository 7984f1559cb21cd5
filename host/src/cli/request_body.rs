//! A request's body that records whether it was read to its end: only then another request can follow
//! on the same connection.
//!
//! Used by `connection`.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};

use crate::locked::Locked as _;

/// Most bytes that are read of an unwanted body, so that the client can reuse the connection: as much as is
/// usually in flight already.
const READ_ON_BYTES_MAX: u64 = 64 * 1024;
/// How long a refusal waits for it: the round trip of a slow network.
const READ_ON_TIME: Duration = Duration::from_millis(500);

/// The state of a body.
#[derive(Debug)]
pub(super) enum Left {
    /// It is being read.
    InUse,
    /// It was read to its end.
    Nothing,
    /// Its reader stopped before the end, perhaps before the beginning.
    Some { body: Incoming, is_begun: bool },
}

/// A body whose reader may stop early.
#[derive(Debug)]
pub(super) struct WatchedBody {
    body: Option<Incoming>,
    is_begun: bool,
    left: Arc<Mutex<Left>>,
}

impl WatchedBody {
    /// Watches a body; the second value gets its state.
    pub(super) fn new(body: Incoming) -> (Self, Arc<Mutex<Left>>) {
        let left = Arc::new(Mutex::new(match body.is_end_stream() {
            true => Left::Nothing,
            false => Left::InUse,
        }));
        let watched = Self {
            body: Some(body),
            is_begun: false,
            left: left.clone(),
        };
        (watched, left)
    }

    fn tell(&self, left: Left) {
        *self.left.locked() = left;
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let Some(body) = &mut this.body else {
            return Poll::Ready(None);
        };
        this.is_begun = true;
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        if frame.is_none() || body.is_end_stream() {
            this.body = None;
            this.tell(Left::Nothing);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        if let Some(body) = self.body.take()
            && !body.is_end_stream()
        {
            let is_begun = self.is_begun;
            self.tell(Left::Some { body, is_begun });
        }
    }
}

/// Returns whether a body was read to its end, or can be within a moment. `waits`: its client waits for `100 Continue`.
pub(super) async fn read_on(left: &Mutex<Left>, waits: bool) -> bool {
    let left = {
        let mut left = left.locked();
        std::mem::replace(&mut *left, Left::InUse)
    };
    match left {
        Left::Nothing => true,
        Left::InUse => false,
        Left::Some { body, is_begun } => {
            let is_short = body.size_hint().lower() <= READ_ON_BYTES_MAX;
            let may_ask = is_begun || !waits;
            let rest = tokio::time::timeout(READ_ON_TIME, read_rest(body));
            is_short && may_ask && rest.await.unwrap_or(false)
        }
    }
}

/// Reads and drops the rest. Returns whether it ended within the limit.
async fn read_rest(mut body: Incoming) -> bool {
    let mut bytes = 0;
    while bytes <= READ_ON_BYTES_MAX {
        let next = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context));
        match next.await {
            None => return true,
            Some(Err(_)) => return false,
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
        }
    }
    false
}
