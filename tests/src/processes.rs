//! Child processes whose output is kept, and shown when their test fails.

use std::{
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::wait_for;

/// Lines shown of a failing test's process; enough for a panic with its trace and what led to it.
const LINES_SHOWN: usize = 150;

/// A running child process. Dropping it kills it.
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Process {
    /// Starts a process. Its standard input stays open until it is dropped or killed.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(name: &str, mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started ({command:?}): {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        keep_lines(child.stdout.take().expect("stdout is piped"), lines.clone());
        keep_lines(child.stderr.take().expect("stderr is piped"), lines.clone());
        Self {
            name: name.to_owned(),
            child,
            lines,
        }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote to both streams so far.
    pub fn output(&self) -> String {
        self.lines.lock().expect("no reader panics").join("\n")
    }

    /// Waits for a line that holds `marker` and answers what follows it there.
    ///
    /// # Panics
    /// When the process ends first, or after `bound`.
    pub async fn wait_for_line(&mut self, bound: Duration, marker: &str) -> String {
        let what = format!("{} to write `{marker}`", self.name);
        wait_for(bound, &what, || {
            let found = self.find_line(marker);
            let ended = self.exit_status();
            if let (None, Some(status)) = (&found, ended) {
                // The readers may be a moment behind the end of the process.
                let late = self.find_line(marker);
                assert!(
                    late.is_some(),
                    "{} ended ({status}) before it wrote `{marker}`:\n{}",
                    self.name,
                    self.output()
                );
            }
            async { found }
        })
        .await
    }

    /// How it ended, if it did.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the process is our child")
    }

    /// Kills it at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it has not ended after `bound`.
    pub async fn terminate(&mut self, bound: Duration) -> ExitStatus {
        self.signal("TERM");
        self.wait_for_end(bound).await
    }

    /// Sends a signal by its short name, such as `STOP`.
    ///
    /// # Panics
    /// When there is no shell.
    pub fn signal(&self, signal: &str) {
        // The shell's own `kill`: the standard library knows only SIGKILL, and a C binding would need `unsafe`.
        let command = format!("kill -{signal} {}", self.child.id());
        Command::new("sh")
            .args(["-c", &command])
            .status()
            .expect("there is a shell");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it has not ended after `bound`.
    pub async fn wait_for_end(&mut self, bound: Duration) -> ExitStatus {
        let what = format!("{} to end", self.name);
        wait_for(bound, &what, || {
            let status = self.exit_status();
            async move { status }
        })
        .await
    }

    fn find_line(&self, marker: &str) -> Option<String> {
        let lines = self.lines.lock().expect("no reader panics");
        lines.iter().find_map(|line| {
            line.split_once(marker)
                .map(|(_, rest)| rest.trim().to_owned())
        })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let lines = self.lines.lock().expect("no reader panics");
            let from = lines.len().saturating_sub(LINES_SHOWN);
            eprintln!(
                "--- last lines of {} ---\n{}\n---",
                self.name,
                lines[from..].join("\n")
            );
        }
    }
}

fn keep_lines(stream: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { return };
            lines
                .lock()
                .expect("no reader panics")
                .push(String::from_utf8_lossy(&line).into_owned());
        }
    });
}
