//! Goal: what `boxoffice plugin new` writes builds as its README says, and decides as its fixtures say.
//!
//! Method: projects are written into an empty folder, and the commands of their README are run one after another, with the
//! program under test as `boxoffice` and the toolchains that the test command found.

use std::{
    collections::BTreeMap,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use boxoffice_tests::{Program, TempFolder, required_variable};

/// A first build compiles the bindings' generator; a machine with other work may be slow at it.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_javascript_build_as_their_readme_says() {
    follows_its_readme("js", "policy").await;
    follows_its_readme("js", "template").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_projects_in_rust_build_as_their_readme_says() {
    follows_its_readme("rust", "policy").await;
    follows_its_readme("rust", "template").await;
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

/// Writes a project and runs every command of its README but those that set a machine up.
async fn follows_its_readme(language: &str, kind: &str) {
    let folder = TempFolder::new(&format!("{language}-{kind}"));
    let tools = folder.join("tools");
    std::fs::create_dir(&tools).expect("the folder can be written to");
    symlink(required_variable("BOXOFFICE_BIN"), tools.join("boxoffice"))
        .expect("links can be made");
    let shell = |line: &str, place: &Path| {
        let mut command = Command::new("sh");
        command
            .args(["-euc", line])
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
        let line = line.to_owned();
        async move {
            let mut command = tokio::process::Command::from(command);
            let output = tokio::time::timeout(COMMAND_TIMEOUT, command.kill_on_drop(true).output())
                .await
                .unwrap_or_else(|_| panic!("`{line}` did not end in time"))
                .expect("sh can be started");
            assert!(output.status.success(), "`{line}` failed: {output:?}");
        }
    };
    let new = format!("boxoffice plugin new night-club --lang {language} --kind {kind}");
    shell(&new, folder.path()).await;
    let project = folder.join("night-club");
    let readme =
        std::fs::read_to_string(project.join("README.md")).expect("a project has a README");
    let commands = commands(&readme);
    assert!(
        commands
            .iter()
            .filter(|line| line.contains("plugin run"))
            .count()
            == 2
            && commands.iter().any(|line| line.contains("plugin check")),
        "the README shows what to do: {commands:?}"
    );
    for line in commands {
        shell(line, &project).await;
    }
}

/// The lines of a README's shell blocks. Setting a machine up is what the test command has done.
fn commands(readme: &str) -> Vec<&str> {
    let blocks = readme.split("```").skip(1).step_by(2);
    let shell = blocks.filter_map(|block| block.strip_prefix("sh\n"));
    shell
        .flat_map(str::lines)
        .filter(|line| !line.starts_with("rustup "))
        .collect()
}

/// The variables with which cargo builds for the guests' target here.
fn toolchain() -> BTreeMap<String, String> {
    let path = required_variable("BOXOFFICE_GUEST_TOOLCHAIN");
    let text = std::fs::read_to_string(path)
        .expect("`python3 tests/run.py plugin` finds the guests' toolchain");
    serde_json::from_str(&text).expect("it is a JSON object of texts")
}
