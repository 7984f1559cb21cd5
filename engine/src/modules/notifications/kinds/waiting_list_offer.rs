//! Somebody on a waiting list was offered tickets: they read which, and until when they can take them.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Audience, CalendarAction, Kind, KindParts, KindTemplates, MailContext, MailSource,
    SourceReader, templates,
};
use crate::{
    error::Result,
    modules::notifications::mail::data::{lines_data, local, money, time_zone},
    types::DeliveryRecord,
};

pub(super) struct WaitingListOffer;

#[async_trait]
impl Kind for WaitingListOffer {
    fn audience(&self) -> Audience {
        Audience::Offer
    }

    fn templates(&self) -> KindTemplates {
        templates!("waiting-list-offer")
    }

    fn is_caused_by_reader(&self) -> bool {
        true
    }

    async fn parts(&self, reader: &SourceReader<'_>) -> Result<KindParts> {
        Ok(KindParts {
            offers: reader.offers().await?,
            ..KindParts::default()
        })
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let has_ended = source.offer(delivery).is_none();
        has_ended.then_some("the offer had ended before it was sent")
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["offer"] = json!(context.offer.map(|hold| json!({
            "holdId": hold.id.to_string(),
            "expiresAt": hold.expires_at,
            "expiresAtLocal": local(hold.expires_at, time_zone(context)),
            "numTickets": hold.tickets(),
            "lines": lines_data(context.event, &hold.lines, &hold.currency),
            "totalMinor": hold.total_minor,
            "total": money(hold.total_minor, &hold.currency),
            "currency": hold.currency,
        })));
    }

    fn add_sample(&self, sample: &mut Value) {
        let lines = sample["bookings"][0]["lines"].clone();
        sample["bookings"] = json!([]);
        sample["links"]["bookingUrl"] = json!(null);
        sample["links"]["offerUrl"] = json!("https://trial.example/offers/hold-of-a-trial");
        sample["offer"] = json!({
            "holdId": "hold-of-a-trial",
            "expiresAt": "2030-05-01T20:00:00Z",
            "expiresAtLocal": "Wednesday, 1 May 2030, 22:00 (Europe/Berlin)",
            "numTickets": 2,
            "lines": lines,
            "totalMinor": 2_000,
            "total": "20.00 EUR",
            "currency": "EUR",
        });
    }

    fn calendar(&self, _context: &MailContext<'_>) -> Option<CalendarAction> {
        None
    }
}
