//! The connection with its requests: one timeout, one interpretation of the server's errors, and creation of missing streams.
//!
//! Called by the queue's operations. Calls async-nats and settings.

use std::{
    error::Error as StdError,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_nats::{
    Client, HeaderMap, Message, RequestErrorKind,
    connection::State,
    jetstream::{
        consumer,
        response::Response,
        stream::{self},
    },
};
use boxoffice_engine::{Error, ErrorCode, ports::Lane};
use futures::{StreamExt as _, TryStreamExt as _, stream as streams};
use serde_json::{Value, json};
use tokio::{
    sync::Mutex,
    time::{error::Elapsed, timeout},
};

use crate::{
    options::{ConnectError, JetStreamOptions, REQUEST_TIMEOUT},
    settings::{self, Names, SHARDS, StreamState},
};

/// Concurrent requests for work on many items: enough to hide the round trip, few enough that the last one
/// is answered long before its timeout.
pub(crate) const PIPELINED: usize = 64;
/// Limits work that passes more than one message to the client, which takes none while it is disconnected.
const WORK_TIMEOUT: Duration = Duration::from_secs(10);

/// JetStream's code for a missing stream.
const STREAM_NOT_FOUND: u64 = 10_059;

/// Why a request to the broker failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokerError {
    /// It is unreachable, or does not answer.
    #[error("NATS does not answer")]
    Away(#[source] Option<Box<dyn StdError + Send + Sync>>),
    /// The stream or its consumer is missing.
    #[error("the stream or its consumer is missing")]
    Missing,
    /// It refused.
    #[error("JetStream refused: {description}")]
    Refused {
        /// JetStream's code.
        code: u64,
        /// The status, as in HTTP.
        status: usize,
        /// Its message.
        description: String,
    },
}

impl BrokerError {
    pub(crate) fn away(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Away(Some(error.into()))
    }

    /// Reads an answer of the JetStream API.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(answer: &Message) -> Result<T, Self> {
        match serde_json::from_slice(&answer.payload).map_err(Self::away)? {
            Response::Ok(value) => Ok(value),
            Response::Err { error } if error.error_code().0 == STREAM_NOT_FOUND => {
                Err(Self::Missing)
            }
            Response::Err { error } => Err(Self::Refused {
                code: error.error_code().0,
                status: error.code(),
                description: error.to_string(),
            }),
        }
    }
}

impl From<BrokerError> for Error {
    /// Everything is `unavailable`: the database has all work, and the caller tries again.
    fn from(trouble: BrokerError) -> Self {
        // A full stream empties as fast as mails are sent; an outage may be over in a moment.
        let seconds = if matches!(trouble, BrokerError::Refused { .. }) {
            5
        } else {
            1
        };
        Error::new(
            ErrorCode::Unavailable,
            "The job queue is not available right now.",
        )
        .retry_after(Duration::from_secs(seconds))
        .caused_by(trouble)
    }
}

impl From<Elapsed> for BrokerError {
    fn from(error: Elapsed) -> Self {
        Self::away(error)
    }
}

/// The connection, and the settings of its streams.
pub(crate) struct Broker {
    pub(crate) client: Client,
    pub(crate) names: Names,
    options: JetStreamOptions,
    /// Whether the streams are known to exist. Reset when something scheduler out to be missing.
    prepared: AtomicBool,
    preparing: Mutex<()>,
}

impl Broker {
    pub(crate) fn new(client: Client, options: JetStreamOptions) -> Self {
        Self {
            client,
            names: Names::new(&options.prefix),
            options,
            prepared: AtomicBool::new(false),
            preparing: Mutex::new(()),
        }
    }

