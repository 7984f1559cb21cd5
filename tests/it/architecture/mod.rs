//! Goal: the rules of the house that privacy cannot hold: who names which crate, who calls whom, what no file does.
//!
//! Method: `syn` parses every source file of the workspace, and each rule of `rules.rs` looks for what it refuses. Each
//! rule is first fed snippets that break it (`snippets.rs`) and must refuse them at the right line, and snippets that
//! come close and must pass: a rule that sees nothing would pass any code. The layer probes of `tests/run.py` show what
//! privacy holds. Lints in `Cargo.toml` have what rustc and clippy check.

mod circles;
mod rules;
mod snippets;
mod source;
mod words;

use std::path::Path;

use boxoffice_tests::workspace_root;

use rules::{
    FUNCTION_LINES_MAX, Finding, LONG_FUNCTIONS, PARAMETERS_MAX, RULES, SYSTEM_SCOPES,
    WIDE_FUNCTIONS, system_scopes,
};
use source::{Function, SourceFile};

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
        let own = || snippets::ALL.iter().filter(|(name, ..)| *name == rule.name);
        assert!(
            own().any(|(.., line, _)| *line > 0) || sized(rule.name, 1).is_some(),
            "no snippet breaks the rule {}",
            rule.name
        );
        assert!(
            own().any(|(.., line, _)| *line == 0) || sized(rule.name, 0).is_some(),
            "no snippet comes close to the rule {}",
            rule.name
        );
        for too_many in [0, 1] {
            if let Some(text) = sized(rule.name, too_many) {
                check(rule.name, "engine/src/x.rs", too_many, &text);
            }
        }
    }
    for (rule, path, line, text) in snippets::ALL {
        check(rule, path, *line, text);
    }
}

/// A snippet at the limit of a rule about sizes, and `too_many` beyond it. It is refused at its first line.
fn sized(rule: &str, too_many: usize) -> Option<String> {
    match rule {
        "file-size" => Some(format!("//! Head.{}", "\n//".repeat(499 + too_many))),
        "function-size" => Some(format!("fn f() {{{}}}", "\n".repeat(59 + too_many))),
        "parameters" => Some(format!(
            "fn f(&self{}) {{}}",
            ", a: u8".repeat(5 + too_many)
        )),
        _ => None,
    }
}

/// Checks that a rule refuses a snippet at this line; at none if it is 0.
fn check(rule: &str, path: &str, line: usize, text: &str) {
    let found = RULES.iter().find(|one| one.name == rule);
    let found = found.unwrap_or_else(|| panic!("there is no rule {rule}"));
    let file = SourceFile::new(path, text);
    let lines: Vec<usize> = found.check(&file).iter().map(|found| found.line).collect();
    let expected = if line == 0 { vec![] } else { vec![line] };
    assert_eq!(lines, expected, "rule {rule} on {path}:\n{text}");
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
fn the_lists_of_what_is_too_large_only_shrink() {
    let files = workspace_files();
    let file = |path: &str| files.iter().find(|file| file.path == path);
    let has = |path: &str, name: &str, is_large: fn(&Function) -> bool| {
        let all = file(path).into_iter().flat_map(|file| &file.functions);
        let mut named = all.filter(|function| function.name == name);
        named.any(is_large)
    };
    let mut stale: Vec<String> = Vec::new();
    for (path, name) in LONG_FUNCTIONS {
        if !has(path, name, |one| one.lines > FUNCTION_LINES_MAX) {
            stale.push(format!("{path}: {name} is short"));
        }
    }
    for (path, name) in WIDE_FUNCTIONS {
        if !has(path, name, |one| one.parameters > PARAMETERS_MAX) {
            stale.push(format!("{path}: {name} takes few parameters"));
        }
    }
    assert!(
        stale.is_empty(),
        "take these off the lists in rules.rs:\n{}",
        stale.join("\n")
    );
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

/// Embedded stores are written without SurrealQL, which would not serve what else a schema can define.
#[test]
fn the_schema_defines_tables_and_nothing_else() {
    let folder = workspace_root().join("engine/src/modules/repositories/schema");
    let mut tables = 0;
    for entry in std::fs::read_dir(&folder).expect("a folder of schemas") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a schema");
        for (number, line) in text.lines().enumerate() {
            let statement = line.split("--").next().unwrap_or_default().trim();
            if statement.is_empty() {
                continue;
            }
            let table = statement.strip_prefix("DEFINE TABLE IF NOT EXISTS ");
            let name = table.and_then(|rest| rest.strip_suffix(" SCHEMALESS;"));
            assert!(
                name.is_some_and(|name| !name.contains(' ')),
                "{}:{}: only schemaless tables: {statement}",
                path.display(),
                number + 1
            );
            tables += 1;
        }
    }
    assert!(tables > 40, "{tables} tables");
}
