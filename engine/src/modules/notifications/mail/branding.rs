//! The tenant's look in mails: its colour, logo and footer, and the links to its own pages.
//!
//! Called by the data that templates see, the built-in templates (`button`), and the building of mails.

use minijinja::HtmlEscape;
use serde_json::{Value, json};

use super::context::{MailContext, MailLogo};
use crate::{
    error::{Error, Result},
    types::{Booking, Event, EventDetails, EventId, LogoFacts, TenantLinks},
};

/// The Content-ID of the uploaded logo (RFC 2392), without angle brackets.
pub(super) const LOGO_ID: &str = "logo@boxoffice";
/// The largest size of a logo in a mail, in CSS pixels: it stands above the words and takes little of a phone's screen.
const LOGO_WIDTH_MAX: u32 = 240;
const LOGO_HEIGHT_MAX: u32 = 80;

impl MailLogo {
    pub(in crate::modules::notifications) fn new(bytes: &[u8], facts: &LogoFacts) -> Result<Self> {
        let mut encoded = Vec::with_capacity(bytes.len() * 3 / 2);
        mail_builder::encoders::base64::base64_encode_mime(bytes, &mut encoded, false)
            .map_err(Error::internal)?;
        Ok(Self {
            encoded,
            width: facts.width,
            height: facts.height,
        })
    }

    /// Its size in a mail: as large as it is, or scaled down to fit.
    fn shown_size(&self) -> (u32, u32) {
        let (width, height) = (self.width.max(1), self.height.max(1));
        // Both are at most 1,200.
        if width <= LOGO_WIDTH_MAX && height <= LOGO_HEIGHT_MAX {
            (width, height)
        } else if width * LOGO_HEIGHT_MAX >= height * LOGO_WIDTH_MAX {
            (LOGO_WIDTH_MAX, (height * LOGO_WIDTH_MAX / width).max(1))
        } else {
            ((width * LOGO_HEIGHT_MAX / height).max(1), LOGO_HEIGHT_MAX)
        }
    }
}

/// What templates see of the tenant's look. An uploaded logo comes before one at an address, whose size nobody knows.
pub(super) fn brand_data(context: &MailContext<'_>) -> Value {
    let brand = &context.tenant.settings.brand;
    let logo = match (context.logo, &brand.logo_url) {
        (Some(logo), _) => {
            let (width, height) = logo.shown_size();
            json!({ "src": format!("cid:{LOGO_ID}"), "width": width, "height": height })
        }
        (None, Some(url)) => json!({ "src": url.as_str(), "width": null, "height": null }),
        (None, None) => Value::Null,
    };
    let footer = brand.footer.as_ref().map_or("", |footer| footer.as_str());
    json!({
        "color": brand.color.map(|color| color.to_string()),
        "textColor": brand.color.map(|color| color.text_color().to_string()),
        "logo": logo,
        "footer": footer.trim().lines().map(str::trim_end).collect::<Vec<_>>(),
    })
}

/// The links to the tenant's pages. `bookingUrl` is that of the one booking that a mail is about.
pub(super) fn links_data(context: &MailContext<'_>) -> Value {
    let links = &context.tenant.settings.links;
    let own = match context.bookings {
        [one] if one.customer == context.recipient.id => Some(one),
        _ => None,
    };
    let details = context.event.map(|event| &event.details);
    let event_values = |event: &Event| event_values(event.id, Some(&event.details)).to_vec();
    let offer = context.event.zip(context.offer).and_then(|(event, hold)| {
        let mut values = event_values(event);
        values.push(("holdId", Some(hold.id.to_string())));
        links.offer.as_ref()?.filled(&values)
    });
    let event = context.event.and_then(|event| {
        let link = links.event.as_ref()?;
        link.filled(&event_values(event))
    });
    json!({
        "bookingUrl": own.and_then(|booking| booking_url(links, booking, details)),
        "offerUrl": offer,
        "eventUrl": event,
    })
}

/// Where the tenant shows a booking to its customer; `None` if the tenant has no such page, or the link needs what is not known.
pub(in crate::modules::notifications) fn booking_url(
    links: &TenantLinks,
    booking: &Booking,
    event: Option<&EventDetails>,
) -> Option<String> {
    let link = links.booking.as_ref()?;
    let details = booking.details.as_ref();
    let reference = details.and_then(|details| details.reference.as_ref());
    let [id, event_reference] = event_values(booking.event, event);
    link.filled(&[
        id,
        event_reference,
        ("bookingId", Some(booking.id.to_string())),
        ("bookingNumber", Some(booking.number.to_string())),
        (
            "bookingReference",
            reference.map(|one| one.as_str().to_owned()),
        ),
    ])
}

fn event_values(
    id: EventId,
    details: Option<&EventDetails>,
) -> [(&'static str, Option<String>); 2] {
    let reference = details.and_then(|details| details.reference.as_ref());
    [
        ("eventId", Some(id.to_string())),
        (
            "eventReference",
            reference.map(|one| one.as_str().to_owned()),
        ),
    ]
}

/// A link as a button, in HTML: filled with the tenant's colour if it is the main one, else with a line around it. Its label can be
/// read on any background, in any scheme, and without styles.
pub(super) fn button(
    url: &str,
    label: &str,
    brand: minijinja::Value,
    is_main: bool,
) -> minijinja::Value {
    let text = |name: &str| {
        let value = brand.get_attr(name).ok();
        value.and_then(|value| value.as_str().map(str::to_owned))
    };
    let colors = match (text("color"), text("textColor")) {
        (Some(color), Some(text)) if is_main => {
            format!("border:1px solid #808080;background-color:{color};color:{text}")
        }
        _ => "border:1px solid #808080".to_owned(),
    };
    minijinja::Value::from_safe_string(format!(
        "<p style=\"margin:16px 0 0\"><a href=\"{}\" style=\"display:inline-block;padding:10px 18px;border-radius:6px;\
         font-weight:600;text-decoration:none;{colors}\">{}</a></p>",
        HtmlEscape(url),
        HtmlEscape(label)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logos_keep_their_form_within_bounds() {
        for (size, shown) in [
            ((1, 1), (1, 1)),
            ((240, 80), (240, 80)),
            ((480, 160), (240, 80)),
            ((1_200, 10), (240, 2)),
            ((1_200, 1), (240, 1)),
            ((10, 600), (1, 80)),
            ((600, 600), (80, 80)),
        ] {
            let (width, height) = size;
            let sha256 = String::new();
            let facts = LogoFacts {
                sha256,
                width,
                height,
            };
            let logo = MailLogo::new(b"x", &facts).unwrap();
            assert_eq!(logo.shown_size(), shown, "{size:?}");
        }
    }
}
