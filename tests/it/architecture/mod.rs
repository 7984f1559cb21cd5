//! Goal: the rules of the house that privacy cannot hold: who names which crate, who calls whom, what no file does.
//!
//! Method: every source file of the workspace is read, comments and texts blanked, and each rule of `rules.rs`
//! looks for what it refuses. So that a rule that sees nothing is not mistaken for code that is clean, each rule is
//! first fed snippets that break it (`snippets.rs`) and must refuse them at the right line, and snippets that come
//! close and must pass. What privacy does hold is proven by the layer probes of `tests/run.py`.

mod rules;
mod snippets;
mod source;
mod words;

use std::path::Path;

use boxoffice_tests::workspace_root;

use rules::{Finding, RULES, SYSTEM_SCOPES, system_scopes};
use source::SourceFile;

#[test]
fn the_sources_keep_the_rules() {
    let files = workspace_files();
    // A walk that finds nothing would pass every rule.
    for needed in [
        "engine/src/lib.rs",
        "host/src/lib.rs",
        "tests/src/lib.rs",
        "engine/Cargo.toml",
    ] {
        assert!(
            files.iter().any(|file| file.path == needed),
            "the walk did not find {needed}"
        );
    }
    let findings: Vec<String> = RULES
        .iter()
        .flat_map(|rule| files.iter().flat_map(|file| rule.check(file)))
        .map(|finding| finding.to_string())
        .collect();
    assert!(
        findings.is_empty(),
        "{} findings:\n{}",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn every_rule_has_been_seen_failing() {
    for rule in RULES {
        let own = || {
            snippets::ALL
                .iter()
                .filter(|snippet| snippet.rule == rule.name)
        };
        assert!(
            own().any(|snippet| snippet.line > 0),
            "no snippet breaks the rule {}",
            rule.name
        );
        assert!(
            own().any(|snippet| snippet.line == 0),
            "no snippet comes close to the rule {}",
            rule.name
        );
    }
    for snippet in snippets::ALL {
        let rule = RULES.iter().find(|rule| rule.name == snippet.rule);
        let rule = rule.unwrap_or_else(|| panic!("there is no rule {}", snippet.rule));
        let lines: Vec<usize> = rule
            .check(&SourceFile::new(snippet.path, snippet.text))
            .iter()
            .map(|found| found.line)
            .collect();
        let expected: &[usize] = if snippet.line == 0 {
            &[]
        } else {
            &[snippet.line]
        };
        assert_eq!(
            lines, expected,
            "rule {} on {}:\n{}",
            rule.name, snippet.path, snippet.text
        );
    }
}

#[test]
fn the_list_of_system_scopes_only_shrinks() {
    let files = workspace_files();
    for (path, listed) in SYSTEM_SCOPES {
        let file = files.iter().find(|file| file.path == *path);
        let made = file.map_or(0, |file| system_scopes(file).len());
        assert_eq!(
            made, *listed,
            "{path} makes {made} system scopes: lower its number in rules.rs to that"
        );
    }
}

#[test]
fn a_finding_says_where_what_and_how_to_mend_it() {
    let finding = Finding {
        path: "engine/src/x.rs".to_owned(),
        line: 7,
        rule: "no-unwrap",
        fix: "use `expect`",
    };
    assert_eq!(
        finding.to_string(),
        "engine/src/x.rs:7: no-unwrap: use `expect`"
    );
}

/// Every Rust file and manifest of the workspace.
fn workspace_files() -> Vec<SourceFile> {
    let mut files = Vec::new();
    for folder in ["engine", "host", "nats", "tests", "wit"] {
        collect(&workspace_root().join(folder), &mut files);
    }
    files
}

fn collect(folder: &Path, files: &mut Vec<SourceFile>) {
    let entries = std::fs::read_dir(folder).expect("the workspace can be read");
    for path in entries.map(|entry| entry.expect("the workspace can be read").path()) {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            // A target folder may lie in a package whose tests were run by themselves.
            if name != "target" {
                collect(&path, files);
            }
        } else if name.ends_with(".rs") || name == "Cargo.toml" {
            let text = std::fs::read_to_string(&path).expect("sources are text");
            let relative = path
                .strip_prefix(workspace_root())
                .expect("the walk stays in the workspace");
            files.push(SourceFile::new(&relative.display().to_string(), &text));
        }
    }
}
