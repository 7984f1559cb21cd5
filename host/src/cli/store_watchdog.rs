//! Ends the program when a store in its data folder has stopped answering, so that whoever runs it starts it again.
//!
//! In surrealkv 0.21.4 a read and a flush or compaction take two locks in opposite order. Rarely they meet in between, and then
//! every later read waits for ever; nothing but a new process helps. What was acknowledged is on disk. Once threads of the
//! runtime wait like that, no task may run any more: so a thread with a runtime of its own asks. It may be blocked itself, so another
//! one waits for its answers.
//!
//! Started by serve, worker and dev.

use std::{
    io,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::Duration,
};

use boxoffice_engine::Engine;

use crate::config::Config;

/// The pause between two pings.
const PING_EVERY: Duration = Duration::from_secs(10);
/// How long no ping may succeed. A slow disk or a full machine makes a read take seconds, not half a minute.
const SILENT_MAX: Duration = Duration::from_secs(30);

/// Two threads that watch the store. Dropping it stops them.
pub(super) struct StoreWatchdog {
    /// The thread that asks ends when it is gone.
    stop: Option<mpsc::Sender<()>>,
    judge: mpsc::Sender<Heard>,
    judging: Option<JoinHandle<()>>,
}

/// What the judging thread hears.
enum Heard {
    Answer,
    Stop,
}

impl StoreWatchdog {
    /// Watches a store in a data folder; other stores need none.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub(super) fn start(config: &Config, engine: &Engine) -> io::Result<Option<Self>> {
        if config.data_folder().is_none() {
            return Ok(None);
        }
        let engine = engine.clone();
        let ping = async move || engine.ping().await.is_ok();
        let limits = (PING_EVERY, SILENT_MAX);
        Self::watch(ping, limits, || {
            tracing::error!(
                "the store has not answered for {} s: ending the process, because only a new one can open it",
                SILENT_MAX.as_secs()
            );
            std::process::exit(1)
        })
        .map(Some)
    }

    fn watch(
        ping: impl AsyncFn() -> bool + Send + 'static,
        (every, silent_max): (Duration, Duration),
        on_silence: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let (stop, stopped) = mpsc::channel();
        let (judge, heard) = mpsc::channel();
        let answers = judge.clone();
        let ask = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(every) {
                let answer = runtime.block_on(async { tokio::time::timeout(every, ping()).await });
                if answer == Ok(true) && answers.send(Heard::Answer).is_err() {
                    return;
                }
            }
        };
        let watch = move || {
            loop {
                match heard.recv_timeout(silent_max) {
                    Ok(Heard::Answer) => {}
                    Ok(Heard::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => return on_silence(),
                }
            }
        };
        // Never joined: a read that hangs blocks it.
        let asking = thread::Builder::new().name("store-ping".to_owned());
        asking.spawn(ask)?;
        let judging = thread::Builder::new().name("store-watchdog".to_owned());
        Ok(Self {
            stop: Some(stop),
            judge,
            judging: Some(judging.spawn(watch)?),
        })
    }
}

impl Drop for StoreWatchdog {
    fn drop(&mut self) {
        self.stop = None;
        // It has ended already if the store was silent.
        let _ = self.judge.send(Heard::Stop);
        if let Some(judging) = self.judging.take() {
            let _ = judging.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Instant,
    };

    use super::*;

    const LIMITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

    #[test]
    fn a_store_that_stops_answering_is_reported_once() {
        let (silent, heard) = mpsc::channel();
        let pings = AtomicUsize::new(0);
        // It answers twice, fails once, and then never ends.
        let ping = async move || match pings.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => true,
            2 => false,
            _ => std::future::pending().await,
        };
        let begun = Instant::now();
        let on_silence = move || silent.send(()).expect("somebody listens");
        let watchdog = StoreWatchdog::watch(ping, LIMITS, on_silence).expect("a thread");
        heard.recv().expect("it reports");
        assert!(begun.elapsed() >= LIMITS.1);
        assert!(heard.recv().is_err(), "and ends");
        drop(watchdog);
    }

    #[test]
    fn a_ping_that_blocks_its_thread_is_silence_too() {
        let (silent, heard) = mpsc::channel();
        let ping = async || loop {
            thread::park();
        };
        let on_silence = move || silent.send(()).expect("somebody listens");
        let watchdog = StoreWatchdog::watch(ping, LIMITS, on_silence).expect("a thread");
        heard.recv().expect("it reports");
        drop(watchdog);
    }

    #[test]
    fn a_store_that_answers_is_left_alone_and_the_thread_ends_when_it_is_dropped() {
        let (silent, heard) = mpsc::channel::<()>();
        let (pinged, pings) = mpsc::channel();
        let ping = async move || pinged.send(()).is_ok();
        let on_silence = move || silent.send(()).expect("somebody listens");
        let watchdog = StoreWatchdog::watch(ping, LIMITS, on_silence).expect("a thread");
        for _ in 0..5 {
            pings.recv().expect("it asks");
        }
        drop(watchdog);
        assert!(heard.recv().is_err(), "nothing was reported");
    }
}
