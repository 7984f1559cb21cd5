//! Words confirmations; all other mails keep the built-in words.

use boxoffice_plugin::{Data, Deserialize, Rendered, Template, escaped};

/// The tenant's configuration, such as `{"greeting": "Ahoy"}`.
#[derive(Deserialize)]
#[serde(
    crate = "boxoffice_plugin::serde",
    rename_all = "camelCase",
    deny_unknown_fields
)]
struct Plugin {
    greeting: String,
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

boxoffice_plugin::export_template!(Plugin);
