//! The page of a receipt or a credit note as a file of a mail.
//!
//! Called by the kind, for what templates see, and by the building of mails. Pure.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{
    context::{MailContext, UNCONFIRMED_NAME},
    data::{money, type_name},
};
use crate::types::{BookingReceipt, Label, ReceiptLanguage, ReceiptLine, ReceiptTax};

/// What templates see of the receipt or credit note that is attached.
pub(in crate::modules::notifications) fn receipt_data(context: &MailContext<'_>) -> Value {
    let Some(receipt) = shown(context) else {
        return Value::Null;
    };
    let amount = |minor: u64| money(minor, &receipt.currency);
    let line = |line: &ReceiptLine| {
        json!({
            "name": line.name,
            "quantity": line.quantity,
            "grossMinor": line.total_minor,
            "gross": amount(line.total_minor),
        })
    };
    let tax = |tax: &ReceiptTax| {
        json!({
            "label": receipt.issuer.tax_label(tax.basis_points, "."),
            "taxMinor": tax.tax_minor,
            "tax": amount(tax.tax_minor),
        })
    };
    let number = receipt.number.as_ref();
    json!({
        "kind": receipt.kind().as_str(),
        "number": number.map(|number| &number.text),
        "corrects": receipt.corrects,
        "issuedOn": number.map(|number| &number.issued_on),
        "bookingNumber": receipt.booking_number,
        "lines": receipt.lines.iter().map(line).collect::<Value>(),
        "taxes": receipt.taxes.iter().map(tax).collect::<Value>(),
        "totalMinor": receipt.total_minor,
        "total": amount(receipt.total_minor),
        "currency": receipt.currency,
        "fileName": name(&receipt),
    })
}

/// The receipt as its reader may see it: a reader with an unconfirmed address sees no name that somebody typed for them, and
/// the event in the words that all mails have for such readers.
pub(super) fn shown<'a>(context: &MailContext<'a>) -> Option<Cow<'a, BookingReceipt>> {
    let receipt = context.receipt?;
    if context.recipient.email_verified {
        return Some(Cow::Borrowed(receipt));
    }
    let mut shown = receipt.clone();
    if let Some(recipient) = &mut shown.recipient {
        recipient.name = Label::stored(UNCONFIRMED_NAME.to_owned());
    }
    if let Some(event) = context.event {
        shown.event_title = event.details.title.clone();
        for line in &mut shown.lines {
            let name = type_name(Some(event), &line.ticket_type).to_owned();
            line.name = Label::stored(name);
        }
    }
    Some(Cow::Owned(shown))
}

/// The name of the file: the receipt's number, which has letters, digits and hyphens alone.
pub(super) fn name(receipt: &BookingReceipt) -> String {
    let number = receipt.number.as_ref();
    let number = number.map_or("receipt", |number| number.text.as_str());
    format!("{number}.html")
}

/// The file's name and text, if the mail has one. Mails are in English, and so is the page.
pub(super) fn file(context: &MailContext<'_>) -> Option<(String, String)> {
    let receipt = shown(context)?;
    Some((name(&receipt), receipt.page(ReceiptLanguage::default())))
}
