//! Goal: the page of every error shows what the program really answers, and a new code cannot be forgotten.
//!
//! Method: each error is provoked at a real router where a request can do that, and the example of its page must be that
//! answer but for ids, numbers and times. `BOXOFFICE_UPDATE_EXAMPLES=1` with this test writes the examples that differ anew.
//! What no request can provoke is named in [`NOT_PROVOKED`]; the example of such a page, if it has one, must have the
//! status, title and type that the router gives the code.

mod other_hosts;
mod provoked;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use async_trait::async_trait;
use axum::http::HeaderMap;
use boxoffice_engine::{Caller, Engine, Error, ErrorCode};
use boxoffice_host::{Authenticate, RouterOptions};
use boxoffice_tests::{Answer, Hosted, workspace_root};
use serde_json::Value;

/// Codes that no request provokes here: faults of ours, what takes a rush or a minute, and what only commands say.
const NOT_PROVOKED: [&str; 9] = [
    "backup-invalid",
    "conflict-try-again",
    "internal",
    "policy-busy",
    "store-in-use",
    "store-incomplete",
    "store-not-empty",
    "store-too-new",
    "upload-too-slow",
];
/// Members whose values are the same for every occurrence.
const FIXED: [&str; 6] = ["type", "title", "status", "code", "field", "policyCode"];
const FENCE: &str = "```json\n";

/// Answers by their code.
#[derive(Default)]
struct Seen(BTreeMap<String, Answer>);

