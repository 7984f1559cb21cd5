//! Receipts of bookings and credit notes of refunds, as JSON and as pages to print.

use std::sync::LazyLock;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::{
        HeaderMap, HeaderValue,
        header::{ACCEPT, ACCEPT_LANGUAGE, VARY},
    },
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use boxoffice_engine::{
    BookingId, BookingReceipt, Engine, ReceiptId, ReceiptIssuer, ReceiptLanguage, ReceiptLine,
    ReceiptRecipient, ReceiptTax, ReceiptVerdict,
};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::{Answer, PageResponse};
use crate::routes::{
    choices,
    extract::{AsCaller, AsOperator, AtPage, AtReceiptPage, Id, PageParams, ReceiptParams},
    html, refusals,
};

/// The policy of a receipt's page: it has its own style, by its hash, and loads nothing.
static PAGE_POLICY: LazyLock<String> = LazyLock::new(|| {
    let hash = STANDARD.encode(Sha256::digest(BookingReceipt::PAGE_STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
});

/// Who issues a receipt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceiptIssuerResponse {
    /// The name.
    name: String,
    /// The lines of the postal address.
    address: Vec<String>,
    /// The tax id.
    tax_id: Option<String>,
}

impl From<ReceiptIssuer> for ReceiptIssuerResponse {
    fn from(issuer: ReceiptIssuer) -> Self {
        Self {
            name: issuer.name.to_string(),
            address: issuer.address.iter().map(ToString::to_string).collect(),
            tax_id: issuer.tax_id.map(|id| id.to_string()),
        }
    }
}

/// The customer of a receipt, as they called themselves when it was numbered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceiptRecipientResponse {
    /// The name.
    name: String,
    /// The e-mail address.
    email: String,
}

impl From<ReceiptRecipient> for ReceiptRecipientResponse {
    fn from(recipient: ReceiptRecipient) -> Self {
        Self {
            name: recipient.name.to_string(),
            email: recipient.email.to_string(),
        }
    }
}

/// A line of a receipt.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceiptLineResponse {
    /// The ticket type.
    ticket_type: String,
    /// Its name.
    name: String,
    /// Tickets that were booked, or cancelled.
    quantity: u32,
    /// The price of one, tax included, in minor units.
    unit_price_minor: u32,
    /// What was paid for them, or is given back, tax included, in minor units.
    gross_minor: u64,
    /// The rate of the tax that is in it, in hundredths of a percent; null for no tax.
    tax_basis_points: Option<u32>,
}

impl From<ReceiptLine> for ReceiptLineResponse {
    fn from(line: ReceiptLine) -> Self {
        Self {
            ticket_type: line.ticket_type.to_string(),
            name: line.name.to_string(),
            quantity: line.quantity,
            unit_price_minor: line.unit_price_minor,
            gross_minor: line.total_minor,
            tax_basis_points: line.tax_basis_points,
        }
    }
}

/// The tax of one rate that is in a total.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceiptTaxResponse {
    /// What the tax is called, with its rate.
    #[schema(example = "VAT 19 %")]
    label: String,
    /// The rate, in hundredths of a percent.
    tax_basis_points: u32,
    /// The part of the total with this rate, tax included, in minor units.
    gross_minor: u64,
    /// The same without the tax.
    net_minor: u64,
    /// The tax.
    tax_minor: u64,
}

impl ReceiptTaxResponse {
    fn of(tax: ReceiptTax, issuer: &ReceiptIssuer) -> Self {
        Self {
            label: issuer.tax_label(tax.basis_points, "."),
            tax_basis_points: tax.basis_points,
            gross_minor: tax.gross_minor,
            net_minor: tax.net_minor(),
            tax_minor: tax.tax_minor,
        }
    }
}

