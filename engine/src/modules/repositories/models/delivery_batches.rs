//! The row of a delivery batch, with few and short fields: every value of a row costs time to bind, store and read
//! back, and a batch of 32 with separate fields would have 250 of them.
//!
//! The constant part (`recipients`) is separate from the rest, so that a step of delivery sends and writes only the
//! latter.

use serde::{Deserialize, Serialize};
use surrealdb::types::{RecordId, SurrealValue, Value};

use super::keys::{
    at_millisecond, key_number, key_text, key_ulid, millisecond, record, stored_ulid, ulid_key,
};
use crate::{
    error::{Error, Result},
    types::{
        Attempt, BatchClaim, BookingId, DeliveryBatch, DeliveryRecord, DeliveryState, EventId,
        NotificationId, TenantId, TraceParent, UserId,
    },
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct DeliveryBatchRow {
    pub(in crate::modules::repositories) id: RecordId,
    kind: String,
    event: Option<String>,
    created_at: i64,
    /// For each delivery its recipient, or `CUSTOMER.SERIAL` of its booking, or `RECIPIENT.SERIAL.CUSTOMER` if somebody else hears of
    /// the booking; separated by spaces.
    recipients: String,
    /// For each delivery its place in a trace, or `-`, separated by spaces; one for all if it is the same; `None` without any.
    traces: Option<String>,
    revision: i64,
    states: String,
    notes: Option<String>,
    claim: Option<String>,
    claims: u32,
}

/// The part of a batch's row that a step of delivery changes.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct BatchProgress {
    revision: i64,
    /// One letter for each delivery, in the order of `recipients`; see [`letter`].
    states: String,
    /// Details of deliveries: a JSON list of [`Note`]s; `None` if there are none.
    notes: Option<String>,
    /// The worker that has claimed it.
    claim: Option<String>,
    claims: u32,
}

/// A delivery's index, attempts, worker deaths, uncertainty, next time (milliseconds UTC) and reason; then the time of the last change,
/// and the outcomes of earlier attempts.
#[derive(Serialize, Deserialize)]
struct Note(
    usize,
    u32,
    u32,
    bool,
    Option<i64>,
    Option<String>,
    Option<i64>,
    Vec<Earlier>,
);

/// An earlier attempt: its time (milliseconds UTC), the state after it, and the reply.
#[derive(Serialize, Deserialize)]
struct Earlier(i64, char, String);

impl Earlier {
    fn of(attempt: &Attempt) -> Self {
        Self(
            millisecond(attempt.at),
            letter(attempt.state),
            attempt.reply.clone(),
        )
    }

    fn into_type(self) -> Result<Attempt> {
        Ok(Attempt {
            at: at_millisecond(self.0)?,
            state: state_of(self.1)?,
            reply: self.2,
        })
    }
}

impl DeliveryBatchRow {
    pub(in crate::modules::repositories) fn key(
        tenant: &TenantId,
        notification: NotificationId,
        batch: u32,
    ) -> RecordId {
        let batch = Value::from_t(batch);
        record(
            "delivery_batch",
            [
                Value::String(tenant.as_str().to_owned()),
                ulid_key(notification.ulid()),
                batch,
            ],
        )
    }

    pub(in crate::modules::repositories) fn of(
        tenant: &TenantId,
        batch: &DeliveryBatch,
    ) -> Result<Self> {
        let progress = BatchProgress::of(batch, batch.revision)?;
        let recipient = |delivery: &DeliveryRecord| match delivery.booking {
            Some(booking) if booking.customer() != delivery.customer => {
                let (customer, serial) = (booking.customer().ulid(), booking.serial());
                format!("{}.{serial}.{customer}", delivery.customer.ulid())
            }
            Some(booking) => format!("{}.{}", delivery.customer.ulid(), booking.serial()),
            None => delivery.customer.ulid().to_string(),
        };
        let recipients: Vec<String> = batch.deliveries.iter().map(recipient).collect();
        Ok(Self {
            id: Self::key(tenant, batch.notification, batch.number),
            kind: batch.kind.as_str().to_owned(),
            event: batch.event.map(|event| event.ulid().to_string()),
            created_at: millisecond(batch.created_at),
            recipients: recipients.join(" "),
            traces: traces_text(&batch.deliveries),
            revision: progress.revision,
            states: progress.states,
            notes: progress.notes,
            claim: progress.claim,
            claims: progress.claims,
        })
    }

