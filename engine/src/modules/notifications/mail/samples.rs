//! Sample data of each kind of mail, for trials of templates before their activation.
//!
//! Called by the activation of plugins. Pure; a test holds it against the schemas that plugins are written for.

use serde_json::{Value, json};

use crate::{modules::notifications::kinds, types::NotificationKind};

/// What a mail of this kind may be about.
pub(crate) fn sample(kind: NotificationKind) -> Value {
    let mut sample = json!({
        "kind": kind,
        "tenant": { "name": "Trial", "senderName": "Trial Tickets" },
        "brand": brand(),
        "links": links(),
        "recipient": { "name": "Ann Example", "metadata": [{ "key": "level", "value": "gold" }] },
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
            "reference": null,
            "metadata": [{ "key": "hall", "value": "2" }],
        },
        "bookings": [{
            "id": "booking-of-a-trial",
            "url": "https://trial.example/bookings/booking-of-a-trial",
            "bookingNumber": "7K3QX-9TB0A",
            "reference": "order-4711",
            "metadata": [{ "key": "cart", "value": "17" }],
            "answers": [{ "question": "meal", "label": "What do you eat?", "answer": "Plants" }],
            "status": "confirmed",
            "cancelledBy": null,
            "channel": "self",
            "numTickets": 2,
            "isOwn": true,
            "numOwnTickets": 2,
            "totalMinor": 2_000,
            "total": "20.00 EUR",
            "currency": "EUR",
            "messages": ["Two for the price of two."],
            "ticketsUrl": null,
            "lines": [{
                "ticketType": "general",
                "name": "General",
                "quantity": 2,
                "unitPriceMinor": 1_000,
                "unitPrice": "10.00 EUR",
            }],
        }],
        "cancellation": null,
        "tickets": [],
        "voidTickets": [],
        "announcement": null,
        "offer": null,
        "receipt": null,
        "unsubscribeUrl": null,
        "changes": [],
    });
    kinds::of(kind).add_sample(&mut sample);
    sample
}

/// A tenant with a look of its own.
fn brand() -> Value {
    json!({
        "color": "#7a1f3d",
        "textColor": "#ffffff",
        "logo": { "src": "cid:logo@boxoffice", "width": 160, "height": 80 },
        "footer": ["Trial Ltd", "1 Main Street"],
    })
}

fn links() -> Value {
    json!({
        "bookingUrl": "https://trial.example/bookings/booking-of-a-trial",
        "offerUrl": null,
        "eventUrl": "https://trial.example/events/event-of-a-trial",
    })
}