/// A receipt of a booking, or a credit note of its refund. What a numbered one says never changes.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceiptResponse {
    /// Its id.
    id: String,
    /// `receipt` for a booking, `credit-note` for the refund of a cancellation.
    #[schema(value_type = choices::ReceiptKind)]
    kind: &'static str,
    /// Its number; null until it is numbered, usually for less than 2 s.
    #[schema(example = "R-2026-000123")]
    number: Option<String>,
    /// The year of its number, in the tenant's zone.
    year: Option<i16>,
    /// The day of its number, in the tenant's zone.
    #[schema(value_type = Option<String>, format = Date)]
    issued_on: Option<String>,
    /// When it was numbered.
    #[schema(value_type = Option<String>, format = DateTime)]
    issued_at: Option<Timestamp>,
    /// The number of the receipt that a credit note corrects.
    corrects: Option<String>,
    /// The booking.
    booking_id: String,
    /// The booking's number.
    booking_number: String,
    /// When the booking was made.
    #[schema(value_type = String, format = DateTime)]
    booked_at: Timestamp,
    /// When the tickets were cancelled; null for a receipt.
    #[schema(value_type = Option<String>, format = DateTime)]
    cancelled_at: Option<Timestamp>,
    /// The event.
    event_id: String,
    /// The event's title in the version that was booked.
    event_title: String,
    /// The customer's account.
    customer_id: String,
    /// The customer; null if they were erased before it was numbered, or the years are over for which names are kept.
    recipient: Option<ReceiptRecipientResponse>,
    /// Who issues it.
    issuer: ReceiptIssuerResponse,
    /// ISO 4217 code of all its amounts.
    currency: String,
    /// Its lines.
    lines: Vec<ReceiptLineResponse>,
    /// What was paid, or is given back, tax included, in minor units.
    gross_minor: u64,
    /// The taxes in the total, by rate.
    taxes: Vec<ReceiptTaxResponse>,
}

impl From<BookingReceipt> for ReceiptResponse {
    fn from(receipt: BookingReceipt) -> Self {
        let taxes = receipt.taxes.iter();
        let taxes = taxes.map(|tax| ReceiptTaxResponse::of(*tax, &receipt.issuer));
        let number = receipt.number.as_ref();
        Self {
            id: receipt.id.to_string(),
            kind: receipt.kind().as_str(),
            number: number.map(|number| number.text.clone()),
            year: number.map(|number| number.year),
            issued_on: number.map(|number| number.issued_on.clone()),
            issued_at: number.map(|number| number.issued_at),
            booking_id: receipt.id.booking.to_string(),
            booking_number: receipt.booking_number.to_string(),
            booked_at: receipt.booked_at,
            cancelled_at: receipt.cancelled_at,
            event_id: receipt.event().to_string(),
            event_title: receipt.event_title.to_string(),
            customer_id: receipt.customer().to_string(),
            taxes: taxes.collect(),
            corrects: receipt.corrects,
            recipient: receipt.recipient.map(Into::into),
            issuer: receipt.issuer.into(),
            currency: receipt.currency,
            lines: receipt.lines.into_iter().map(Into::into).collect(),
            gross_minor: receipt.total_minor,
        }
    }
}

/// The receipt and the credit notes of a booking.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::routes) struct BookingReceiptsResponse {
    /// The receipt, then the credit notes in the order of cancellations. Empty for a booking without a receipt.
    items: Vec<ReceiptResponse>,
}

/// Lists the receipt and the credit notes of a booking, for those who may see it
///
/// At most 101. Those that are due are there at once, with `number: null`.
#[utoipa::path(get, path = "/api/bookings/{id}/receipts", tag = "receipts", operation_id = "list_receipts_of_booking",
    params(("id" = String, Path, description = "Which booking")),
    responses((status = 200, body = BookingReceiptsResponse), refusals::Restricted))]
pub(in crate::routes) async fn list_of_booking(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(booking): Id<BookingId>,
) -> Answer<JsonAnswer<BookingReceiptsResponse>> {
    let receipts = engine.receipts().list_of_booking(&caller, booking).await?;
    Ok(JsonAnswer(BookingReceiptsResponse {
        items: receipts.into_iter().map(Into::into).collect(),
    }))
}

/// Shows a receipt or a credit note, for those who may see its booking
///
/// With `Accept: text/html`, as browsers send it, a page to print, in the first of English, German, French, Spanish, Italian and
/// Dutch that `Accept-Language` names.
#[utoipa::path(get, path = "/api/receipts/{id}", tag = "receipts", operation_id = "show_receipt",
    params(("id" = String, Path, description = "Which receipt")),
    responses((status = 200, content((ReceiptResponse = "application/json"), (String = "text/html"))), refusals::Restricted))]
