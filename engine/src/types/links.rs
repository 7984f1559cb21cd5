//! Addresses of a tenant's own pages: fixed ones, and templates that mails fill in.

use crate::error::{Error, Result};

/// Longest address or template, in characters: what fits one line of a text mail, several times over.
const CHARACTERS_MAX: usize = 500;

/// An absolute `https` URL without credentials, in visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsUrl(String);

impl HttpsUrl {
    /// Checks an address from the request's `field`: up to 500 characters.
    ///
    /// # Errors
    /// `field-invalid` with the broken rule.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        match authority_end(text) {
            Ok(_) if !text.contains(['{', '}']) => Ok(Self(text.to_owned())),
            Ok(_) => Err(Error::field(field, "This address must not have braces.")),
            Err(rule) => Err(Error::field(field, rule)),
        }
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a link of a tenant's pages leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkTarget {
    /// A booking.
    Booking,
    /// The tickets that somebody on a waiting list is offered.
    Offer,
    /// An event.
    Event,
}

impl LinkTarget {
    /// The setting's name.
    pub(crate) fn field(self) -> &'static str {
        match self {
            Self::Booking => "bookingUrl",
            Self::Offer => "offerUrl",
            Self::Event => "eventUrl",
        }
    }

    /// The placeholders whose values are known where this link is made.
    fn placeholders(self) -> &'static [&'static str] {
        match self {
            Self::Booking => &[
                "bookingId",
                "bookingNumber",
                "bookingReference",
                "eventId",
                "eventReference",
            ],
            Self::Offer => &["holdId", "eventId", "eventReference"],
            Self::Event => &["eventId", "eventReference"],
        }
    }
}

/// A link with placeholders in braces, such as `https://shop.example/orders/{bookingReference}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkTemplate(String);

impl LinkTemplate {
    /// Checks a template: an absolute `https` URL of up to 500 characters without credentials, with placeholders in its path, query
    /// or fragment. A booking's link may have `{bookingId}`, `{bookingNumber}`, `{bookingReference}`; an offer's `{holdId}`; each
    /// `{eventId}` and `{eventReference}`.
    ///
    /// # Errors
    /// `field-invalid` at `bookingUrl`, `offerUrl` or `eventUrl` with the broken rule.
    pub fn parse(target: LinkTarget, text: &str) -> Result<Self> {
        let refused = |rule: &str| Error::field(target.field(), rule.to_owned());
        let end = authority_end(text).map_err(refused)?;
        if text[..end].contains(['{', '}']) {
            return Err(refused(
                "Placeholders are allowed in the path, query and fragment only.",
            ));
        }
        let known = target.placeholders();
        let unknown = pieces(text).any(|piece| match piece {
            Piece::Text(text) => text.contains(['{', '}']),
            Piece::Placeholder(name) => !known.contains(&name),
        });
        if unknown {
            let names: Vec<_> = known.iter().map(|name| format!("{{{name}}}")).collect();
            let rule = format!("Braces hold one of these: {}.", names.join(", "));
            return Err(refused(&rule));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The template as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The link with these values, percent-encoded; `None` if one that it needs is not known.
    pub(crate) fn filled(&self, values: &[(&str, Option<String>)]) -> Option<String> {
        let mut link = String::with_capacity(self.0.len() + 64);
        for piece in pieces(&self.0) {
            match piece {
                Piece::Text(text) => link.push_str(text),
                Piece::Placeholder(wanted) => {
                    let (_, value) = values.iter().find(|(name, _)| *name == wanted)?;
                    push_encoded(&mut link, value.as_deref()?)?;
                }
            }
        }
        Some(link)
    }
}

/// The links of a tenant's own pages that its mails have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantLinks {
    /// Where a customer sees a booking.
    pub booking: Option<LinkTemplate>,
    /// Where a customer takes offered tickets.
    pub offer: Option<LinkTemplate>,
    /// Where anybody sees an event.
    pub event: Option<LinkTemplate>,
}

enum Piece<'a> {
    Text(&'a str),
    /// The name between braces.
    Placeholder(&'a str),
}

/// The pieces of a template. A brace without its partner stays in a text.
fn pieces(template: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = template;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let begin = rest.find('{').unwrap_or(rest.len());
        let (piece, after) = match (begin, rest.find('}')) {
            (0, Some(end)) => (Piece::Placeholder(&rest[1..end]), end + 1),
            (0, None) => (Piece::Text(rest), rest.len()),
            (begin, _) => (Piece::Text(&rest[..begin]), begin),
        };
        rest = &rest[after..];
        Some(piece)
    })
}

/// Adds a value with everything encoded that is not unreserved (RFC 3986, 2.3). `None` for dots alone: browsers take them for a
/// step up in the path, encoded or not.
fn push_encoded(link: &mut String, value: &str) -> Option<()> {
    if value.bytes().all(|byte| byte == b'.') {
        return None;
    }
    for byte in value.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => link.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => link.push(char::from(byte)),
            _ => link.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(())
}

