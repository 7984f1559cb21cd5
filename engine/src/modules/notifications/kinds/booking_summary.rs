//! An address was confirmed after mails about bookings were held back from it: its owner reads all coming bookings in one
//! mail. Written by the transaction that confirms the address. About no single event, and in the built-in words.

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
};

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Audience, Kind, KindParts, KindTemplates, MailContext, MailSource, SourceReader, is_confirmed,
    templates,
};
use crate::{
    error::Result,
    modules::notifications::mail::{booking_url, data::local},
    types::{Booking, DeliveryRecord, EventDetails, EventId, EventStatus, PageRequest, UserId},
};

/// Bookings that one mail names; the others are counted. Twenty are read on one screen.
const BOOKINGS_MAX: usize = 20;

pub(super) struct BookingSummary;

#[async_trait]
impl Kind for BookingSummary {
    fn audience(&self) -> Audience {
        Audience::Users
    }

    fn templates(&self) -> KindTemplates {
        templates!("booking-summary")
    }

    async fn add_parts(
        &self,
        reader: &SourceReader<'_>,
        source: &MailSource,
        parts: &mut KindParts,
    ) -> Result<()> {
        for customer in &reader.customers {
            if let Some(summary) = summary(reader, source, *customer).await? {
                parts.summaries.insert(*customer, summary);
            }
        }
        Ok(())
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        if source.unconfirmed(delivery.customer).is_some() {
            return Some("the customer has another address by now, and has not confirmed it");
        }
        let is_empty = !source.parts.summaries.contains_key(&delivery.customer);
        is_empty.then_some("the customer had no coming booking when it was to be sent")
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["summary"] = json!(context.summary);
    }

    fn add_sample(&self, sample: &mut Value) {
        sample["event"] = Value::Null;
        sample["bookings"] = json!([]);
        sample["summary"] = json!({
            "bookings": [{
                "bookingNumber": "7K3QX-9TB0A",
                "url": "https://trial.example/bookings/booking-of-a-trial",
                "ticketsUrl": "https://trial.example/tickets/of-a-trial",
                "title": "A trial",
                "startsAtLocal": "Wednesday, 5 June 2030, 19:30 (Europe/Berlin)",
                "numTickets": 2,
            }],
            "numMore": 3,
        });
    }
}

/// A customer's active bookings of events that have not begun, the next ones first; `None` without any.
async fn summary(
    reader: &SourceReader<'_>,
    source: &MailSource,
    customer: UserId,
) -> Result<Option<Value>> {
    let (repository, tenant) = (&reader.module.bookings, reader.tenant);
    let page = PageRequest {
        cursor: None,
        limit: PageRequest::LIMIT_MAX,
    };
    let (mut events, mut next, mut count) = (HashMap::new(), Vec::new(), 0);
    let mut before = None;
    loop {
        let bookings = repository.list_of_customer(tenant, customer, before, &page);
        let bookings = bookings.await?;
        let is_last = bookings.len() <= page.limit as usize;
        before = bookings.last().map(|booking| booking.id.serial());
        for booking in bookings.into_iter().filter(is_confirmed) {
            let event = match events.entry(booking.event) {
                hash_map::Entry::Occupied(known) => known.into_mut(),
                hash_map::Entry::Vacant(new) => {
                    new.insert(coming_event(reader, booking.event).await?)
                }
            };
            if let Some(event) = event {
                count += 1;
                next.push((event.starts_at, booking.id, named(source, &booking, event)));
            }
        }
        next.sort_unstable_by_key(|(starts_at, id, _)| (*starts_at, *id));
        next.truncate(BOOKINGS_MAX);
        if is_last {
            break;
        }
    }
    let num_more = count - next.len();
    let named = next.into_iter().map(|(.., booking)| booking);
    let named: Vec<Value> = named.collect();
    Ok((count > 0).then(|| json!({ "bookings": named, "numMore": num_more })))
}

/// What the mail says of a booking.
fn named(source: &MailSource, booking: &Booking, event: &EventDetails) -> Value {
    let (tenant, customer) = (&source.tenant, booking.customer);
    let has_tickets = booking.tickets_of(customer).next().is_some();
    let links = source.ports.links.as_ref().filter(|_| has_tickets);
    json!({
        "bookingNumber": booking.number,
        "url": booking_url(&tenant.settings.links, booking, Some(event)),
        "ticketsUrl": links.map(|links| links.tickets(&tenant.id, customer, booking.id)),
        "title": event.title,
        "startsAtLocal": local(event.starts_at, &event.time_zone),
        "numTickets": booking.tickets(),
    })
}

/// An event that takes place and has not begun.
async fn coming_event(
    reader: &SourceReader<'_>,
    event: EventId,
) -> Result<Option<Arc<EventDetails>>> {
    let now = reader.module.context.now();
    let found = reader.module.events.find(reader.tenant, event).await?;
    let coming = found.filter(|(event, inventory)| {
        inventory.status == EventStatus::Published && event.details.starts_at > now
    });
    Ok(coming.map(|(event, _)| Arc::new(event.details)))
}
