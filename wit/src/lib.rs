//! What plugins are asked and may answer: the text of the contract, its place in messages and, behind the feature
//! `host`, the bindings that the host calls plugins through.
//!
//! Called by the host. `boxoffice.wit` beside this folder is the contract; this crate adds nothing to it.

#[cfg(feature = "host")]
pub mod host;

/// The contract, as tenants read it.
pub const WIT: &str = include_str!("../boxoffice.wit");

/// The package of the contract, without its version.
pub const PACKAGE: &str = "boxoffice:plugin";

/// The version of the contract that this crate holds.
pub fn version() -> &'static str {
    let line = WIT.lines().find_map(|line| line.strip_prefix("package "));
    line.and_then(|name| name.trim_end_matches(';').split_once('@'))
        .map_or("0.0.0", |(_, version)| version)
}

/// A line of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WitLine {
    /// Counted from 1.
    pub number: usize,
    /// What stands there, without its indentation.
    pub text: &'static str,
}

impl std::fmt::Display for WitLine {
    /// Writes `boxoffice.wit:163: validate-booking: func(…)`.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "boxoffice.wit:{}: {}", self.number, self.text)
    }
}

/// Finds the line that declares an interface, or one of its functions and types.
///
/// ```
/// let line = boxoffice_wit::line_of("host", Some("log")).expect("the contract has it");
/// assert_eq!(line.text, "log: func(level: log-level, message: string);");
/// assert!(boxoffice_wit::line_of("host", Some("open-file")).is_none());
/// ```
pub fn line_of(interface: &str, item: Option<&str>) -> Option<WitLine> {
    let opening = format!("interface {interface} {{");
    let mut lines = (1..).zip(WIT.lines());
    let begin = lines.find(|(_, line)| *line == opening)?;
    let Some(item) = item else {
        return Some(WitLine {
            number: begin.0,
            text: begin.1,
        });
    };
    lines
        .take_while(|(_, line)| *line != "}")
        .map(|(number, line)| (number, line.trim()))
        .find(|(_, line)| declares(line, item))
        .map(|(number, text)| WitLine { number, text })
}

/// Whether a line of an interface declares this function or type.
fn declares(line: &str, item: &str) -> bool {
    if let Some(rest) = line.strip_prefix(item)
        && rest.starts_with(": func")
    {
        return true;
    }
    ["record ", "variant ", "enum "].iter().any(|kind| {
        line.strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix(item))
            .is_some_and(|rest| rest.starts_with(' '))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_function_of_the_contract_is_found() {
        for (interface, function) in [
            ("host", "log"),
            ("booking-policy", "validate-booking"),
            ("booking-policy", "validate-cancellation"),
            ("notification-template", "render"),
        ] {
            let line = line_of(interface, Some(function)).expect(function);
            assert_eq!(
                WIT.lines().nth(line.number - 1).map(str::trim),
                Some(line.text)
            );
        }
        assert_eq!(
            line_of("booking-policy", Some("decision")).map(|line| line.text),
            Some("variant decision {")
        );
        assert!(line_of("booking-policy", Some("log")).is_none());
        assert!(line_of("files", None).is_none());
    }

    #[test]
    fn the_version_is_the_packages() {
        assert_eq!(version(), "0.2.0");
        assert!(WIT.contains(&format!("package {PACKAGE}@{};", version())));
    }
}