    pub(in crate::modules::repositories) fn tenant(&self) -> Result<TenantId> {
        Ok(TenantId::trusted(key_text(&self.id, 0)?))
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<DeliveryBatch> {
        let event = self.event.as_deref().map(stored_ulid).transpose()?;
        let event = event.map(EventId::from_ulid);
        let recipients = self.recipients.split(' ').filter(|text| !text.is_empty());
        let mut deliveries = recipients
            .zip(self.states.chars())
            .map(|(recipient, state)| delivery(event, recipient, state))
            .collect::<Result<Vec<_>>>()?;
        if let Some(traces) = &self.traces {
            read_traces(traces, &mut deliveries);
        }
        if let Some(notes) = &self.notes {
            let notes: Vec<Note> = serde_json::from_str(notes).map_err(Error::internal)?;
            for Note(index, attempts, lost, ever_unknown, next_at, reason, at, earlier) in notes {
                if let Some(delivery) = deliveries.get_mut(index) {
                    delivery.at = at.map(at_millisecond).transpose()?;
                    delivery.earlier = earlier
                        .into_iter()
                        .map(Earlier::into_type)
                        .collect::<Result<_>>()?;
                    delivery.attempts = attempts;
                    delivery.lost = lost;
                    delivery.ever_unknown = ever_unknown;
                    delivery.next_at = next_at.map(at_millisecond).transpose()?;
                    delivery.reason = reason;
                }
            }
        }
        Ok(DeliveryBatch {
            notification: NotificationId::from_ulid(key_ulid(&self.id, 1)?),
            number: u32::try_from(key_number(&self.id, 2)?).map_err(Error::internal)?,
            revision: self.revision,
            kind: self.kind.parse()?,
            event,
            deliveries,
            claim: self.claim.map(|holder| BatchClaim { holder }),
            claims: self.claims,
            created_at: at_millisecond(self.created_at)?,
        })
    }
}

impl BatchProgress {
    /// The new state of a batch, with the given revision.
    pub(in crate::modules::repositories) fn of(
        batch: &DeliveryBatch,
        revision: i64,
    ) -> Result<Self> {
        let deliveries = batch.deliveries.iter().enumerate();
        let notes: Vec<Note> = deliveries
            .filter(|(_, delivery)| {
                let plain = DeliveryRecord::queued(delivery.customer, delivery.booking);
                let plain = DeliveryRecord {
                    state: delivery.state,
                    trace: delivery.trace.clone(),
                    ..plain
                };
                plain != **delivery
            })
            .map(|(index, delivery)| {
                let next_at = delivery.next_at.map(millisecond);
                let reason = delivery.reason.clone();
                Note(
                    index,
                    delivery.attempts,
                    delivery.lost,
                    delivery.ever_unknown,
                    next_at,
                    reason,
                    delivery.at.map(millisecond),
                    delivery.earlier.iter().map(Earlier::of).collect(),
                )
            })
            .collect();
        Ok(Self {
            revision,
            states: batch
                .deliveries
                .iter()
                .map(|delivery| letter(delivery.state))
                .collect(),
            notes: match notes.is_empty() {
                true => None,
                false => Some(serde_json::to_string(&notes).map_err(Error::internal)?),
            },
            claim: batch.claim.as_ref().map(|claim| claim.holder.clone()),
            claims: batch.claims,
        })
    }
}

/// The places in traces of a row's deliveries.
fn traces_text(deliveries: &[DeliveryRecord]) -> Option<String> {
    let first = deliveries.first()?.trace.as_ref();
    if deliveries
        .iter()
        .all(|delivery| delivery.trace.as_ref() == first)
    {
        return first.map(TraceParent::to_string);
    }
    let each = deliveries.iter().map(|delivery| match &delivery.trace {
        Some(trace) => trace.as_str(),
        None => "-",
    });
    Some(each.collect::<Vec<_>>().join(" "))
}

fn read_traces(text: &str, deliveries: &mut [DeliveryRecord]) {
    // An unreadable place only loses a trace.
    let mut traces = text.split(' ').map(|one| one.parse::<TraceParent>().ok());
    match text.contains(' ') {
        true => {
            for (delivery, trace) in deliveries.iter_mut().zip(traces) {
                delivery.trace = trace;
            }
        }
        false => {
            let all = traces.next().flatten();
            deliveries
                .iter_mut()
                .for_each(|delivery| delivery.trace.clone_from(&all));
        }
    }
}

/// The first customer of a batch.
#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct FirstRecipientRow {
    id: RecordId,
    first: String,
}