impl Seen {
    /// Keeps an answer, which must be this problem. The first one of a code is its page's example.
    #[track_caller]
    fn note(&mut self, answer: Answer, status: u16, code: &str) {
        answer.problem(status, code);
        self.0.entry(code.to_owned()).or_insert(answer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_pages_show_what_the_program_answers() {
    let seen = provoked::all().await.0;
    let pages = pages();
    let known: BTreeSet<&str> = pages.keys().map(String::as_str).collect();
    let listed: BTreeSet<&str> = seen
        .keys()
        .map(String::as_str)
        .chain(NOT_PROVOKED)
        .collect();
    assert_eq!(
        known, listed,
        "every page (left) is of a code that is provoked or stands in NOT_PROVOKED (right)"
    );
    for code in NOT_PROVOKED {
        assert!(
            !seen.contains_key(code),
            "{code} is provoked: take it out of NOT_PROVOKED"
        );
    }
    let update = std::env::var_os("BOXOFFICE_UPDATE_EXAMPLES").is_some();
    let mut differing = Vec::new();
    for (code, answer) in &seen {
        let path = &pages[code];
        let page = std::fs::read_to_string(path).expect("a page");
        let real = answer.json();
        let fault = match example(&page) {
            Some(shown) => difference(&shown, &real),
            None => Some("it has no example".to_owned()),
        };
        let Some(fault) = fault else { continue };
        if update {
            std::fs::write(path, with_example(&page, answer)).expect("the page can be written");
        } else {
            differing.push(format!("{code}: {fault}: {}", answer.text));
        }
    }
    assert!(
        differing.is_empty(),
        "BOXOFFICE_UPDATE_EXAMPLES=1 writes these examples anew:\n{}",
        differing.join("\n")
    );
}

#[tokio::test]
async fn pages_of_other_errors_have_their_status_title_and_type() {
    let engine = Engine::builder()
        .build()
        .await
        .expect("an engine in memory");
    let options = RouterOptions {
        authenticate: Some(std::sync::Arc::new(Refusing)),
        ..RouterOptions::default()
    };
    let hosted = Hosted::with_options(engine, options).await;
    let pages = pages();
    for code in ErrorCode::ALL {
        // A platform may refuse with any code. The client compares refusals of operations with their description, and this
        // path has none.
        let request = hosted
            .client()
            .request(reqwest::Method::GET, "/api/admin/live");
        let answer = Answer::of(request.header("X-Refuse", code.as_str())).await;
        let real = answer.json();
        assert_eq!(real["code"], code.as_str());
        let page = std::fs::read_to_string(&pages[code.as_str()]).expect("a page");
        let heading = format!("\n{} · {}.\n", answer.status, code.title());
        assert!(
            page.contains(&heading),
            "the page of {code} lacks {heading:?}"
        );
        let Some(shown) = example(&page) else {
            continue;
        };
        for member in ["type", "title", "status", "code"] {
            assert_eq!(
                shown[member], real[member],
                "{member} on the page of {code}"
            );
        }
    }
}

/// Refuses everybody with the code that they name.
struct Refusing;

#[async_trait]
impl Authenticate for Refusing {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<Option<Caller>, Error> {
        let code = headers.get("x-refuse").and_then(|code| code.to_str().ok());
        let code: ErrorCode = code.unwrap_or_default().parse()?;
        Err(Error::new(code, "As it was asked for."))
    }
}

/// Every page by its code.
fn pages() -> BTreeMap<String, PathBuf> {
    let mut pages = BTreeMap::new();
    for folder in ["engine/errors", "host/errors"] {
        let entries = std::fs::read_dir(workspace_root().join(folder)).expect("a folder of pages");
        for entry in entries {
            let path = entry.expect("a page").path();
            let code = path.file_stem().and_then(|stem| stem.to_str());
            pages.insert(code.expect("a code").to_owned(), path.clone());
        }
    }
    pages
}

/// The example of a page: its block of JSON that is a problem, and where that begins and ends.
fn example_at(page: &str) -> Option<(usize, usize)> {
    page.match_indices(FENCE).find_map(|(at, _)| {
        let start = at + FENCE.len();
        let end = start + page[start..].find("```")?;
        page[start..end]
            .contains("\"type\": \"/errors/")
            .then_some((start, end))
    })
}

fn example(page: &str) -> Option<Value> {
    let (start, end) = example_at(page)?;
    Some(serde_json::from_str(&page[start..end]).expect("examples are JSON"))
}

fn with_example(page: &str, answer: &Answer) -> String {
    let written = pretty(answer);
    match example_at(page) {
        Some((start, end)) => format!("{}{written}\n{}", &page[..start], &page[end..]),
        None => format!("{}\n\n{FENCE}{written}\n```\n", page.trim_end()),
    }
}

/// An answer with a line for each member, in the program's order.
fn pretty(answer: &Answer) -> String {
    let body = answer.json();
    let members = body.as_object().expect("a problem is an object");
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|(name, _)| answer.text.find(&format!("\"{name}\":")));
    let lines = members.into_iter().map(|(name, value)| {
        let value = match value.as_array() {
            // One line for each fault.
            Some(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| format!("    {}", fault(item)))
                    .collect();
                format!("[\n{}\n  ]", items.join(",\n"))
            }
            None => value.to_string(),
        };
        format!("  \"{name}\": {value}")
    });
    format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
}

fn fault(item: &Value) -> String {
    let members = ["field", "code", "detail"].map(|name| format!("\"{name}\": {}", item[name]));
    format!("{{ {} }}", members.join(", "))
}

/// What differs between an example and an answer, but for ids, numbers and times.
fn difference(shown: &Value, real: &Value) -> Option<String> {
    let names = |value: &Value| -> Vec<String> {
        let members = value.as_object().into_iter().flatten();
        members.map(|(name, _)| name.clone()).collect()
    };
    if names(shown) != names(real) {
        return Some(format!("members {:?}, not {:?}", names(shown), names(real)));
    }
    for name in names(real) {
        let (shown, real) = (&shown[&name], &real[&name]);
        let is_like = match FIXED.contains(&name.as_str()) {
            true => shown == real,
            false => without_values(shown) == without_values(real),
        };
        if !is_like {
            return Some(format!("{name} is {shown}"));
        }
    }
    None
}

/// A value with a sign in place of each id, number and time.
fn without_values(value: &Value) -> Value {
    match value {
        Value::Number(_) => "#".into(),
        Value::String(text) => {
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
            let mut scrubbed = String::new();
            let mut rest = text.as_str();
            while let Some(first) = rest.chars().next() {
                let end = rest.find(|letter| is_part(letter) != is_part(first));
                let (run, more) = rest.split_at(end.unwrap_or(rest.len()));
                let has_digit = run.contains(|letter: char| letter.is_ascii_digit());
                scrubbed.push_str(if has_digit { "#" } else { run });
                rest = more;
            }
            scrubbed.into()
        }
        Value::Array(items) => items.iter().map(without_values).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), without_values(value)))
            .collect(),
        value => value.clone(),
    }
}
