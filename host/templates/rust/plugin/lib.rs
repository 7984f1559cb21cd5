//! Limits how many tickets one booking may hold, and words confirmations; all other mails keep the built-in words.

use boxoffice_plugin::{
    BookingRequest, Data, Decision, Deserialize, Policy, Rejection, Rendered, Template, escaped,
};

/// The tenant's configuration, such as `{"ticketsMax": 4, "greeting": "Ahoy"}`: one for both halves.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct Plugin {
    tickets_max: u32,
    greeting: String,
}

impl Policy for Plugin {
    fn validate_booking(&self, request: BookingRequest) -> Decision {
        let tickets: u64 = request
            .lines
            .iter()
            .map(|line| u64::from(line.quantity))
            .sum();
        if tickets <= u64::from(self.tickets_max) {
            return Decision::Accept;
        }
        boxoffice_plugin::info(&format!("{tickets} tickets are too many"));
        Rejection::new(
            "too-many-tickets",
            format!("Up to {} tickets a booking.", self.tickets_max),
        )
        .into()
    }
}

impl Template for Plugin {
    fn render(&self, kind: &str, _locale: &str, data: &Data) -> Option<Rendered> {
        if kind != "booking-confirmed" {
            return None;
        }
        let title = data.text("event.title");
        let line = format!(
            "{} {}, you are in: {title}.",
            self.greeting,
            data.text("recipient.name")
        );
        Some(Rendered {
            subject: format!("Your tickets: {title}").chars().take(200).collect(),
            html: format!("<p>{}</p>", escaped(&line)),
            text: line,
        })
    }
}

boxoffice_plugin::export_policy!(Plugin);
boxoffice_plugin::export_template!(Plugin);