impl FirstRecipientRow {
    /// What is selected besides the id: the customer's id before the first blank or full stop, 26 characters.
    pub(in crate::modules::repositories) const FIELDS: &str =
        "string::slice(recipients, 0, 26) AS first";

    pub(in crate::modules::repositories) fn into_type(self) -> Result<(u32, UserId)> {
        let number = u32::try_from(key_number(&self.id, 2)?).map_err(Error::internal)?;
        Ok((number, UserId::from_ulid(stored_ulid(&self.first)?)))
    }
}

/// The number of deliveries with these states that wait for a worker now, or are claimed.
pub(in crate::modules::repositories) fn is_open(states: &str) -> bool {
    let open = [DeliveryState::Queued, DeliveryState::Sending].map(letter);
    states.contains(open)
}

fn delivery(event: Option<EventId>, recipient: &str, state: char) -> Result<DeliveryRecord> {
    let mut parts = recipient.split('.');
    let user = |text: &str| stored_ulid(text).map(UserId::from_ulid);
    let recipient = user(parts.next().unwrap_or_default())?;
    let serial = parts.next().map(stored_ulid).transpose()?;
    let customer = parts.next().map_or(Ok(recipient), user)?;
    let path = event.zip(serial);
    let booking = path.map(|(event, serial)| BookingId::new(event, customer, serial));
    Ok(DeliveryRecord {
        state: state_of(state)?,
        ..DeliveryRecord::queued(recipient, booking)
    })
}

/// A state in a batch's row.
fn letter(state: DeliveryState) -> char {
    match state {
        DeliveryState::Queued => 'q',
        DeliveryState::Sending => 's',
        DeliveryState::Sent => 'S',
        DeliveryState::Deferred => 'd',
        DeliveryState::Dead => 'D',
        DeliveryState::Suppressed => 'X',
        DeliveryState::Unknown => 'U',
    }
}