/// Checks an address, braces aside, and returns where its host and port end.
fn authority_end(text: &str) -> Result<usize, &'static str> {
    const PREFIX: &str = "https://";
    if text.len() > CHARACTERS_MAX {
        return Err("An address has at most 500 characters.");
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\\\"<>^`|".contains(&byte);
    if !text.bytes().all(is_plain) {
        return Err(
            "An address has visible ASCII characters alone: encode spaces, quotes and other letters (RFC 3986).",
        );
    }
    let Some(rest) = text.strip_prefix(PREFIX) else {
        return Err("An address begins with https:// and a host.");
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    if authority.contains('@') {
        return Err("An address must not have a user name or password.");
    }
    let end = PREFIX.len() + authority.len();
    // Braces have their own message.
    let authority = authority.replace(['{', '}'], "");
    let (host, port) = authority.split_once(':').unwrap_or((&authority, "443"));
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    let is_host = host.bytes().all(is_name) && host.bytes().any(|byte| byte != b'.');
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    if !is_host || !is_number || port.parse::<u16>().is_err() {
        return Err("An address begins with https:// and a host, perhaps with a port.");
    }
    let mut escapes = text.split('%').skip(1);
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    match escapes.all(is_escape) {
        true => Ok(end),
        false => Err("A percent sign is followed by two hexadecimal digits (RFC 3986)."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_absolute_and_have_no_secrets() {
        let long = format!("https://shop.example/{}", "x".repeat(480));
        for good in [
            "https://shop.example",
            "https://shop.example:8443/a/b%20c?d=e&f=(g)#h",
            "https://xn--bcher-kva.example/logo.png",
        ] {
            assert_eq!(HttpsUrl::parse("f", good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "shop.example/x",
            "//shop.example",
            "http://shop.example",
            "HTTPS://shop.example",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://..",
            "https://ann@shop.example",
            "https://ann:secret@shop.example/",
            "https://shop.example:port/",
            "https://shop.example:99999/",
            "https://[::1]/",
            "https://shop.example\\@evil.example",
            "https://shop.example/a b",
            "https://shop.example/\"onload",
            "https://shop.example/<b>",
            "https://bücher.example",
            "https://shop.example/\r\nBcc:x",
            "https://shop.example/%",
            "https://shop.example/%2",
            "https://shop.example/{eventId}",
            &long,
        ] {
            let error = HttpsUrl::parse("brand.logoUrl", bad).unwrap_err();
            assert_eq!(error.field_name(), Some("brand.logoUrl"), "{bad}");
        }
    }

    #[test]
    fn templates_have_known_placeholders_behind_the_host() {
        use LinkTarget::{Booking, Event, Offer};
        for (target, good) in [
            (Booking, "https://s.example/o/{bookingReference}"),
            (
                Booking,
                "https://s.example/?n={bookingNumber}&b={bookingId}",
            ),
            (Booking, "https://s.example/#{eventId}-{eventReference}"),
            (Offer, "https://s.example/{eventId}/take?hold={holdId}"),
            (Event, "https://s.example/{eventReference}{eventId}"),
            (Event, "https://s.example/programme"),
        ] {
            assert_eq!(LinkTemplate::parse(target, good).unwrap().as_str(), good);
        }
        for (target, bad, part) in [
            (Booking, "https://{bookingId}.example/", "path, query"),
            (Booking, "https://s.example:{bookingId}/", "port"),
            (Booking, "https://s.example/{holdId}", "{bookingNumber}"),
            (Booking, "https://s.example/{BookingId}", "{bookingId}"),
            (
                Offer,
                "https://s.example/{bookingId}",
                "{holdId}, {eventId}",
            ),
            (
                Event,
                "https://s.example/{holdId}",
                "{eventId}, {eventReference}.",
            ),
            (Event, "https://s.example/{}", "Braces"),
            (Event, "https://s.example/{eventId", "Braces"),
            (Event, "https://s.example/eventId}", "Braces"),
            (Event, "https://s.example/{{eventId}}", "Braces"),
            (Event, "http://s.example/{eventId}", "https://"),
            (Event, "https://a:b@s.example/{eventId}", "password"),
            (Event, "https://s.example/%{eventId}", "percent"),
            (Event, "{eventId}", "https://"),
        ] {
            let error = LinkTemplate::parse(target, bad).unwrap_err();
            assert_eq!(error.field_name(), Some(target.field()), "{bad}");
            assert!(error.detail().contains(part), "{bad}: {}", error.detail());
        }
    }

    #[test]
    fn values_are_encoded_and_missing_ones_leave_no_link() {
        let template = "https://s.example/{bookingReference}/x?n={bookingNumber}#{eventId}";
        let template = LinkTemplate::parse(LinkTarget::Booking, template).unwrap();
        let filled = |reference: Option<&str>| {
            template.filled(&[
                ("bookingReference", reference.map(str::to_owned)),
                ("bookingNumber", Some("7K3QX-9TB0A".to_owned())),
                ("eventId", Some("01HZ".to_owned())),
            ])
        };
        for (reference, path) in [
            ("order-1_2.3~", "order-1_2.3~"),
            ("a/b?c#d", "a%2Fb%3Fc%23d"),
            ("\"><script>", "%22%3E%3Cscript%3E"),
            ("100%", "100%25"),
            ("{eventId}", "%7BeventId%7D"),
            ("../x", "..%2Fx"),
            ("é", "%C3%A9"),
        ] {
            let wanted = format!("https://s.example/{path}/x?n=7K3QX-9TB0A#01HZ");
            assert_eq!(filled(Some(reference)).unwrap(), wanted);
        }
        for none in [None, Some("."), Some("..")] {
            assert_eq!(filled(none), None);
        }
    }
}
