//! The feed of changes: pages for programs that poll, and a stream of server-sent events for those that follow.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::{HeaderName, HeaderValue},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use boxoffice_engine::{
    Booking, Caller, Change, ChangePage, ChangedObject, Engine, Error, ErrorCode, Result,
    TicketTransfer, WaitlistEntry, WithCustomer,
};
use futures::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use super::{
    Answer,
    auth::UserResponse,
    bookings::BookingResponse,
    events::EventResponse,
    holds::HoldResponse,
    live::{LASTS, Place, Places, STANDS_EVERY},
    payments::PaymentResponse,
    receipts::ReceiptResponse,
    waitlist::WaitlistEntryResponse,
};
use crate::routes::{
    choices,
    extract::{AsCaller, AtChanges, ChangeParams, LastEventId},
    refusals,
};

/// Proxies such as nginx gather a response before they send it on, unless they are told not to.
const NO_BUFFERING: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);
/// The pause after which a stream that could not read tries again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A change of one object, with the whole object as it was after it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ChangeResponse {
    /// Its place in the feed: what to go on after.
    #[schema(example = "0.42")]
    cursor: String,
    /// Its number. Numbers of a tenant have no gaps.
    sequence: u64,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(value_type = choices::ChangeType)]
    kind: &'static str,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The object's id.
    id: String,
    /// How many changes of the object there were, this one included. Changes of one object come in the order of versions.
    version: u64,
    /// The object, by the first word of `type`; null once the personal data of whoever it names were erased.
    data: Option<ChangedObjectResponse>,
}

/// The object of a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(in crate::routes) enum ChangedObjectResponse {
    /// Of `event.*`.
    Event(Box<EventResponse>),
    /// Of `booking.*`.
    Booking(Box<ChangedBookingResponse>),
    /// Of `hold.*`.
    Hold(Box<HoldResponse>),
    /// Of `waitlist.*`.
    Waitlist(Box<ChangedWaitlistEntryResponse>),
    /// Of `payment.*`.
    Payment(Box<PaymentResponse>),
    /// Of `receipt.*`.
    Receipt(Box<ReceiptResponse>),
    /// Of `customer.*`.
    Customer(Box<UserResponse>),
}

/// A booking in a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ChangedBookingResponse {
    #[serde(flatten)]
    booking: BookingResponse,
    /// Numbers of the tickets that are checked in, in order.
    checked_in_tickets: Vec<u32>,
    /// The tickets that were given to somebody else, by number, with their last transfer.
    transferred_tickets: Vec<TransferredTicketResponse>,
}

/// The last transfer of a ticket.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct TransferredTicketResponse {
    /// The ticket's number in its booking.
    number: u32,
    /// The account that has it.
    owner_id: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    transferred_at: Timestamp,
}

/// An entry of a waiting list in a change.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ChangedWaitlistEntryResponse {
    /// The event.
    event_id: String,
    #[serde(flatten)]
    entry: WaitlistEntryResponse,
}

/// Changes in order, and where to go on.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ChangePageResponse {
    /// The changes. With a filter there may be none though more follow.
    items: Vec<ChangeResponse>,
    /// Where to go on: send it as `after`. Never null: more changes will come.
    next_cursor: String,
    /// Whether there is more to be read now.
    has_more: bool,
}

impl From<&TicketTransfer> for TransferredTicketResponse {
    fn from(transfer: &TicketTransfer) -> Self {
        Self {
            number: transfer.number,
            owner_id: transfer.to.to_string(),
            transferred_at: transfer.at,
        }
    }
}

impl From<Booking> for ChangedBookingResponse {
    fn from(booking: Booking) -> Self {
        Self {
            checked_in_tickets: booking.checked_in.clone(),
            transferred_tickets: booking.transfers.iter().map(Into::into).collect(),
            booking: booking.into(),
        }
    }
}

impl From<WaitlistEntry> for ChangedWaitlistEntryResponse {
    fn from(entry: WaitlistEntry) -> Self {
        Self {
            event_id: entry.event.to_string(),
            entry: WithCustomer {
                item: entry,
                person: None,
            }
            .into(),
        }
    }
}

impl From<ChangedObject> for ChangedObjectResponse {
    fn from(object: ChangedObject) -> Self {
        match object {
            ChangedObject::Event(event) => Self::Event(Box::new((*event).into())),
            ChangedObject::Booking(booking) => Self::Booking(Box::new((*booking).into())),
            ChangedObject::Hold(hold) => Self::Hold(Box::new((*hold).into())),
            ChangedObject::Waitlist(entry) => Self::Waitlist(Box::new((*entry).into())),
            ChangedObject::Payment(payment) => Self::Payment(Box::new((*payment).into())),
            ChangedObject::Receipt(receipt) => Self::Receipt(Box::new((*receipt).into())),
            ChangedObject::Customer(user) => Self::Customer(Box::new((*user).into())),
        }
    }
}

