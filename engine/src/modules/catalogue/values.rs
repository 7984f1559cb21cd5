//! What configurations of built-in policies are made of: values that cannot be wrong once they are read. Each knows its JSON Schema.
//!
//! Called by the policies of the catalogue. Pure.

use std::{fmt, str::FromStr as _};

use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Value, json};

use super::schema::{Described, choice};
use crate::{
    ports::{BuiltInBooking, RequestEvent},
    types::{
        BookingCode, ClaimKey, EmailAddress, QuestionId, check_line, is_same_text, known_zone,
    },
};

/// A whole number between two limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whole<const MIN: u32, const MAX: u32>(u32);

/// A whole percentage; there are no parts of a percent.
pub(super) type Percent = Whole<1, 100>;
/// Money in minor units.
pub(super) type MinorUnits = Whole<0, { u32::MAX }>;
/// A number of tickets. As many as one claim can take.
pub(super) type Tickets = Whole<1, { crate::types::Claim::AMOUNT_MAX }>;
/// How often something may be used.
pub(super) type Uses = Whole<1, 1_000_000_000>;

impl<const MIN: u32, const MAX: u32> Whole<MIN, MAX> {
    /// The number.
    pub(super) fn get(self) -> u32 {
        self.0
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Display for Whole<MIN, MAX> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Whole<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = || D::Error::custom(format!("use a whole number from {MIN} to {MAX}"));
        // As a float, too: JSON does not tell 3.0 from 3.
        let number = f64::deserialize(deserializer).map_err(|_| rule())?;
        let is_whole = number.fract() == 0.0 && (f64::from(MIN)..=f64::from(MAX)).contains(&number);
        // Within the limits and whole, so that nothing is cut.
        is_whole.then_some(Self(number as u32)).ok_or_else(rule)
    }
}

impl Percent {
    /// The price that is left of a price, rounded half up to a minor unit.
    pub(super) fn off(self, price: u32) -> u32 {
        let hundredths = u64::from(price) * u64::from(100_u32.saturating_sub(self.0));
        // No more than the price.
        u32::try_from((hundredths + 50) / 100).unwrap_or(price)
    }
}

/// One line of text of at most so many characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<const MAX: usize>(String);

/// A text for customers, as long as a policy's may be.
pub(super) type Sentence = Line<300>;

impl<const MAX: usize> Line<MAX> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Line<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim();
        match check_line(text, MAX) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(_) => Err(D::Error::custom(format!(
                "use one line of 1 to {MAX} characters"
            ))),
        }
    }
}

/// A list of one to so many items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Listed<T, MAX> {
    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>, const MAX: usize> Deserialize<'de> for Listed<T, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let items = Vec::deserialize(deserializer)?;
        match (1..=MAX).contains(&items.len()) {
            true => Ok(Self(items)),
            false => Err(D::Error::custom(format!("list 1 to {MAX} of them"))),
        }
    }
}

/// A code that customers give. It is the same as another if each character is; spaces around it do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Code(pub(super) BookingCode);

/// The codes of one activation. A configuration has room for about as many.
pub(super) type Codes = Listed<Code, 1_000>;

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let code = BookingCode::from_str(&text);
        code.map(Self)
            .map_err(|_| D::Error::custom("use a code of one line, 1 to 64 characters"))
    }
}

/// What many codes look like: `*` stands for any characters, also for none, all else for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern(String);

/// Most `*` of a pattern: it is compared with each code of each booking.
const STARS_MAX: usize = 8;

impl Pattern {
    /// Whether a code looks like this. Takes at most as many steps as both have characters, multiplied.
    pub(super) fn fits(&self, code: &str) -> bool {
        let (pattern, code): (Vec<char>, Vec<char>) =
            (self.0.chars().collect(), code.chars().collect());
        let (mut at, mut place) = (0, 0);
        // Where the last `*` was, and how many characters it stood for to begin with.
        let mut star: Option<(usize, usize)> = None;
        while place < code.len() {
            if pattern.get(at) == Some(&'*') {
                star = Some((at, place));
                at += 1;
            } else if pattern.get(at) == Some(&code[place]) {
                at += 1;
                place += 1;
            } else if let Some((last, begin)) = star {
                star = Some((last, begin + 1));
                at = last + 1;
                place = begin + 1;
            } else {
                return false;
            }
        }
        pattern[at..].iter().all(|one| *one == '*')
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let text = text.trim();
        let stars = text.matches('*').count();
        let is_right = check_line(text, BookingCode::CHARACTERS_MAX).is_ok()
            && stars <= STARS_MAX
            && text.chars().any(|one| one != '*');
        match is_right {
            true => Ok(Self(text.to_owned())),
            false => Err(D::Error::custom(
                "use 1 to 64 characters, of which one at least is no * and at most 8 are",
            )),
        }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rule = "use a time with its offset, such as 2026-12-01T10:00:00+01:00";
        let text = String::deserialize(deserializer)?;
        let moment = text.parse::<Timestamp>();
        moment.map(Self).map_err(|_| D::Error::custom(rule))
    }
}

choice! {
    /// Until when something counts.
    pub(super) enum Deadline {
        /// Until a point in time.
        At(Moment),
        /// Until so many days before the event's start: the same time of day in the event's zone.
        DaysBeforeStart(Whole<0, 3_650>),
    }
}