fn state_of(letter_of_row: char) -> Result<DeliveryState> {
    const ALL: [DeliveryState; 7] = [
        DeliveryState::Queued,
        DeliveryState::Sending,
        DeliveryState::Sent,
        DeliveryState::Deferred,
        DeliveryState::Dead,
        DeliveryState::Suppressed,
        DeliveryState::Unknown,
    ];
    ALL.into_iter()
        .find(|state| letter(*state) == letter_of_row)
        .ok_or_else(|| Error::internal(format!("unknown delivery state {letter_of_row:?}")))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use ulid::Ulid;

    use super::*;
    use crate::types::NotificationKind;

    fn batch(deliveries: Vec<DeliveryRecord>) -> DeliveryBatch {
        DeliveryBatch {
            notification: NotificationId::from_ulid(Ulid::from(7)),
            number: 3,
            revision: 5,
            kind: NotificationKind::EventUpdated,
            event: Some(EventId::from_ulid(Ulid::from(8))),
            deliveries,
            claim: None,
            claims: 0,
            created_at: Timestamp::from_millisecond(1_800_000_000_123).unwrap(),
        }
    }

    #[test]
    fn a_row_gives_back_what_went_in() {
        let tenant = TenantId::parse("north").unwrap();
        let customer = |number: u128| UserId::from_ulid(Ulid::from(number));
        let event = EventId::from_ulid(Ulid::from(8));
        let mut deliveries: Vec<DeliveryRecord> = (0..5)
            .map(|number| DeliveryRecord::queued(customer(number), None))
            .collect();
        deliveries[1] = DeliveryRecord {
            state: DeliveryState::Deferred,
            attempts: 2,
            reason: Some("451 \"later\", [please]".to_owned()),
            next_at: Some(Timestamp::from_millisecond(1_800_000_000_456).unwrap()),
            at: Some(Timestamp::from_millisecond(1_800_000_000_400).unwrap()),
            earlier: vec![Attempt {
                at: Timestamp::from_millisecond(1_800_000_000_200).unwrap(),
                state: DeliveryState::Deferred,
                reply: "421 \"not\" now".to_owned(),
            }],
            ..deliveries[1].clone()
        };
        deliveries[2] = DeliveryRecord {
            state: DeliveryState::Unknown,
            lost: 1,
            ever_unknown: true,
            ..deliveries[2].clone()
        };
        let booking = BookingId::new(event, customer(3), Ulid::from(99));
        deliveries[3] = DeliveryRecord::queued(customer(3), Some(booking));
        deliveries[4] = DeliveryRecord::queued(customer(4), Some(booking));
        let mut batch = batch(deliveries);
        batch.claim = Some(BatchClaim {
            holder: "somebody".to_owned(),
        });
        batch.claims = 2;
        let row = DeliveryBatchRow::of(&tenant, &batch).unwrap();
        assert_eq!(row.states, "qdUqq");
        assert_eq!(row.into_type().unwrap(), batch);
    }

    #[test]
    fn traces_come_back_whether_all_have_one_or_each_its_own() {
        let tenant = TenantId::parse("north").unwrap();
        let trace = |number: u32| -> Option<TraceParent> {
            format!("00-{number:032x}-{number:016x}-01").parse().ok()
        };
        for traces in [
            [trace(1), trace(1), trace(1)],
            [trace(1), None, trace(3)],
            [None, None, trace(3)],
            [None, None, None],
        ] {
            let delivery = |(number, trace): (u128, Option<TraceParent>)| DeliveryRecord {
                trace,
                ..DeliveryRecord::queued(UserId::from_ulid(Ulid::from(number)), None)
            };
            let batch = batch((1..).zip(traces.clone()).map(delivery).collect());
            let row = DeliveryBatchRow::of(&tenant, &batch).unwrap();
            assert_eq!(row.notes, None, "a trace is nothing that changes");
            let is_short = row.traces.as_ref().is_none_or(|text| text.len() < 3 * 56);
            assert!(is_short, "{:?}", row.traces);
            assert_eq!(row.into_type().unwrap(), batch);
        }
    }

    #[test]
    fn a_new_batch_has_no_notes() {
        let deliveries = vec![DeliveryRecord::queued(UserId::from_ulid(Ulid::from(1)), None); 32];
        let progress = BatchProgress::of(&batch(deliveries), 6).unwrap();
        assert_eq!((progress.notes, progress.revision), (None, 6));
        assert!(is_open(&progress.states));
        assert!(!is_open("SdDXU"));
    }

    #[test]
    fn every_state_has_a_letter_of_its_own() {
        for state in ["q", "s", "S", "d", "D", "X", "U"] {
            let letter_of_row = state.chars().next().unwrap();
            assert_eq!(letter(state_of(letter_of_row).unwrap()), letter_of_row);
        }
        assert!(state_of('?').is_err());
    }
}
