//! Words confirmations and cancellations in a tenant's own voice and colours; other mails keep the built-in words.

use std::fmt::Write as _;

use boxoffice_plugin::{Data, Deserialize, Rendered, Template, escaped};

/// The tenant's voice.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct BrandedMail {
    /// As the reader is to know the tenant.
    brand: String,
    /// A CSS colour such as `#7a1f3d`.
    #[serde(default = "default_color")]
    color: String,
    /// The last line.
    #[serde(default)]
    footer: String,
}

impl Template for BrandedMail {
    fn render(&self, kind: &str, _locale: &str, data: &Data) -> Option<Rendered> {
        let title = data.text("event.title");
        let (subject, sentence) = match kind {
            "booking-confirmed" => (
                format!("You're in: {title}"),
                "your seats are waiting for you.".to_owned(),
            ),
            "booking-cancelled" if is_partial(data) => {
                (format!("Fewer tickets: {title}"), partial(data))
            }
            "booking-cancelled" => (
                format!("Cancelled: {title}"),
                "your booking is cancelled.".to_owned(),
            ),
            _ => return None,
        };
        let greeting = format!("{}, {sentence}", data.text("recipient.name"));
        let facts = facts(data);
        Some(Rendered {
            // A subject is one line of up to 200 characters; titles are shorter than that, greetings not always.
            subject: subject.chars().take(200).collect(),
            text: format!(
                "{greeting}\n\n{}\n{}\n{}\n",
                facts.join("\n"),
                self.brand,
                self.footer
            ),
            html: self.html(&greeting, &facts),
        })
    }
}

impl BrandedMail {
    fn html(&self, greeting: &str, facts: &[String]) -> String {
        let mut html = format!(
            "<div style=\"border-top:6px solid {};padding:1em\"><h1>{}</h1><p>{}</p>",
            escaped(&self.color),
            escaped(&self.brand),
            escaped(greeting)
        );
        for fact in facts {
            // Writing to a String cannot fail.
            let _ = write!(html, "<p>{}</p>", escaped(fact));
        }
        let _ = write!(
            html,
            "<p><small>{}</small></p></div>",
            escaped(&self.footer)
        );
        html
    }
}

/// Whether a cancellation leaves something of the booking.
fn is_partial(data: &Data) -> bool {
    data.at("cancellation.isWhole") == false
}

/// What was cancelled of a booking; the facts say what is left of it.
fn partial(data: &Data) -> String {
    let gone: Vec<String> = data
        .items("cancellation.lines")
        .map(|line| format!("{} x {}", line.at("quantity"), line.text("name")))
        .collect();
    let back = match data.at("cancellation.refundMinor").as_u64() {
        Some(1..) => format!(", and you get {} back", data.text("cancellation.refund")),
        _ => String::new(),
    };
    format!(
        "{} of your booking is cancelled{back}. This is left:",
        gone.join(", ")
    )
}

/// What the reader needs to know, a line each.
fn facts(data: &Data) -> Vec<String> {
    let event = [
        data.text("event.title"),
        data.text("event.startsAtLocal"),
        data.text("event.location"),
    ];
    let mut facts: Vec<String> = event
        .into_iter()
        .filter(|fact| !fact.is_empty())
        .map(str::to_owned)
        .collect();
    for booking in data.items("bookings") {
        for line in booking.items("lines") {
            facts.push(format!(
                "{} x {} at {}",
                line.at("quantity"),
                line.text("name"),
                line.text("unitPrice")
            ));
        }
        facts.push(format!(
            "{} in all, booking {}",
            booking.text("total"),
            booking.text("bookingNumber")
        ));
    }
    facts
}

fn default_color() -> String {
    "#333333".to_owned()
}

boxoffice_plugin::export_template!(BrandedMail);
