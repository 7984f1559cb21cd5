//! Goal: every example in `plugins/` decides as its fixtures say, and a host takes it as it is.
//!
//! Method: the test command builds the examples from source (`tests/guests.py`); each is checked, and each of its fixtures is
//! run by the program, which compares the answer with the fixture's own expectation. Configurations that do not fit are tried
//! too: the call fails, and the log names the setting.

use std::path::{Path, PathBuf};

use boxoffice_tests::{
    Finished, Program, TempFolder, is_long_run, required_variable, workspace_root,
};
use serde_json::{Value, json};

/// The JavaScript example in the engine of componentize-js; built in the long form.
const STARLINGMONKEY: &str = "group-discount-starlingmonkey";

/// Enough for that and for the Python one; the others fit the limit that hosts have by default.
const LARGE_UPLOAD_BYTES: &str = "33554432";

/// Time of a call: an unoptimised host on a busy machine may need the 50 ms of a policy for what takes Python one; what each
/// costs is the benchmarks' business.
const TIME_MS: &str = "10000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_examples_decide_as_their_fixtures_say() {
    for name in examples() {
        let component = component(&name);
        let fixtures = fixtures(&name);
        assert!(
            fixtures.len() >= 2,
            "{name} has fixtures for a yes and a no"
        );
        let mut expects_failure = false;
        for fixture in fixtures {
            let text = std::fs::read_to_string(&fixture).expect("fixtures are text");
            let expected: Value = serde_json::from_str(&text).expect("fixtures are JSON");
            assert!(
                expected["expected"]
                    .as_object()
                    .is_some_and(|expected| !expected.is_empty()),
                "{} expects something",
                fixture.display()
            );
            expects_failure |= expected["expected"]["failure"].is_string();
            let answer = run(&name, &component, &fixture).await.expect_success();
            let answer: Value = serde_json::from_str(&answer).expect("the run prints JSON");
            assert_eq!(
                answer["asExpected"],
                true,
                "{}: {answer}",
                fixture.display()
            );
            for cost in ["fuel", "microseconds", "memoryBytes"] {
                assert!(
                    answer[cost].as_u64().is_some_and(|cost| cost > 0),
                    "{cost} of {answer}"
                );
            }
        }
        assert!(
            expects_failure,
            "{name} has a fixture with a wrong configuration"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_javascript_decides_the_same_in_starlingmonkey() {
    if !is_long_run() {
        return;
    }
    for fixture in fixtures("group-discount") {
        let answer = run(STARLINGMONKEY, &component(STARLINGMONKEY), &fixture).await;
        let answer: Value = serde_json::from_str(&answer.expect_success()).expect("it is JSON");
        assert_eq!(answer["asExpected"], true, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_examples_ask_for_nothing_but_the_log() {
    for name in examples() {
        let arguments =
            ["plugin", "check", &component(&name).display().to_string()].map(str::to_owned);
        let facts = Program::run(arguments.into_iter().chain(option_for(&name)))
            .await
            .expect_success();
        let facts: Value = serde_json::from_str(&facts).expect("the check prints JSON");
        let words = name == "branded-mail";
        assert_eq!(
            (&facts["words"], &facts["decides"]),
            (&json!(words), &json!(!words)),
            "{name}: {facts}"
        );
        let imports = facts["imports"].as_array().expect("imports are listed");
        for import in imports.iter().filter_map(Value::as_str) {
            assert!(
                import.starts_with("boxoffice:plugin/") || import.starts_with("wasi:"),
                "{name} imports {import}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_examples_refuse_a_configuration_that_does_not_fit() {
    for (name, fixture, config, named) in [
        (
            "members-only",
            "member",
            json!({"domain": "club.example"}),
            "domain",
        ),
        (
            "early-bird-price",
            "early",
            json!({"percentOff": "many", "hoursBefore": 1}),
            "invalid type",
        ),
        (
            "group-discount",
            "group",
            json!({"percentOff": 101}),
            "percentOff",
        ),
        ("max-per-customer", "within", json!({"max": 0}), "max"),
        (
            "max-per-customer",
            "within",
            json!({"max": 2, "min": 1}),
            "min",
        ),
        (
            "branded-mail",
            "confirmed",
            json!({"brand": "North", "colour": "red"}),
            "colour",
        ),
    ] {
        let folder = TempFolder::new("misfit");
        let file = folder.join("fixture.json");
        let text = std::fs::read_to_string(fixture_path(name, fixture)).expect("fixtures are text");
        let mut fixture: Value = serde_json::from_str(&text).expect("fixtures are JSON");
        fixture["config"] = config;
        std::fs::write(&file, fixture.to_string()).expect("the folder can be written to");
        let finished = run(name, &component(name), &file).await;
        assert!(!finished.status.success(), "{name}: {finished:?}");
        let answer: Value = serde_json::from_str(&finished.stdout).expect("the run prints JSON");
        assert!(answer["failure"].is_string(), "{name}: {answer}");
        assert!(
            answer["logs"].to_string().contains(named),
            "{name} names {named}: {answer}"
        );
    }
}

/// Runs a fixture.
async fn run(name: &str, component: &Path, fixture: &Path) -> Finished {
    let arguments = [
        "plugin".to_owned(),
        "run".to_owned(),
        component.display().to_string(),
        "--input".to_owned(),
        fixture.display().to_string(),
        "--time-ms".to_owned(),
        TIME_MS.to_owned(),
    ];
    Program::run(arguments.into_iter().chain(option_for(name))).await
}

/// What the commands need besides for an example that is larger than hosts take by default.
fn option_for(name: &str) -> Vec<String> {
    match name {
        "weekday-pricing" | STARLINGMONKEY => vec![
            "--upload-bytes-max".to_owned(),
            LARGE_UPLOAD_BYTES.to_owned(),
        ],
        _ => Vec::new(),
    }
}

/// Every folder of `plugins/` with fixtures; the Python one only in the long form, where it is built.
fn examples() -> Vec<String> {
    let folder = workspace_root().join("plugins");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("plugins/ can be read")
        .map(|entry| entry.expect("plugins/ can be read").path())
        .filter(|path| path.join("fixtures").is_dir())
        .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
        .filter(|name| is_long_run() || name != "weekday-pricing")
        .collect();
    names.sort();
    assert!(names.len() >= 5, "the examples were found: {names:?}");
    names
}

fn component(name: &str) -> PathBuf {
    let path = Path::new(&required_variable("BOXOFFICE_PLUGINS")).join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{name} was not built: run `python3 tests/run.py plugin`, which builds the examples"
    );
    path
}

fn fixture_path(name: &str, fixture: &str) -> PathBuf {
    workspace_root().join(format!("plugins/{name}/fixtures/{fixture}.json"))
}

fn fixtures(name: &str) -> Vec<PathBuf> {
    let folder = workspace_root().join(format!("plugins/{name}/fixtures"));
    std::fs::read_dir(folder)
        .expect("fixtures can be listed")
        .map(|entry| entry.expect("fixtures can be listed").path())
        .collect()
}
