//! A receipt or a credit note was numbered: its customer gets it as a page to print. Written by the transaction that numbers it.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{
    Audience, CalendarAction, Kind, KindParts, KindTemplates, MailContext, MailSource,
    SourceReader, templates,
};
use crate::{
    error::Result,
    modules::notifications::mail::receipt_file::receipt_data,
    types::{Booking, DeliveryRecord, EventStatus},
};

pub(super) struct Receipt;

#[async_trait]
impl Kind for Receipt {
    fn audience(&self) -> Audience {
        Audience::Booking
    }

    fn templates(&self) -> KindTemplates {
        templates!("receipt")
    }

    fn is_caused_by_reader(&self) -> bool {
        true
    }

    fn still_wanted(&self, _booking: &Booking, _event: EventStatus) -> bool {
        true
    }

    async fn add_parts(
        &self,
        reader: &SourceReader<'_>,
        source: &MailSource,
        parts: &mut KindParts,
    ) -> Result<()> {
        parts.receipts = reader.receipts(source).await?;
        Ok(())
    }

    fn unwanted(&self, source: &MailSource, delivery: &DeliveryRecord) -> Option<&'static str> {
        let mut receipts = source.parts.receipts.keys();
        let has_one = receipts.any(|(_, booking)| Some(*booking) == delivery.booking);
        (!has_one).then_some("the receipt is gone")
    }

    fn add_data(&self, context: &MailContext<'_>, data: &mut Value) {
        data["receipt"] = receipt_data(context);
        // The booking may have changed since.
        data["bookings"] = json!([]);
    }

    fn add_sample(&self, sample: &mut Value) {
        sample["bookings"] = json!([]);
        sample["receipt"] = json!({
            "kind": "receipt",
            "number": "R-2030-000123",
            "corrects": null,
            "issuedOn": "2030-05-01",
            "bookingNumber": "7K3QX-9TB0A",
            "lines": [{ "name": "General", "quantity": 2, "grossMinor": 2_000, "gross": "20.00 EUR" }],
            "taxes": [{ "label": "VAT 19 %", "taxMinor": 319, "tax": "3.19 EUR" }],
            "totalMinor": 2_000,
            "total": "20.00 EUR",
            "currency": "EUR",
            "fileName": "R-2030-000123.html",
        });
    }

    fn calendar(&self, _context: &MailContext<'_>) -> Option<CalendarAction> {
        None
    }
}