impl From<Change> for ChangeResponse {
    fn from(change: Change) -> Self {
        Self {
            cursor: change.cursor.to_string(),
            sequence: change.cursor.sequence,
            kind: change.kind.as_str(),
            at: change.at,
            id: change.id,
            version: change.version,
            data: change.object.map(Into::into),
        }
    }
}

impl From<ChangePage> for ChangePageResponse {
    fn from(page: ChangePage) -> Self {
        Self {
            items: page.changes.into_iter().map(Into::into).collect(),
            next_cursor: page.next.to_string(),
            has_more: page.has_more,
        }
    }
}

/// Reads what changed: events, bookings, holds, waiting lists, payments, receipts and accounts, for owners and programs
///
/// Every change of an object is there once, in the order of its versions, a moment after it was made. Keep `nextCursor`, and send it as
/// `after` to go on. `feed-restarted` and `changes-expired` say where to go on after the objects were read anew.
#[utoipa::path(get, path = "/api/changes", tag = "changes", operation_id = "list_changes", params(ChangeParams),
    responses((status = 200, body = ChangePageResponse), refusals::ReadChanges))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtChanges(wanted): AtChanges,
) -> Answer<JsonAnswer<ChangePageResponse>> {
    let page = engine
        .changes()
        .read(&caller, wanted.after.as_ref(), &wanted.filter, wanted.limit)
        .await?;
    Ok(JsonAnswer(page.into()))
}

/// The streams of changes of this process.
pub(in crate::routes) struct ChangeStreams {
    places: Arc<Places>,
    stopping: CancellationToken,
}

impl ChangeStreams {
    pub(in crate::routes) fn new(stopping: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            places: Arc::default(),
            stopping,
        })
    }
}

/// Follows the feed (text/event-stream): each event has the change's cursor as its id, its type as its name, and as data what
/// `GET /api/changes` has as an item. It begins after `Last-Event-ID`, which browsers and clients send when they reconnect, or after
/// `after`, or without both at the end of the feed. The stream ends with the session or key, and now and then by itself: reconnect.
pub(in crate::routes) async fn stream(
    State(engine): State<Engine>,
    State(streams): State<Arc<ChangeStreams>>,
    AsCaller(caller): AsCaller,
    LastEventId(last): LastEventId,
    AtChanges(wanted): AtChanges,
) -> Answer<Response> {
    let after = match last.or(wanted.after) {
        Some(after) => {
            // Refused here, not in the stream, which clients would open again and again.
            let (changes, filter) = (engine.changes(), &wanted.filter);
            changes.read(&caller, Some(&after), filter, 1).await?;
            after
        }
        None => engine.changes().end(&caller).await?,
    };
    let place = streams.places.take(&caller).ok_or_else(|| {
        Error::new(
            ErrorCode::Unavailable,
            "Too many programs are following this host; end some, or try again later.",
        )
        .retry_after(Duration::from_secs(30))
    })?;
    let changes = engine
        .changes()
        .stream(&caller, Some(after), wanted.filter)?;
    let follower = Follower {
        changes: Box::pin(changes),
        engine,
        caller,
        stopping: streams.stopping.clone(),
        until: Instant::now() + LASTS,
        stands_at: Instant::now() + STANDS_EVERY,
        _place: place,
    };
    let events = stream::unfold(follower, async |mut follower| {
        let event = follower.next().await?;
        Some((Ok::<_, Infallible>(event), follower))
    });
    let alive = KeepAlive::new().interval(Duration::from_secs(15));
    let response = Sse::new(events).keep_alive(alive);
    Ok(([NO_BUFFERING], response).into_response())
}

struct Follower<S> {
    changes: S,
    engine: Engine,
    caller: Caller,
    stopping: CancellationToken,
    until: Instant,
    stands_at: Instant,
    _place: Place,
}

impl<S: Stream<Item = Result<Change>> + Unpin> Follower<S> {
    /// The next event; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        loop {
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return None,
                () = tokio::time::sleep_until(self.until) => return None,
                () = tokio::time::sleep_until(self.stands_at) => {
                    // Without an answer nobody knows whether the session has ended.
                    if !matches!(self.engine.sessions().stands(&self.caller).await, Ok(true)) {
                        return None;
                    }
                    self.stands_at = Instant::now() + STANDS_EVERY;
                }
                change = self.changes.next() => match change? {
                    Ok(change) => return event_of(change),
                    Err(error) => {
                        tracing::warn!(error = ?error, "reading changes failed, will retry");
                        tokio::time::sleep(RETRY_AFTER).await;
                    }
                },
            }
        }
    }
}

fn event_of(change: Change) -> Option<Event> {
    let (id, kind) = (change.cursor.to_string(), change.kind.as_str());
    match serde_json::to_string(&ChangeResponse::from(change)) {
        Ok(data) => Some(Event::default().id(id).event(kind).data(data)),
        Err(error) => {
            tracing::error!(%error, "writing a change as JSON failed");
            None
        }
    }
}