    /// Sends a request, and waits for the answer.
    pub(crate) async fn request(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Vec<u8>,
    ) -> Result<Message, BrokerError> {
        // Refused at once: the client would keep the request until the connection is back, or until the timeout.
        if self.client.connection_state() != State::Connected {
            return Err(BrokerError::Away(None));
        }
        let request = async_nats::Request::new().payload(payload.into());
        let request = match headers {
            Some(headers) => request.headers(headers),
            None => request,
        };
        // The client's own timeout begins when it has taken the request, which a stalled connection delays.
        let answer = timeout(
            REQUEST_TIMEOUT * 2,
            self.client.send_request(subject, request),
        )
        .await?;
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => BrokerError::Missing,
            _ => BrokerError::away(error),
        })
    }

    /// Calls the JetStream API.
    pub(crate) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        body: &Value,
    ) -> Result<T, BrokerError> {
        let body = serde_json::to_vec(body).map_err(BrokerError::away)?;
        let answer = self.request(format!("$JS.API.{what}"), None, body).await?;
        BrokerError::read(&answer)
    }

    /// Runs `work` with existing streams: again after creating them if something is missing.
    pub(crate) async fn with_streams<T, F: Future<Output = Result<T, BrokerError>>>(
        &self,
        work: impl Fn() -> F,
    ) -> Result<T, BrokerError> {
        self.prepare().await?;
        match timeout(WORK_TIMEOUT, work()).await? {
            Err(BrokerError::Missing) => {
                tracing::warn!("a stream or consumer is missing; creating it again");
                self.prepared.store(false, Ordering::Release);
                self.prepare().await?;
                timeout(WORK_TIMEOUT, work()).await?
            }
            outcome => outcome,
        }
    }

    /// Creates or updates streams and consumers, unless that was done before.
    pub(crate) async fn prepare(&self) -> Result<(), BrokerError> {
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        let _one = self.preparing.lock().await;
        if self.prepared.load(Ordering::Acquire) {
            return Ok(());
        }
        for lane in Lane::ALL {
            self.prepare_lane(lane).await?;
        }
        self.prepared.store(true, Ordering::Release);
        Ok(())
    }

    async fn prepare_lane(&self, lane: Lane) -> Result<(), BrokerError> {
        let wanted = settings::stream(&self.options, lane);
        let name = &wanted.name;
        let change = match self.stream_info(lane).await {
            Ok(found) => match settings::stream_state(&found.config, &wanted) {
                StreamState::Newer => return Ok(()),
                StreamState::Current => None,
                StreamState::Outdated => Some("UPDATE"),
            },
            Err(BrokerError::Missing) => Some("CREATE"),
            Err(trouble) => return Err(trouble),
        };
        if let Some(change) = change {
            let body = serde_json::to_value(&wanted).map_err(BrokerError::away)?;
            // If several processes create the same, all succeed.
            let _: stream::Info = self.ask(&format!("STREAM.{change}.{name}"), &body).await?;
            tracing::info!(stream = name, change, "set up a stream");
        }
        // Creating an existing consumer changes nothing; one request each, all concurrent.
        let requests: Vec<_> = (0..SHARDS)
            .map(|shard| {
                let config = settings::consumer(&self.options, lane, shard);
                let subject = format!(
                    "CONSUMER.CREATE.{name}.{}.{}",
                    Names::consumer(shard),
                    config.filter_subject
                );
                let body = json!({ "stream_name": name, "config": config, "action": "" });
                async move { self.ask::<consumer::Info>(&subject, &body).await }
            })
            .collect();
        streams::iter(requests)
            .buffer_unordered(PIPELINED)
            .try_for_each(async |_| Ok(()))
            .await
    }

    pub(crate) async fn stream_info(&self, lane: Lane) -> Result<stream::Info, BrokerError> {
        let what = format!("STREAM.INFO.{}", self.names.stream(lane));
        self.ask(&what, &json!({})).await
    }

    /// The state of a lane's consumers, shard by shard.
    pub(crate) async fn consumers(&self, lane: Lane) -> Result<Vec<consumer::Info>, BrokerError> {
        let stream = self.names.stream(lane);
        let requests: Vec<_> = (0..SHARDS)
            .map(|shard| format!("CONSUMER.INFO.{stream}.{}", Names::consumer(shard)))
            .map(|what| async move { self.ask(&what, &json!({})).await })
            .collect();
        streams::iter(requests)
            .buffered(PIPELINED)
            .try_collect()
            .await
    }

    /// Reads why the streams could not be created at the start; `None` for a temporary reason.
    pub(crate) fn lasting(&self, trouble: BrokerError) -> Option<ConnectError> {
        let info = self.client.server_info();
        if !info.version.is_empty() && !self.client.is_server_compatible(2, 12, 0) {
            return Some(ConnectError::TooOld {
                version: info.version,
            });
        }
        match trouble {
            // "Service unavailable" is temporary: a cluster without a leader, a full disk.
            BrokerError::Refused { status, .. } if status != 503 => {
                Some(ConnectError::Setup(trouble.into()))
            }
            _ => {
                tracing::warn!(error = ?trouble, "creating the streams failed; will retry when they are needed");
                None
            }
        }
    }
}
