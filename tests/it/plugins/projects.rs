//! Goal: what `boxoffice plugin new` writes builds as its README says, and decides as its fixtures say; and the quick start
//! of plugins/README.md leads from an empty folder to a booking that the new policy refuses.
//!
//! Method: projects are written into an empty folder, and the commands of their README are run one after another, with the
//! program under test as `boxoffice` and the toolchains that the test command found.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use boxoffice_tests::{
    Patience, Program, TempFolder, is_long_run, required_variable, wait_until, workspace_root,
};
use serde_json::{Value, json};

use crate::plugins::push::owners_token;

/// A first build compiles the bindings' generator; a machine with other work may be slow at it.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_javascript_build_as_their_readme_says() {
    follow_their_readmes("js", &["template", "plugin"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_typescript_build_as_their_readme_says() {
    follow_their_readmes("ts", &["policy"]).await;
}

/// Each kind once in JavaScript or TypeScript, whose prices nothing but the library checks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_javascript_hand_over_whole_prices_or_fail() {
    let folder = TempFolder::new("prices");
    let tools = tools(&folder);
    shell(
        "boxoffice plugin new night-club --lang js",
        folder.path(),
        &tools,
    )
    .await;
    let project = folder.join("night-club");
    std::fs::write(project.join("plugin.js"), PRICED).expect("the project is there");
    shell("npm install\nnpm run build", &project, &tools).await;
    let accepted = std::fs::read_to_string(project.join("fixtures/accepted.json"));
    let mut fixture: Value =
        serde_json::from_str(&accepted.expect("it is there")).expect("fixtures are JSON");
    let (request, most) = (&mut fixture["request"], json!(u32::MAX));
    request["lines"][0]["unitPriceMinor"] = most.clone();
    request["event"]["ticketTypes"][0]["priceMinor"] = most;
    for (price, expected) in [
        (
            "price * (100 - undefined)",
            json!({"failure": "unitPricesMinor[0]: NaN is not a whole number from 0 to 4294967295"}),
        ),
        (
            "12.5",
            json!({"failure": "unitPricesMinor[0]: 12.5 is not a whole number"}),
        ),
        (
            "-1",
            json!({"failure": "unitPricesMinor[0]: -1 is not a whole number"}),
        ),
        (
            "4294967296",
            json!({"failure": "unitPricesMinor[0]: 4294967296 is not a whole number"}),
        ),
        (
            "'7'",
            json!({"failure": "unitPricesMinor[0]: \"7\" is not a whole number"}),
        ),
        (
            "...new Uint32Array(2)",
            json!({"failure": "unitPricesMinor: 2 prices for 1 lines"}),
        ),
        ("0", json!({"unitPricesMinor": [0]})),
        ("price", json!({"unitPricesMinor": [4_294_967_295_u32]})),
    ] {
        fixture["config"] = json!({ "price": price });
        fixture["expected"] = expected;
        std::fs::write(project.join("priced.json"), fixture.to_string()).expect("it is ours");
        let run = "boxoffice plugin run night-club.wasm --input priced.json";
        shell(run, &project, &tools).await;
    }
}

/// A policy whose price is an expression of its configuration.
const PRICED: &str = r#"
import { adjust, policy, text } from "./boxoffice-plugin/index.js";
export const bookingPolicy = policy({
  settings: { price: text() },
  validateBooking(request, { price }) {
    const prices = new Function("price", `return [${price}]`)(request.lines[0].unitPriceMinor);
    return adjust(prices);
  },
});
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_rust_build_as_their_readme_says() {
    follow_their_readmes("rust", &["template", "plugin"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_c_build_as_their_readme_says() {
    follow_their_readmes("c", &["policy", "template", "plugin"]).await;
}

/// Only in the long form: its compiler takes a quarter of a minute, and is fetched for each project.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_python_build_as_their_readme_says() {
    if is_long_run() {
        follow_their_readmes("python", &["policy", "template", "plugin"]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_guides_quick_start_in_javascript_ends_in_a_refused_booking() {
    follows_the_guide("js").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_guides_quick_start_in_rust_ends_in_a_refused_booking() {
    follows_the_guide("rust").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_overwrite_nothing_and_have_good_names() {
    let folder = TempFolder::new("new");
    let new = |name: &'static str| {
        let folder = folder.path().to_owned();
        async move {
            Program::run_command("", |command| {
                command
                    .args(["plugin", "new", name, "--lang", "c"])
                    .current_dir(folder);
            })
            .await
        }
    };
    assert_eq!(new("club").await.expect_success().trim(), "club");
    std::fs::write(folder.join("club/plugin.c"), "mine").expect("the project is there");
    let again = new("club").await;
    assert!(
        !again.status.success() && again.stderr.contains("is there already"),
        "{again:?}"
    );
    let kept = std::fs::read_to_string(folder.join("club/plugin.c")).expect("the file is there");
    assert_eq!(kept, "mine");
    for wrong in ["Club", "../club", "-club", ""] {
        let refused = new(wrong).await;
        assert_eq!(refused.status.code(), Some(2), "{wrong:?}: {refused:?}");
    }
    let there = std::fs::read_dir(folder.path())
        .expect("the folder can be read")
        .count();
    assert_eq!(there, 1, "a refused project leaves nothing behind");
}

/// Writes projects of these kinds and runs every command of their READMEs but those that set a machine up, beside a demo host
/// that they are uploaded to.
async fn follow_their_readmes(language: &str, kinds: &[&str]) {
    let folder = TempFolder::new(&format!("projects-{language}"));
    let tools = tools(&folder);
    let data = folder.join("data");
    let host = Program::dev_with(&data, &HOST_SETTINGS).await;
    let token = owners_token(&host, &data).await;
    let url = host.client().base().to_owned();
    for kind in kinds {
        let new = format!("boxoffice plugin new {kind}-club --lang {language} --kind {kind}");
        shell(&new, folder.path(), &tools).await;
        let project = folder.join(&format!("{kind}-club"));
        let readme =
            std::fs::read_to_string(project.join("README.md")).expect("a project has a README");
        let commands = commands(&readme);
        let count = |part: &str| commands.iter().filter(|line| line.contains(part)).count();
        let halves = if *kind == "plugin" { 2 } else { 1 };
        assert_eq!(
            (
                count("plugin run"),
                count("wrong-"),
                count("plugin check"),
                count("plugin push"),
                count("/logs")
            ),
            (3 * halves, halves, 1, 1, 1),
            "the README shows what to do: {commands:?}"
        );
        // One shell for all of them would hide which failed.
        for line in &commands {
            let line = format!("export URL={url} BOXOFFICE_TOKEN={token}\n{line}");
            shell(&line, &project, &tools).await;
        }
        let owner = host.client().tenant("demo").token(&token);
        let in_use = owner.get("/api/plugins").await.expect(200).to_string();
        assert!(in_use.contains(&format!("{kind}-club")), "{in_use}");
    }
    host.stop().await;
}

/// What a demo host for projects allows: more time, because what a busy machine needs to begin a call is no fault of the plugin,
/// and components that hold Python.
const HOST_SETTINGS: [(&str, &str); 3] = [
    ("BOXOFFICE_PLUGINS__POLICY_TIME_SECONDS", "5"),
    ("BOXOFFICE_PLUGINS__TEMPLATE_TIME_SECONDS", "5"),
    ("BOXOFFICE_PLUGINS__UPLOAD_BYTES_MAX", "33554432"),
];

/// Runs the quick start of the guide in an empty folder beside a demo host: the blocks that build a project in this
/// language, and the one that uploads it, puts it into use and books too many tickets.
async fn follows_the_guide(language: &str) {
    let folder = TempFolder::new(&format!("guide-{language}"));
    let tools = tools(&folder);
    let host = Program::dev_with(&folder.join("boxoffice-data"), &HOST_SETTINGS).await;
    let guide = std::fs::read_to_string(workspace_root().join("plugins/README.md"));
    let guide = guide.expect("the guide is text");
    let blocks: Vec<&str> = shell_blocks(&guide).take(3).collect();
    let [in_javascript, upload, in_rust] = blocks[..] else {
        panic!("the guide's quick start has three blocks: {blocks:?}");
    };
    assert!(upload.contains(DEMO_URL), "{upload}");
    let upload = upload.replace(DEMO_URL, host.client().base());
    let script = match language {
        "js" => format!("{in_javascript}{upload}"),
        _ => {
            // As the guide says below the block.
            let named = "push target/wasm32-wasip2/release/plugin.wasm --name day-club ";
            assert!(guide.contains(named.trim_end()), "the guide names it");
            let upload = upload.replace("push night-club.wasm --name night-club ", named);
            let upload = upload.replace("/plugins/night-club/", "/plugins/day-club/");
            format!("{in_rust}{upload}")
        }
    };
    assert!(script.starts_with("boxoffice plugin new ") && script.contains("--activate"));
    let printed = shell(&script, folder.path(), &tools).await;
    let name = if language == "js" {
        "night-club"
    } else {
        "day-club"
    };
    let readme = std::fs::read_to_string(folder.join(name).join("README.md"));
    let readme = readme.expect("a project has a README");
    let shown = commands(&readme);
    assert!(shown.len() >= 7, "the README shows what to do: {shown:?}");
    for line in shown {
        assert!(
            script.contains(line),
            "the guide does what the README says: {line}"
        );
    }
    let refusal = std::fs::read_to_string(folder.join(name).join("refused.json"));
    let refusal: Value = serde_json::from_str(&refusal.expect("the guide keeps the answer"))
        .unwrap_or_else(|error| panic!("the booking's answer is a problem: {error}: {printed}"));
    assert_eq!(
        (
            &refusal["status"],
            &refusal["code"],
            &refusal["policyCode"],
            &refusal["detail"]
        ),
        (
            &json!(409),
            &json!("policy-rejected"),
            &json!("too-many-tickets"),
            &json!("Up to 4 tickets a booking.")
        ),
        "{printed}"
    );
    // Nobody waits for a line to be kept, so the guide's last command may have come too early for it.
    let token = owners_token(&host, &folder.join("boxoffice-data")).await;
    let owner = host.client().tenant("demo").token(&token);
    let logs = format!("/api/plugins/{name}/logs");
    wait_until(Patience::WORK, "the log to say why", || async {
        let kept = owner.get(&logs).await.expect(200).to_string();
        kept.contains("5 tickets are too many")
    })
    .await;
    host.stop().await;
}

/// Where `boxoffice dev` listens unless told otherwise, as the guide has it.
const DEMO_URL: &str = "http://127.0.0.1:8080";

/// A folder with `boxoffice` as the READMEs call it. It gives `run` more time: a busy machine may need the 50 ms of a policy for
/// starting its thread.
pub(super) fn tools(folder: &TempFolder) -> PathBuf {
    let tools = folder.join("tools");
    std::fs::create_dir(&tools).expect("the folder can be written to");
    let script = format!(
        "#!/bin/sh\ncase \"$1 $2\" in 'plugin run') set -- \"$@\" --time-ms 5000;; esac\nexec '{}' \"$@\"\n",
        required_variable("BOXOFFICE_BIN")
    );
    let program = tools.join("boxoffice");
    std::fs::write(&program, script).expect("the folder can be written to");
    let may_run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&program, may_run).expect("the file is ours");
    tools
}

/// Runs commands in a shell that ends at the first that fails, and answers what they printed.
pub(super) async fn shell(lines: &str, place: &Path, tools: &Path) -> String {
    let mut command = Command::new("sh");
    command
        .args(["-euc", lines])
        .current_dir(place)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        // Settings of the test command would be read as the program's own, and cargo's would move the output.
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("BOXOFFICE_") || name == "CARGO_TARGET_DIR" {
            command.env_remove(name);
        }
    }
    let toolchain = toolchain();
    let path = toolchain
        .get("PATH")
        .cloned()
        .or_else(|| std::env::var("PATH").ok());
    command.envs(toolchain);
    command.env(
        "PATH",
        format!("{}:{}", tools.display(), path.unwrap_or_default()),
    );
    let mut command = tokio::process::Command::from(command);
    let output = tokio::time::timeout(COMMAND_TIMEOUT, command.kill_on_drop(true).output())
        .await
        .unwrap_or_else(|_| panic!("`{lines}` did not end in time"))
        .expect("sh can be started");
    assert!(output.status.success(), "`{lines}` failed: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The shell blocks of a text.
fn shell_blocks(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix("sh\n"))
}

/// The lines of a README's shell blocks. Setting a machine up is what the test command has done.
fn commands(readme: &str) -> Vec<&str> {
    shell_blocks(readme)
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("rustup "))
        .collect()
}

/// The variables with which guests are built here: cargo's for their target, and where Python finds C's compiler.
fn toolchain() -> BTreeMap<String, String> {
    let path = required_variable("BOXOFFICE_GUEST_TOOLCHAIN");
    let text = std::fs::read_to_string(path)
        .expect("`python3 tests/run.py plugin` finds the guests' toolchain");
    serde_json::from_str(&text).expect("it is a JSON object of texts")
}
