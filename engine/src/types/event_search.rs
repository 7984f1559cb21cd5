//! Lists of events: what they are searched for, and in which order they stand.

use std::{collections::BTreeMap, str::FromStr};

use jiff::Timestamp;
use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};

use super::{EventDetails, EventStatus, UserId, text::is_invisible};
use crate::error::{Error, Result};

/// The order of a list of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSort {
    /// In order of creation.
    CreatedAt,
    /// In order of their beginning, then of creation.
    StartsAt,
}

impl FromStr for EventSort {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "createdAt" => Ok(Self::CreatedAt),
            "startsAt" => Ok(Self::StartsAt),
            _ => Err(Error::field("sort", "It is `createdAt` or `startsAt`.")),
        }
    }
}

/// A filter and an order for a list of events. The default lists all, in order of creation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only those in this state.
    pub status: Option<EventStatus>,
    /// Only those that begin then or later.
    pub starts_from: Option<Timestamp>,
    /// Only those that begin before.
    pub starts_before: Option<Timestamp>,
    /// Only those that have all these words in title, place or description.
    pub words: Option<SearchWords>,
    /// Only those that have all these words in the place.
    pub location: Option<SearchWords>,
    /// Only those of this organizer.
    pub organizer: Option<UserId>,
    /// The order. `None` means in order of creation, or of the beginning if a time is given.
    pub sort: Option<EventSort>,
}

impl EventFilter {
    /// The words and the organizer that an event must have, if there are some.
    pub(crate) fn terms(&self) -> Vec<SearchTerm> {
        let words = self.words.iter().chain(&self.location);
        let words = words.flat_map(|words| &words.0).cloned();
        let mut terms = distinct(words.map(SearchTerm::Prefix));
        terms.extend(self.organizer.map(SearchTerm::Organizer));
        terms
    }

    /// Returns whether an event has the words and the organizer that are asked for.
    pub(crate) fn finds(&self, organizer: Option<UserId>, details: &EventDetails) -> bool {
        if self.organizer.is_some() && self.organizer != organizer {
            return false;
        }
        if self.words.is_none() && self.location.is_none() {
            return true;
        }
        let event = match self.words {
            Some(_) => EventWords::of(details),
            None => EventWords::of_place(details),
        };
        let finds = |words: &Option<SearchWords>, in_place: bool| {
            let mut words = words.iter().flat_map(|words| &words.0);
            words.all(|word| event.has(word, in_place))
        };
        finds(&self.words, false) && finds(&self.location, true)
    }

    /// The order of the list.
    ///
    /// # Errors
    /// `field-invalid` at `sort` for the order of creation together with a time.
    pub(crate) fn order(&self) -> Result<EventSort> {
        let by_time = self.starts_from.is_some() || self.starts_before.is_some();
        match (self.sort, by_time) {
            (None, false) => Ok(EventSort::CreatedAt),
            (None, true) => Ok(EventSort::StartsAt),
            (Some(EventSort::CreatedAt), true) => Err(Error::field(
                "sort",
                "With startsFrom or startsBefore, events are listed by startsAt.",
            )),
            (Some(sort), _) => Ok(sort),
        }
    }
}

/// Words that are searched for: 1 to 8, each the beginning of a word of the event, in any case and with or without accents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchWords(Vec<String>);

impl SearchWords {
    /// Longest text, in characters: longer than what people type.
    pub const CHARACTERS_MAX: usize = 100;
    /// Most words: each costs a read of the index.
    pub const WORDS_MAX: usize = 8;

    /// Reads the words of a text from the request's `field`.
    ///
    /// # Errors
    /// `field-invalid` if it is too long, has too many words, or none.
    pub fn parse(field: &'static str, text: &str) -> Result<Self> {
        // Bytes first, because counting the characters of a huge text is expensive.
        if text.len() > 4 * Self::CHARACTERS_MAX || text.chars().count() > Self::CHARACTERS_MAX {
            let rule = "A search has at most 100 characters.";
            return Err(Error::field(field, rule));
        }
        let words = distinct(words_of(text));
        match words.len() {
            0 => Err(Error::field(
                field,
                "A search has a word: a letter or a digit.",
            )),
            1..=Self::WORDS_MAX => Ok(Self(words)),
            _ => Err(Error::field(field, "A search has at most 8 words.")),
        }
    }
}

/// What the index of events is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SearchTerm {
    /// Events with a word that begins so.
    Prefix(String),
    /// Events of an organizer.
    Organizer(UserId),
}

/// The words by which an event is found, with whether its place has them.
#[derive(Debug)]
pub(crate) struct EventWords(BTreeMap<String, bool>);

impl EventWords {
    /// Most words of one event, each a row of the index: title and place have at most 100 each, so they always have room. Of the
    /// description the first 200 words count, as far as there is room.
    pub(crate) const MAX: usize = 200;
    /// Most characters of a word that count: longer than words are.
    const CHARACTERS_MAX: usize = 64;

