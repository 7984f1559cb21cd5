//! The program `boxoffice` under test: started as its users start it, killed as power cuts do.

use std::{
    ffi::OsStr,
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

use tokio::io::AsyncWriteExt as _;

use crate::{Client, Patience, Process, required_variable, wait_until};

/// A running `boxoffice dev`, `serve` or `worker`. Dropping it kills it.
pub struct Program {
    process: Process,
    base: String,
}

impl Program {
    /// Starts `boxoffice dev` on a folder and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn dev(data: &Path) -> Self {
        Self::start(&["dev"], "--data", data, &[]).await
    }

    /// Starts `boxoffice dev` on a folder with these environment variables and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn dev_with(data: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start(&["dev"], "--data", data, variables).await
    }

    /// Starts `boxoffice serve` with a configuration file and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn serve(config: &Path) -> Self {
        Self::start(&["serve"], "--config", config, &[]).await
    }

    /// Starts `boxoffice serve --worker`, API and worker in one process, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn serve_with_worker(config: &Path) -> Self {
        Self::start(&["serve", "--worker"], "--config", config, &[]).await
    }

    /// Starts `boxoffice worker` with a configuration file and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn worker(config: &Path) -> Self {
        Self::start(&["worker"], "--config", config, &[]).await
    }

    async fn start(
        subcommand: &[&str],
        option: &str,
        path: &Path,
        variables: &[(&str, &str)],
    ) -> Self {
        let mut command = boxoffice();
        command
            .args(subcommand)
            .arg(option)
            .arg(path)
            .args(["--listen", "127.0.0.1:0"])
            .envs(variables.iter().copied());
        if subcommand == ["dev"] {
            // It shows them where it listens.
            command.env_remove("BOXOFFICE_METRICS__LISTEN");
        }
        let subcommand = subcommand.join(" ");
        let mut process = Process::spawn(&format!("boxoffice {subcommand}"), command);
        let address = process
            .wait_for_line(Patience::START, "listening on http://")
            .await;
        let base = format!("http://{}", address.trim_end_matches('/'));
        let client = Client::new(&base);
        wait_until(
            Patience::START,
            &format!("boxoffice {subcommand} to be ready"),
            || {
                assert!(
                    process.exit_status().is_none(),
                    "boxoffice {subcommand} ended:\n{}",
                    process.output()
                );
                let request = client.request(reqwest::Method::GET, "/health/ready");
                async move {
                    request
                        .send()
                        .await
                        .is_ok_and(|answer| answer.status().is_success())
                }
            },
        )
        .await;
        Self { process, base }
    }

    /// A client of this program, nobody signed in.
    pub fn client(&self) -> Client {
        Client::new(&self.base)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Everything it wrote so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Sends it a signal by its short name, such as `STOP`.
    pub fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// Kills it as a power cut would.
    pub fn kill(mut self) {
        self.process.kill();
    }

    /// Asks it to end and waits until it has.
    ///
    /// # Panics
    /// When it does not end, or not with success.
    pub async fn stop(self) {
        self.signal("TERM");
        self.stopped().await;
    }

    /// Waits until it has ended, after a signal that asked it to, and answers what it wrote.
    ///
    /// # Panics
    /// When it does not end, or not with success.
    pub async fn stopped(mut self) -> String {
        let status = self.process.wait_for_end(Patience::START).await;
        assert!(
            status.success(),
            "boxoffice ended with {status} after SIGTERM:\n{}",
            self.process.output()
        );
        self.process.output()
    }

    /// Runs a subcommand that ends by itself.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    pub async fn run<I: IntoIterator<Item = A>, A: AsRef<OsStr>>(arguments: I) -> Finished {
        Self::run_command("", |command| {
            command.args(arguments);
        })
        .await
    }

    /// Runs a subcommand that ends by itself, after `prepare` set its arguments and environment; it reads `input`.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    pub async fn run_command(input: &str, prepare: impl FnOnce(&mut Command)) -> Finished {
        let mut command = boxoffice();
        prepare(&mut command);
        let shown = format!("{command:?}");
        let mut command = tokio::process::Command::from(command);
        command
            .kill_on_drop(true)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        // A program that ends without reading closes the pipe, which is its right.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(Patience::RUN, child.wait_with_output())
            .await
            .unwrap_or_else(|_| panic!("{shown} did not end within {:?}", Patience::RUN))
            .expect("the program's output can be read");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Finished {
            status: output.status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

/// How a program that ended by itself ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its data.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl Finished {
    /// Returns its data after checking that it ended well.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert!(self.status.success(), "the program failed: {self:?}");
        self.stdout
    }
}

/// The program, without those settings of the test command that it would read as its own.
fn boxoffice() -> Command {
    let mut command = Command::new(required_variable("BOXOFFICE_BIN"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BOXOFFICE_"))
    {
        command.env_remove(name);
    }
    // Many hosts run beside each other.
    command.env("BOXOFFICE_METRICS__LISTEN", "127.0.0.1:0");
    command
}
