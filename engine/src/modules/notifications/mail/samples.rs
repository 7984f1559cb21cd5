//! A mail of each kind that nobody gets: what templates are tried on before they are put into use.
//!
//! Called by the activation of plugins. Pure; a test holds it against the schemas that plugins are written for.

use serde_json::{Value, json};

use crate::types::NotificationKind;

/// What a mail of this kind may be about.
pub(crate) fn sample(kind: NotificationKind) -> Value {
    let lines = json!([{
        "ticketType": "general", "name": "General", "quantity": 2, "unitPriceMinor": 1_000, "unitPrice": "10.00 EUR",
    }]);
    let is = |other: NotificationKind| kind == other;
    let is_cancelled = is(NotificationKind::BookingCancelled);
    let booking = json!({
        "id": "booking-of-a-trial",
        "status": if is_cancelled { "cancelled" } else { "confirmed" },
        "cancelledBy": is_cancelled.then_some("customer"),
        "numTickets": 2,
        "totalMinor": 2_000,
        "total": "20.00 EUR",
        "currency": "EUR",
        "messages": ["Two for the price of two."],
        "lines": lines,
    });
    json!({
        "kind": kind,
        "tenant": { "name": "Trial" },
        "recipient": { "name": "Ann Example" },
        "event": {
            "id": "event-of-a-trial",
            "title": "A trial",
            "description": "This event is a trial.",
            "startsAt": "2030-06-05T17:30:00Z",
            "startsAtLocal": "Wednesday, 5 June 2030, 19:30 (Europe/Berlin)",
            "endsAt": null,
            "endsAtLocal": null,
            "timeZone": "Europe/Berlin",
            "location": null,
        },
        "bookings": if is(NotificationKind::WaitingListOffer) { json!([]) } else { json!([booking]) },
        "cancellation": is_cancelled.then(|| json!({
            "cancelledBy": "customer",
            "isWhole": true,
            "numTickets": 2,
            "lines": lines,
            "refundMinor": 2_000,
            "refund": "20.00 EUR",
            "hasTicketsLeft": false,
            "ticketNumbers": [1, 2],
            "ticketNumbersText": "1-2",
        })),
        "tickets": [],
        "announcement": is(NotificationKind::EventAnnouncement).then(|| json!({
            "subject": "Doors open early",
            "message": "We open at six.",
        })),
        "offer": is(NotificationKind::WaitingListOffer).then(|| json!({
            "holdId": "hold-of-a-trial",
            "expiresAt": "2030-05-01T20:00:00Z",
            "expiresAtLocal": "Wednesday, 1 May 2030, 22:00 (Europe/Berlin)",
            "numTickets": 2,
            "lines": lines,
            "totalMinor": 2_000,
            "total": "20.00 EUR",
            "currency": "EUR",
        })),
        "unsubscribeUrl": null,
        "changes": if is(NotificationKind::EventUpdated) {
            json!([{ "what": "title", "label": "Title", "before": "A test", "after": "A trial" }])
        } else {
            json!([])
        },
    })
}