impl Deadline {
    /// Whether it is over. At the point in time itself it is.
    ///
    /// # Errors
    /// A sentence, if the event has no readable start.
    pub(super) fn is_over(self, event: &RequestEvent, now: Timestamp) -> Result<bool, String> {
        let end = match self {
            Self::At(moment) => moment.0,
            Self::DaysBeforeStart(days) => {
                let zone = known_zone(&event.time_zone).unwrap_or(TimeZone::UTC);
                let start = moment_of(&event.starts_at)?.to_zoned(zone);
                let end = start.checked_sub(i64::from(days.get()).days());
                // An event so far in the past that there is no such day is over.
                end.map_or(Timestamp::MIN, |end| end.timestamp())
            }
        };
        Ok(now >= end)
    }
}

/// The ticket types that a policy is about, by id or by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub(super) struct TicketTypes(Listed<Line<200>, 100>);

impl TicketTypes {
    /// Whether a ticket type of an event is among them.
    fn has(&self, event: &RequestEvent, id: &str) -> bool {
        let kind = event.ticket_types.iter().find(|kind| kind.id == id);
        let mut own = self.0.iter().map(Line::as_str);
        own.any(|own| own == id || kind.is_some_and(|kind| is_same_text(own, &kind.name)))
    }
}

/// Whether a policy is about a ticket type. Without a list it is about all.
pub(super) fn is_about(types: Option<&TicketTypes>, event: &RequestEvent, id: &str) -> bool {
    types.is_none_or(|types| types.has(event, id))
}

/// Whether a request wants tickets that a policy is about.
pub(super) fn concerns(types: Option<&TicketTypes>, asked: &BuiltInBooking) -> bool {
    let mut lines = asked.lines.iter();
    lines.any(|line| is_about(types, &asked.event, &line.ticket_type))
}

/// The number of tickets that a request wants of some ticket types.
pub(super) fn tickets_of(asked: &BuiltInBooking, types: Option<&TicketTypes>) -> u64 {
    let lines = asked.lines.iter();
    let own = lines.filter(|line| is_about(types, &asked.event, &line.ticket_type));
    own.map(|line| u64::from(line.quantity)).sum()
}

/// The id of a question of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct QuestionName(QuestionId);

impl QuestionName {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for QuestionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = text.parse().map(Self);
        id.map_err(|_| D::Error::custom("use a question's id: 1 to 40 of a-z, A-Z, 0-9, _ and -"))
    }
}

/// An e-mail address, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(EmailAddress);

impl Address {
    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = EmailAddress::parse("email", &text).map(Self);
        address.map_err(|_| D::Error::custom("use an address such as name@example.org"))
    }
}

/// The part of e-mail addresses behind the `@`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Domain(String);

impl Domain {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Domain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address = EmailAddress::parse("email", &format!("a@{}", text.trim()));
        let domain = address.ok().and_then(|address| {
            let (_, domain) = address.as_str().split_once('@')?;
            Some(Self(domain.to_owned()))
        });
        domain.ok_or_else(|| D::Error::custom("use a domain such as example.org, without @"))
    }
}

/// A word of lower-case letters, digits and hyphens, at most 40 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word(String);

impl Word {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let allowed = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit() || one == b'-';
        match (1..=40).contains(&text.len()) && text.bytes().all(allowed) {
            true => Ok(Self(text)),
            false => Err(D::Error::custom("use 1 to 40 of a-z, 0-9 and -")),
        }
    }
}

/// A time of a request.
///
/// # Errors
/// A sentence.
pub(super) fn moment_of(text: &str) -> Result<Timestamp, String> {
    let moment = text.parse::<Timestamp>();
    moment.map_err(|_| format!("the request has a time that cannot be read: {text}"))
}

/// What the keys begin with that are too long to be shown as they are. No other key of a built-in policy begins with it: their names
/// have a full stop in its place.
const SHORTENED: &str = "boxoffice~";

/// The key of a counter. One that is too long is shortened: a hash, and the begin of its last part.
pub(super) fn counter_key(text: &str) -> ClaimKey {
    if let Ok(key) = text.parse() {
        return key;
    }
    let hash = crate::modules::sha256_hex(text.as_bytes());
    let last = text.rsplit('/').next().unwrap_or_default();
    // 128 bits of the hash: keys of one tenant do not meet by accident.
    let short = format!("{SHORTENED}{}/", &hash[..32]);
    let room = ClaimKey::CHARACTERS_MAX - short.len();
    ClaimKey::stored(short + &last.chars().take(room).collect::<String>())
}

impl<const MIN: u32, const MAX: u32> Described for Whole<MIN, MAX> {
    fn schema() -> Value {
        json!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

impl<const MAX: usize> Described for Line<MAX> {
    fn schema() -> Value {
        json!({ "type": "string", "minLength": 1, "maxLength": MAX })
    }
}

impl<T: Described, const MAX: usize> Described for Listed<T, MAX> {
    fn schema() -> Value {
        json!({ "type": "array", "items": T::schema(), "minItems": 1, "maxItems": MAX })
    }
}

impl Described for TicketTypes {
    fn schema() -> Value {
        Listed::<Line<200>, 100>::schema()
    }
}

macro_rules! texts {
    ($($type:ty => $schema:tt),+ $(,)?) => {$(
        impl Described for $type {
            fn schema() -> Value {
                json!($schema)
            }
        }
    )+};
}

texts! {
    Code => { "type": "string", "minLength": 1, "maxLength": 64 },
    Pattern => { "type": "string", "minLength": 1, "maxLength": 64 },
    Moment => { "type": "string", "format": "date-time" },
    QuestionName => { "type": "string", "minLength": 1, "maxLength": 40, "pattern": "^[A-Za-z0-9_-]+$" },
    Address => { "type": "string", "format": "email", "maxLength": 254 },
    Domain => { "type": "string", "minLength": 1, "maxLength": 252 },
    Word => { "type": "string", "minLength": 1, "maxLength": 40, "pattern": "^[a-z0-9-]+$" },
}