    pub(crate) fn of(details: &EventDetails) -> Self {
        let mut words = Self::of_place(details);
        words.add(details.title.as_str(), false);
        words.add(details.description.as_str(), false);
        words
    }

    fn of_place(details: &EventDetails) -> Self {
        let mut words = Self(BTreeMap::new());
        if let Some(place) = &details.location {
            words.add(place.as_str(), true);
        }
        words
    }

    fn add(&mut self, text: &str, in_place: bool) {
        // Of a text that says the same again and again no more is looked at.
        for word in words_of(text).take(Self::MAX) {
            if let Some(known) = self.0.get_mut(&word) {
                *known |= in_place;
            } else if self.0.len() < Self::MAX {
                self.0.insert(word, in_place);
            } else {
                return;
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns whether a word of it, or of its place, begins so.
    fn has(&self, prefix: &str, in_place: bool) -> bool {
        let from_there = self.0.range(prefix.to_owned()..);
        let mut begun = from_there.take_while(|(word, _)| word.starts_with(prefix));
        begun.any(|(_, is_of_place)| *is_of_place || !in_place)
    }
}

/// Each once, in their order. Few: every one is compared with all before it.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}

/// The words of a text in small letters without accents: NFKD (UAX 15) without combining marks. Everything but letters and digits divides
/// words.
fn words_of(text: &str) -> impl Iterator<Item = String> {
    let shown = text.chars().filter(|one| !is_invisible(*one));
    let plain = shown.nfkd().filter(|one| !is_combining_mark(*one));
    // Through capitals, so that `ß` becomes `ss` and both small sigmas are one.
    let mut folded = plain
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    // One by one, because a long text has more words than count.
    std::iter::from_fn(move || {
        let (mut word, mut count) = (String::new(), 0);
        loop {
            match folded.next() {
                Some(one) if one.is_alphanumeric() => {
                    count += 1;
                    if count <= EventWords::CHARACTERS_MAX {
                        word.push(one);
                    }
                }
                Some(_) if word.is_empty() => {}
                _ => return (!word.is_empty()).then_some(word),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CreateEvent, Label, Prose};

    fn details(title: &str, place: &str, description: &str) -> EventDetails {
        let title = Label::stored(title.to_owned());
        let event = CreateEvent::general(title, Timestamp::UNIX_EPOCH, 1);
        EventDetails {
            location: Some(Label::stored(place.to_owned())),
            description: Prose::stored(description.to_owned()),
            ..event.details
        }
    }

    #[test]
    fn words_are_found_by_their_beginning_in_any_case_with_or_without_accents() {
        let event = details(
            "Café-Konzert: L’Été",
            "Große Straße 7, Malmö",
            "ΣΟΦΟΣ ２０２７ Zoë",
        );
        for (words, place, expected) in [
            ("cafe", "", true),
            ("CAFÉ", "", true),
            ("caf\u{65}\u{301}", "", true),
            ("konz ete", "", true),
            ("onzert", "", false),
            ("konzerte", "", false),
            ("strasse", "", true),
            ("STRASSE", "malmo", true),
            ("2027", "", true),
            ("σοφος", "", true),
            ("zoe malmo 7", "", true),
            ("zoe berlin", "", false),
            ("", "grosse", true),
            ("", "cafe", false),
            ("kon\u{ad}zert", "", true),
        ] {
            let parsed = |text: &str| match text {
                "" => None,
                text => Some(SearchWords::parse("q", text).unwrap()),
            };
            let filter = EventFilter {
                words: parsed(words),
                location: parsed(place),
                ..EventFilter::default()
            };
            assert_eq!(
                filter.finds(None, &event),
                expected,
                "{words:?} at {place:?}"
            );
        }
    }

    #[test]
    fn a_search_has_a_word_and_bounds() {
        let nine = "a b c d e f g h i";
        for wrong in ["", " ", "!?", "\u{301}", nine, &"x".repeat(101)] {
            let error = SearchWords::parse("q", wrong).unwrap_err();
            assert_eq!(error.field_name(), Some("q"), "{wrong:?}");
        }
        assert_eq!(SearchWords::parse("q", "a A á b").unwrap().0, ["a", "b"]);
        assert!(SearchWords::parse("q", &"x".repeat(100)).is_ok());
    }

    #[test]
    fn title_and_place_have_room_whatever_the_description_has() {
        let many = |prefix: char| -> String {
            let words = (0..100).map(|number| format!("{prefix}{number}"));
            words.collect::<Vec<_>>().join(" ")
        };
        let long = (0..10_000).map(|number| format!("d{number} "));
        let words = EventWords::of(&details(&many('t'), &many('p'), &long.collect::<String>()));
        assert_eq!(words.iter().count(), EventWords::MAX);
        assert!(words.has("t99", false) && words.has("p99", true));
        assert!(!words.has("d0", false));
    }
}