pub(in crate::routes) async fn show(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    Id(receipt): Id<ReceiptId>,
    headers: HeaderMap,
) -> Answer<Response> {
    let receipt = engine.receipts().show(&caller, receipt).await?;
    let mut response = match wants_page(&headers) {
        true => {
            let wanted = headers.get(ACCEPT_LANGUAGE);
            let wanted = wanted.and_then(|value| value.to_str().ok());
            let language = ReceiptLanguage::of(wanted.unwrap_or_default());
            html::content(
                "text/html; charset=utf-8",
                &PAGE_POLICY,
                receipt.page(language),
            )
        }
        false => JsonAnswer(ReceiptResponse::from(receipt)).into_response(),
    };
    let vary = HeaderValue::from_static("Accept, Accept-Language");
    response.headers_mut().append(VARY, vary);
    Ok(response)
}

/// Lists the tenant's numbered receipts and credit notes in the order of numbers, for owners and programs
///
/// For each year and series receipts come first, then credit notes. None is missing: numbers have no gaps.
#[utoipa::path(get, path = "/api/receipts", tag = "receipts", operation_id = "list_receipts",
    params(PageParams, ReceiptParams),
    responses((status = 200, body = PageResponse<ReceiptResponse>), refusals::Restricted))]
pub(in crate::routes) async fn list(
    State(engine): State<Engine>,
    AsCaller(caller): AsCaller,
    AtReceiptPage(page, year): AtReceiptPage,
) -> Answer<JsonAnswer<PageResponse<ReceiptResponse>>> {
    let page = engine.receipts().list(&caller, year, page).await?;
    Ok(PageResponse::of(page, ReceiptResponse::from))
}

/// The result of comparing the receipts of a tenant, year and series with their counter.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceiptVerdictResponse {
    /// The tenant.
    tenant: String,
    /// The year of the numbers, in the tenant's zone.
    year: i64,
    /// The series: empty, or what a restored store has in its numbers.
    series: String,
    /// Receipts of bookings, by its counter.
    receipts: u64,
    /// Credit notes, by its counter.
    credit_notes: u64,
    /// The first difference; null if there is none.
    difference: Option<String>,
}

impl From<ReceiptVerdict> for ReceiptVerdictResponse {
    fn from(verdict: ReceiptVerdict) -> Self {
        Self {
            tenant: verdict.tenant.to_string(),
            year: verdict.year,
            series: verdict.series,
            receipts: verdict.receipts,
            credit_notes: verdict.credit_notes,
            difference: verdict.difference,
        }
    }
}

/// Verifies receipts: numbers have no gaps, and lead to receipts that have them
///
/// A verdict for each tenant, year and series, page by page. What receipts and credit notes say is verified with the events. A
/// difference is no error: the item shows it.
#[utoipa::path(get, path = "/api/operator/verification/receipts", tag = "operator", params(PageParams),
    operation_id = "verify_receipts",
    responses((status = 200, body = PageResponse<ReceiptVerdictResponse>), refusals::Restricted))]
pub(in crate::routes) async fn verify(
    State(engine): State<Engine>,
    AsOperator(caller): AsOperator,
    AtPage(page): AtPage,
) -> Answer<JsonAnswer<PageResponse<ReceiptVerdictResponse>>> {
    let page = engine.operators().verify_receipts(&caller, page).await?;
    Ok(PageResponse::of(page, ReceiptVerdictResponse::from))
}

/// Returns whether a request is a browser's: it names HTML and not JSON.
fn wants_page(headers: &HeaderMap) -> bool {
    let named = |wanted: &str| {
        headers.get_all(ACCEPT).iter().any(|value| {
            let kinds = value.to_str().unwrap_or_default().split(',');
            let mut kinds = kinds.map(|kind| kind.split(';').next().unwrap_or_default().trim());
            kinds.any(|kind| kind.eq_ignore_ascii_case(wanted))
        })
    };
    named("text/html") && !named("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_get_a_page_and_programs_json() {
        for (accept, is_page) in [
            (
                Some("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
                true,
            ),
            (Some("text/html; charset=utf-8"), true),
            (Some("Text/HTML"), true),
            (Some("application/json, text/html"), false),
            (Some("application/json"), false),
            (Some("*/*"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(wants_page(&headers), is_page, "{accept:?}");
        }
    }
}
