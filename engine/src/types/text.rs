//! Text from clients, checked once when it enters: limited in length, without control characters, so it is safe in headers.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de};
use unicode_normalization::UnicodeNormalization as _;

use crate::error::{Error, Result};

/// Why a line of text is refused; see [`check_line`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFault {
    /// It is empty or has no visible character.
    Blank,
    /// It is too long.
    TooLong,
    /// It has a line break, a control character or a direction override.
    Control,
}

impl fmt::Display for LineFault {
    /// The predicate of a sentence whose subject is the text.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Blank => "must show something: it is empty or has only invisible characters",
            Self::TooLong => "has too many characters",
            Self::Control => "must be one line without control characters",
        })
    }
}

/// Checks a line of text: it has a visible character, at most `characters_max` characters,
/// and no control character, line separator or direction override.
///
/// # Errors
/// The violated rule.
pub fn check_line(text: &str, characters_max: usize) -> Result<(), LineFault> {
    // Bytes first, because counting the characters of a huge text is expensive.
    if text.len() > 4 * characters_max || text.chars().count() > characters_max {
        Err(LineFault::TooLong)
    } else if text.chars().any(is_forbidden) {
        Err(LineFault::Control)
    } else if shows_nothing(text) {
        Err(LineFault::Blank)
    } else {
        Ok(())
    }
}

/// Returns whether a text has no visible character: only spaces, fillers and characters that renderers ignore.
pub(crate) fn shows_nothing(text: &str) -> bool {
    text.chars()
        .all(|character| character.is_whitespace() || is_invisible(character))
}

/// Returns whether two texts are equal after canonical composition (NFC, UAX 15).
pub(crate) fn is_same_text(one: &str, other: &str) -> bool {
    one == other || one.nfc().eq(other.nfc())
}

/// One line of text: trimmed, 1 to 200 characters, at least one visible, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// Longest label, in characters. Mail subjects and calendar entries stay readable with it.
    pub const CHARACTERS_MAX: usize = 200;

    /// Checks a line of text from the request's `field`.
    ///
    /// # Errors
    /// `field-invalid` if it has no visible character, is too long, or has a control character such as a line break.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        let text = text.trim();
        match check_line(text, Self::CHARACTERS_MAX) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(LineFault::Blank) => Err(Error::field(
                field,
                "This text must not be empty, nor have only invisible characters.",
            )),
            Err(LineFault::TooLong) => Err(Error::field(
                field,
                "This text may have at most 200 characters.",
            )),
            Err(LineFault::Control) => Err(Error::field(
                field,
                "This text must be one line without control characters.",
            )),
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

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse("text", &text).map_err(de::Error::custom)
    }
}

/// A person's reason for an action: one line, trimmed, 1 to 500 characters, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reason(String);

impl Reason {
    /// Longest reason, in characters: a few sentences.
    pub const CHARACTERS_MAX: usize = 500;

    /// Checks a reason from the request's `field`.
    ///
    /// # Errors
    /// `field-invalid` if it has no visible character, is too long, or has a control character such as a line break.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        let text = text.trim();
        let rule = |rule: &'static str| Err(Error::field(field, rule));
        match check_line(text, Self::CHARACTERS_MAX) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(LineFault::Blank) => rule("Give a reason for the audit log."),
            Err(LineFault::TooLong) => rule("A reason may have at most 500 characters."),
            Err(LineFault::Control) => {
                rule("A reason must be one line without control characters.")
            }
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Text of several lines: at most 10,000 characters, no control characters but line breaks and tabs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Prose(String);

impl Prose {
    /// Longest prose, in characters.
    pub const CHARACTERS_MAX: usize = 10_000;

    /// Checks text from the request's `field`. May be empty.
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

    /// Returns whether it has no visible character.
    pub(crate) fn is_blank(&self) -> bool {
        shows_nothing(&self.0)
    }
}

/// An e-mail address, trimmed and in lower case.
///
/// Local parts are compared without case. RFC 5321 allows a server to distinguish them, but none in use does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks an address from the request's `field`.
    ///
    /// Accepts `local@domain` in printable ASCII of at most 254 characters (RFC 5321, 4.5.3.1.3); a domain
    /// with other letters is written in Punycode. Quoted local parts and address literals are refused.
    ///
    /// # Errors
    /// `field-invalid` for everything else, line breaks included.
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

impl<'de> Deserialize<'de> for EmailAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse("email", &text).map_err(de::Error::custom)
    }
}

/// Characters that break lines, hide text or reorder it: C0/C1 controls, line and paragraph separators, bidi overrides.
fn is_forbidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Invisible characters: those that renderers ignore (Default_Ignorable_Code_Point of DerivedCoreProperties.txt,
/// Unicode 16: soft hyphen, zero width, fillers, variation selectors, tags), and the blank Braille pattern.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
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
    fn another_spelling_is_the_same_text() {
        assert!(is_same_text("Caf\u{e9}", "Cafe\u{301}"));
        assert!(!is_same_text("Caf\u{e9}", "Cafe"));
        assert!(
            !is_same_text("\u{fb01}", "fi"),
            "compatibility is not sameness"
        );
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
        for blank in [
            "\u{200b}\u{200b}",
            "\u{3164}",
            "\u{2060}",
            "\u{feff}",
            "\u{ad}",
            "\u{2800}",
            "\u{180e}",
            "\u{e0020}",
            "\u{115f}",
            " \u{200d}\u{a0} ",
        ] {
            assert!(
                Label::parse("title", blank).is_err(),
                "{blank:?} shows nothing"
            );
            assert!(
                Reason::parse("why", blank).is_err(),
                "{blank:?} shows nothing"
            );
            assert!(
                Prose(blank.to_owned()).is_blank(),
                "{blank:?} shows nothing"
            );
        }
        // A joined emoji, a word with a soft hyphen, one combining mark.
        for shown in ["\u{1f469}\u{200d}\u{1f680}", "Jazz\u{ad}abend", "\u{301}"] {
            assert!(Label::parse("title", shown).is_ok(), "{shown:?}");
        }
        assert!(Label::parse("title", &"x".repeat(200)).is_ok());
        assert!(Label::parse("title", &"x".repeat(201)).is_err());
    }
}
