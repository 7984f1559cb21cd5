//! Text from outside, checked once when it enters: no control characters, bounded, and so safe in headers.

use std::fmt;

use serde::Serialize;

use crate::{Error, Result};

/// One line of text: trimmed, 1 to 200 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// Longest label, in characters. Anchor: mail subjects and calendar entries stay readable.
    pub const CHARACTERS_MAX: usize = 200;

    /// Checks a line of text that came in as `field`.
    ///
    /// # Errors
    /// `field-invalid` if it is empty, too long, or holds a control character such as a line break.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        let text = text.trim();
        let rule = |rule: &'static str| Err(Error::field(field, rule));
        if text.is_empty() {
            rule("This text must not be empty.")
        } else if text.chars().count() > Self::CHARACTERS_MAX {
            rule("This text may have at most 200 characters.")
        } else if text.chars().any(is_forbidden) {
            rule("This text must be one line without control characters.")
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// Takes a text that was checked when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why somebody did something, in their words: one line, trimmed, 1 to 500 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reason(String);

impl Reason {
    /// Longest reason, in characters: a few sentences, and the number of a ticket.
    pub const CHARACTERS_MAX: usize = 500;

    /// Checks a reason that came in as `field`.
    ///
    /// # Errors
    /// `field-invalid` if it is empty, too long, or holds a control character such as a line break.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        let text = text.trim();
        let rule = |rule: &'static str| Err(Error::field(field, rule));
        if text.is_empty() {
            rule("Say why: this is kept in the audit.")
        } else if text.chars().count() > Self::CHARACTERS_MAX {
            rule("A reason may have at most 500 characters.")
        } else if text.chars().any(is_forbidden) {
            rule("A reason must be one line without control characters.")
        } else {
            Ok(Self(text.to_owned()))
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Running text of several lines: at most 10,000 characters, no control characters but line breaks and tabs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Prose(String);

impl Prose {
    /// Longest prose, in characters.
    pub const CHARACTERS_MAX: usize = 10_000;

    /// Checks running text that came in as `field`. May be empty.
    ///
    /// # Errors
    /// `field-invalid` if it is too long or holds a control character.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        if text.chars().count() > Self::CHARACTERS_MAX {
            return Err(Error::field(
                field,
                "This text may have at most 10,000 characters.",
            ));
        }
        if text
            .chars()
            .any(|character| is_forbidden(character) && !matches!(character, '\n' | '\r' | '\t'))
        {
            return Err(Error::field(
                field,
                "This text must not hold control characters.",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An e-mail address, trimmed and lower-case, so that one mailbox is one login.
///
/// Local parts are matched without regard to case: RFC 5321 allows a server to tell them apart, none in use does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks an address that came in as `field`.
    ///
    /// Accepts `local@domain` in printable ASCII of at most 254 characters (RFC 5321, 4.5.3.1.3); a domain
    /// with other letters is written in Punycode. Quoted local parts and address literals are refused.
    ///
    /// # Errors
    /// `field-invalid` for everything else, above all for line breaks.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        let text = text.trim().to_ascii_lowercase();
        let valid = text.len() <= 254
            && text
                .split_once('@')
                .is_some_and(|(local, domain)| valid_local(local) && valid_domain(domain));
        if valid {
            Ok(Self(text))
        } else {
            Err(Error::field(
                field,
                "An e-mail address looks like name@example.org, in plain ASCII.",
            ))
        }
    }

    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The normalised address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Characters that break lines, hide text or reorder it: C0/C1 controls, line and paragraph separators, bidi overrides.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn valid_local(local: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&byte);
    (1..=64).contains(&local.len())
        && local.bytes().all(allowed)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
}

fn valid_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    !domain.is_empty() && domain.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised_and_bad_ones_refused() {
        assert_eq!(
            EmailAddress::parse("email", " Ann@Example.ORG ")
                .unwrap()
                .as_str(),
            "ann@example.org"
        );
        for bad in [
            "",
            "ann",
            "@x.org",
            "ann@",
            "a@b@c",
            "a b@c.d",
            "a@b\r\nbcc:x@y.z",
            "a@-b.c",
            "ä@b.c",
            "a..b@c.d",
        ] {
            assert!(
                EmailAddress::parse("email", bad).is_err(),
                "{bad:?} must be refused"
            );
        }
    }

    #[test]
    fn labels_are_one_line() {
        assert_eq!(Label::parse("title", "  Jazz  ").unwrap().as_str(), "Jazz");
        for bad in [
            "",
            "   ",
            "a\nb",
            "a\r\nBcc: x",
            "a\u{2028}b",
            "a\u{202e}b",
            "\u{0}",
        ] {
            assert!(
                Label::parse("title", bad).is_err(),
                "{bad:?} must be refused"
            );
        }
        assert!(Label::parse("title", &"x".repeat(200)).is_ok());
        assert!(Label::parse("title", &"x".repeat(201)).is_err());
    }
}
