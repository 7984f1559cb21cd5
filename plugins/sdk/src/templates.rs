//! Templates: the trait that a plugin implements, the data it words, and its way into the world's exports.
//!
//! Used by plugins through the crate's face; calls the reading of the configuration.

use std::{fmt::Write as _, marker::PhantomData};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Rendered,
    bindings::template::exports::boxoffice::plugin::notification_template::{Guest, RenderRequest},
    configuration,
};

/// Words mails. The implementing type is the plugin's configuration.
pub trait Template: DeserializeOwned {
    /// Words a mail of a kind in a language (BCP 47), or answers `None` for kinds it leaves to the built-in words.
    fn render(&self, kind: &str, locale: &str, data: &Data) -> Option<Rendered>;
}

/// Makes a component of a [`Template`]: `boxoffice_plugin::export_template!(MyTemplate);`
#[macro_export]
macro_rules! export_template {
    ($template:ty) => {
        type BoxofficeTemplate = $crate::expanded::ExportedTemplate<$template>;
        $crate::expanded::template::export_template_world!(BoxofficeTemplate with_types_in $crate::expanded::template);
    };
}

/// What a mail is about; `KIND.schema.json` says what is in it.
pub struct Data(Value);

impl Data {
    /// Wraps data, for tests of a template.
    pub fn new(data: Value) -> Self {
        Self(data)
    }

    /// The text at a path of names with dots, such as `event.title`; empty where there is none.
    pub fn text(&self, path: &str) -> &str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// The value at a path of names with dots; `null` where there is none.
    pub fn at(&self, path: &str) -> &Value {
        path.split('.').fold(&self.0, |value, name| &value[name])
    }

    /// The items of the list at a path of names with dots; none where there is no list.
    pub fn items(&self, path: &str) -> impl Iterator<Item = Data> + '_ {
        let items = self.at(path).as_array().map_or(&[][..], Vec::as_slice);
        items.iter().map(|item| Self(item.clone()))
    }
}

/// Makes text safe inside HTML elements and quoted attributes.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a String cannot fail.
                let _ = write!(html, "&#{};", u32::from(character));
            }
            _ => html.push(character),
        }
    }
    html
}

/// A template as the world's exports want it.
pub struct Exported<T>(PhantomData<T>);

impl<T: Template> Guest for Exported<T> {
    fn render(request: RenderRequest, config: String) -> Result<Rendered, String> {
        let data = serde_json::from_str(&request.data_json)
            .map_err(|error| format!("the data is not JSON: {error}"))?;
        configuration::read::<T>(&config)
            .render(&request.kind, &request.locale, &Data(data))
            .ok_or_else(|| "not mine".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_values_stays_text() {
        assert_eq!(
            escaped("<b class='x'>&amp;"),
            "&#60;b class=&#39;x&#39;&#62;&#38;amp;"
        );
    }

    #[test]
    fn paths_lead_to_values_and_nowhere_else() {
        let data = Data::new(
            serde_json::json!({"event": {"title": "Jazz", "endsAt": null}, "bookings": [{"id": "b1"}]}),
        );
        assert_eq!(data.text("event.title"), "Jazz");
        assert_eq!(data.text("event.endsAt"), "");
        assert_eq!(data.text("event.title.more"), "");
        let ids: Vec<String> = data
            .items("bookings")
            .map(|booking| booking.text("id").to_owned())
            .collect();
        assert_eq!(ids, ["b1"]);
        assert_eq!(data.items("event").count(), 0);
    }
}
