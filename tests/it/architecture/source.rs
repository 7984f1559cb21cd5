//! A source file as the rules see it: without comments and texts, its paths resolved.
//!
//! Line-based on purpose: no parser to keep up with the language, and a finding is a line that can be looked at.

/// A file and the two views of it that rules look at.
pub(super) struct SourceFile {
    /// Its path from the root of the workspace, with `/`.
    pub(super) path: String,
    /// The text as it stands.
    pub(super) text: String,
    /// The same lines with comments, text literals and test modules blanked.
    pub(super) code: String,
    /// The same lines with comments blanked only.
    pub(super) uncommented: String,
}

impl SourceFile {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let (uncommented, code) = if path.ends_with(".rs") {
            // A file of unit tests is behind `#[cfg(test)] mod tests;` as a whole.
            let is_test =
                path.contains("/src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"));
            let code = if is_test {
                String::new()
            } else {
                without_tests_and_probes(&blanked(text, true))
            };
            (blanked(text, false), code)
        } else {
            (text.to_owned(), text.to_owned())
        };
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            uncommented,
        }
    }

    /// Whether it is a Rust file below this folder.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        self.path.ends_with(".rs") && self.path.starts_with(folder)
    }

    /// Lines of code that satisfy a condition, counted from 1.
    pub(super) fn lines_where(&self, condition: impl Fn(&str) -> bool) -> Vec<usize> {
        self.code
            .lines()
            .enumerate()
            .filter(|(_, line)| condition(line))
            .map(|(index, _)| index + 1)
            .collect()
    }

    /// Paths in the code that begin with `crate`, `super` or `self`, resolved to begin with `crate`: line and path.
    pub(super) fn crate_paths(&self) -> Vec<(usize, String)> {
        let here = self.module_path();
        let mut paths = Vec::new();
        let mut line = 1;
        let code = self.code.as_str();
        for (index, character) in code.char_indices() {
            if character == '\n' {
                line += 1;
            }
            let before = code[..index].chars().next_back();
            let inside = before
                .is_some_and(|before| is_word(before) || before == ':' || before == '$')
                // `pub(in crate::modules)` says who may call, not who is called.
                || code[..index].ends_with("pub(in ");
            let rest = &code[index..];
            let starts = ["crate::", "super::", "self::"]
                .iter()
                .any(|start| rest.starts_with(start));
            if starts && !inside {
                let tree = path_tree(rest);
                paths.extend(
                    expanded(tree)
                        .into_iter()
                        .map(|path| (line, resolved(&here, &path))),
                );
            }
        }
        paths
    }

    /// The module this file is, as a path from `crate`.
    fn module_path(&self) -> Vec<String> {
        let inner = self
            .path
            .split_once("/src/")
            .map_or(self.path.as_str(), |(_, inner)| inner);
        let inner = inner.trim_end_matches(".rs");
        let mut path = vec!["crate".to_owned()];
        path.extend(
            inner
                .split('/')
                .filter(|part| !["mod", "lib", "main"].contains(part))
                .map(str::to_owned),
        );
        path
    }
}

/// Whether a word stands in a line by itself, not as a part of a longer one.
pub(super) fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(index, _)| {
        let before = line[..index].chars().next_back();
        let after = line[index + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The text of a path with its braces: `crate::{a::b, c}` of `crate::{a::b, c};`.
fn path_tree(text: &str) -> &str {
    let mut depth = 0_usize;
    for (index, character) in text.char_indices() {
        match character {
            '{' if depth > 0 || text[..index].ends_with("::") => depth += 1,
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 {
                    return &text[..=index];
                }
            }
            _ if depth > 0 || is_word(character) || character == ':' || character == '*' => {}
            _ => return &text[..index],
        }
    }
    text
}

/// All single paths of a path with braces.
fn expanded(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or(tree);
        return vec![path.trim().trim_end_matches("::").to_owned()];
    };
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    branches(inside)
        .iter()
        .flat_map(|branch| expanded(branch))
        .map(|branch| format!("{}{branch}", head.trim()))
        .collect()
}

/// The parts between the commas of the outermost level.
fn branches(inside: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0_usize);
    for character in inside.chars() {
        match character {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth = match character {
                    '{' => depth + 1,
                    '}' => depth.saturating_sub(1),
                    _ => depth,
                };
                parts
                    .last_mut()
                    .expect("there is always a part")
                    .push(character);
            }
        }
    }
    parts.retain(|part| !part.trim().is_empty());
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// A path from `crate`, with `super` and `self` followed.
fn resolved(here: &[String], path: &str) -> String {
    let mut at: Vec<String> = here.to_vec();
    for part in path.split("::") {
        match part {
            "crate" => at = vec!["crate".to_owned()],
            "self" => {}
            "super" => {
                at.pop();
            }
            other => at.push(other.to_owned()),
        }
    }
    at.join("::")
}

/// The text with comments, and text literals if `texts_too`, replaced by blanks; every line stays where it was.
fn blanked(text: &str, texts_too: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_word = out.chars().next_back().is_some_and(is_word);
        let (length, blank) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with("/*") {
            (block_comment(rest), true)
        } else if !after_word && let Some(length) = raw_text(rest) {
            (length, texts_too)
        } else if first == '"' {
            (quoted(rest), texts_too)
        } else if first == '\''
            && let Some(length) = character_literal(rest)
        {
            (length, texts_too)
        } else {
            (first.len_utf8(), false)
        };
        let (taken, left) = rest.split_at(length);
        if blank {
            out.extend(
                taken
                    .chars()
                    .map(|character| if character == '\n' { '\n' } else { ' ' }),
            );
        } else {
            out.push_str(taken);
        }
        rest = left;
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut index) = (0_usize, 0_usize);
    while index < text.len() {
        let rest = &text[index..];
        if rest.starts_with("/*") {
            depth += 1;
            index += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            index += 2;
            if depth == 0 {
                return index;
            }
        } else {
            index += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a raw text literal (`r"…"`, `br#"…"#`) that begins here.
fn raw_text(text: &str) -> Option<usize> {
    let after_r = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after_r.len() - after_r.trim_start_matches('#').len();
    let body = after_r[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let head = text.len() - body.len();
    Some(
        body.find(&end)
            .map_or(text.len(), |at| head + at + end.len()),
    )
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (index, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; none for a lifetime.
fn character_literal(text: &str) -> Option<usize> {
    let body = &text[1..];
    let first = body.chars().next()?;
    if first == '\\' {
        let close = body[2..].find('\'')?;
        return Some(1 + 2 + close + 1);
    }
    let rest = &body[first.len_utf8()..];
    rest.starts_with('\'').then(|| 1 + first.len_utf8() + 1)
}

/// The code without what is never part of the program: unit tests, and the probes that must not compile.
fn without_tests_and_probes(code: &str) -> String {
    const MARKS: [&str; 2] = ["#[cfg(test)]", "#[cfg(layer_probe"];
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = MARKS.iter().filter_map(|mark| rest.find(mark)).min() {
        out.push_str(&rest[..at]);
        let item = &rest[at..];
        let length = item_length(item);
        let blank = |character| if character == '\n' { '\n' } else { ' ' };
        out.extend(item[..length].chars().map(blank));
        rest = &item[length..];
    }
    out.push_str(rest);
    out
}

/// Up to the end of the braces of an item, or to its semicolon.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    for (index, character) in item.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return index + 1;
                }
            }
            ';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    item.len()
}
