//! Reading the body of an upload: a limited number for each tenant and in all, and a minimum speed, so that slow uploads never
//! block others.
//!
//! Called by the plugins controller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{body::Body, http::header::CONTENT_LENGTH};
use boxoffice_engine::{Error, ErrorCode, TenantId};
use futures::StreamExt as _;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::routes::{host_codes::UPLOAD_TOO_SLOW, problem::Problem};

use crate::locked::Locked as _;

/// Most uploads that are read at the same time, of all tenants and of one: each is in memory until it is written. Another
/// tenant's uploads find a place unless eight tenants upload slowly at once, and slow uploads are ended.
const UPLOADS_MAX: usize = 16;
const TENANT_UPLOADS_MAX: usize = 2;
/// Longest wait for a place.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(10);
/// The minimum average speed of an upload, after some time to begin. Usual connections are faster.
const BYTES_PER_SECOND_MIN: u64 = 64 * 1024;
const BEGINS_WITHIN: Duration = Duration::from_secs(5);

/// The upload places of one process.
pub(super) struct UploadPlaces {
    all: Arc<Semaphore>,
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// A place to read one upload.
pub(super) struct UploadPlace {
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl UploadPlaces {
    pub(super) fn new() -> Self {
        Self {
            all: Arc::new(Semaphore::new(UPLOADS_MAX)),
            tenants: Mutex::default(),
        }
    }

    /// Waits for a place of this tenant.
    ///
    /// # Errors
    /// `too-many-requests` if there is none in time.
    pub(super) async fn enter(&self, tenant: &TenantId) -> Result<UploadPlace, Error> {
        let own = self.of_tenant(tenant);
        let entering = async {
            // The tenant's own place first: it never has more requests in the common queue than it may read.
            let own = own.acquire_owned().await.ok()?;
            let of_all = self.all.clone().acquire_owned().await.ok()?;
            Some(UploadPlace {
                _own: own,
                _of_all: of_all,
            })
        };
        let entered = tokio::time::timeout(PLACE_WAIT_MAX, entering).await;
        entered.ok().flatten().ok_or_else(|| {
            Error::new(
                ErrorCode::TooManyRequests,
                format!(
                    "{TENANT_UPLOADS_MAX} uploads of this tenant are being read already; send this one when they are finished."
                ),
            )
            .retry_after(Duration::from_secs(5))
        })
    }

    fn of_tenant(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.locked();
        // Unused entries are removed; they are created again when needed.
        tenants.retain(|_, places| Arc::strong_count(places) > 1);
        tenants
            .entry(tenant.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(TENANT_UPLOADS_MAX)))
            .clone()
    }
}

/// Refuses a body whose declared length is too large.
pub(super) fn check_length(headers: &axum::http::HeaderMap, bytes_max: usize) -> Result<(), Error> {
    let given = headers.get(CONTENT_LENGTH);
    let length = given
        .and_then(|given| given.to_str().ok())
        .and_then(|text| text.parse::<u64>().ok());
    match length {
        Some(length) if length > bytes_max as u64 => Err(too_large(bytes_max)),
        _ => Ok(()),
    }
}

/// Reads a body of at most `bytes_max`.
///
/// # Errors
/// `body-too-large`, `upload-too-slow`, `malformed-request` if it ends early.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<Arc<[u8]>, Problem> {
    let begun = Instant::now();
    let mut frames = body.into_data_stream();
    let mut bytes = Vec::new();
    loop {
        let due = begun + BEGINS_WITHIN + time_for(bytes.len() as u64);
        let Ok(frame) = tokio::time::timeout_at(due, frames.next()).await else {
            let detail = format!(
                "{} seconds brought {} bytes; an upload must bring at least {BYTES_PER_SECOND_MIN} a second.",
                begun.elapsed().as_secs(),
                bytes.len()
            );
            return Err(Problem::host(&UPLOAD_TOO_SLOW, detail));
        };
        match frame {
            None => return Ok(bytes.into()),
            Some(Err(_)) => {
                let detail = "The upload ended early.";
                return Err(Error::new(ErrorCode::MalformedRequest, detail).into());
            }
            Some(Ok(frame)) => {
                if bytes.len() + frame.len() > bytes_max {
                    return Err(too_large(bytes_max).into());
                }
                bytes.extend_from_slice(&frame);
            }
        }
    }
}

fn time_for(bytes: u64) -> Duration {
    Duration::from_millis(bytes.saturating_mul(1_000) / BYTES_PER_SECOND_MIN)
}

fn too_large(bytes_max: usize) -> Error {
    Error::new(
        ErrorCode::BodyTooLarge,
        format!("The upload has more than {bytes_max} bytes."),
    )
}
