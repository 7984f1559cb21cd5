//! Text of any direction inside the English sentences of a mail.
//!
//! Called by the built-in templates of plain text, as the filter `isolated`. HTML says `dir="auto"` instead.

/// FIRST STRONG ISOLATE: what follows has the direction of its own first letter.
const BEGIN: char = '\u{2068}';
/// POP DIRECTIONAL ISOLATE.
const END: char = '\u{2069}';

/// A value that its surroundings do not reorder, nor it them (UAX #9, 2.4).
///
/// Text without letters that run from right to left stays as it is: nothing invisible goes into most mails. Values hold
/// no isolates of their own: names and titles with them are refused when they enter.
pub(super) fn isolated(text: &str) -> String {
    if text.chars().any(is_right_to_left) {
        format!("{BEGIN}{text}{END}")
    } else {
        text.to_owned()
    }
}

/// At most `characters_max` characters of a line; what is cut ends with an ellipsis, and an isolate with its end.
pub(super) fn shortened(line: &str, characters_max: usize) -> String {
    if line.chars().count() <= characters_max {
        return line.to_owned();
    }
    let mut cut: String = line.chars().take(characters_max - 1).collect();
    if cut.contains(BEGIN) && !cut.contains(END) {
        cut.pop();
        cut.extend(['…', END]);
    } else {
        cut.push('…');
    }
    cut
}

/// The blocks of scripts that run from right to left, and the marks that do (Unicode's DerivedBidiClass, defaults R and AL).
fn is_right_to_left(character: char) -> bool {
    matches!(
        character,
        '\u{590}'..='\u{8ff}'
            | '\u{200f}'
            | '\u{fb1d}'..='\u{fdff}'
            | '\u{fe70}'..='\u{feff}'
            | '\u{10800}'..='\u{10fff}'
            | '\u{1e800}'..='\u{1efff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_text_that_runs_from_right_to_left_is_isolated() {
        for text in ["", "Jazz", "Zoë", "日本", "🎷", "ไทย"] {
            assert_eq!(isolated(text), text);
        }
        for text in ["קונצרט (2028)!", "حفلة", "Live: حفلة", "𞤀", "a\u{200f}"] {
            assert_eq!(isolated(text), format!("\u{2068}{text}\u{2069}"));
        }
    }

    #[test]
    fn lines_are_cut_at_a_character_and_isolates_end() {
        let short = |text: &str| shortened(text, 200);
        assert_eq!(short(&"é".repeat(200)), "é".repeat(200));
        assert_eq!(short(&"é".repeat(201)), format!("{}…", "é".repeat(199)));
        let hebrew = isolated(&"א".repeat(200));
        let cut = short(&hebrew);
        assert_eq!(cut.chars().count(), 200);
        assert_eq!(cut, format!("\u{2068}{}…\u{2069}", "א".repeat(197)));
        let ended = format!("{}{}", isolated("א"), "é".repeat(200));
        assert!(short(&ended).ends_with("é…"));
    }
}
