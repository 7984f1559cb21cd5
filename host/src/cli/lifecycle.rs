//! What long-running commands share: listening, signals, serving, and an orderly stop within a time limit.
//!
//! Called by serve, worker and dev.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use axum::Router;
use boxoffice_engine::{Engine, WorkerHandle};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::connection;

/// Most connections at the same time; further ones wait in the kernel's queue. Well above what one process answers, below
/// what fits into its memory. The limit of open files (`ulimit -n`) should be higher.
const CONNECTIONS_MAX: usize = 8_192;
/// How long requests in flight may take when the program stops.
const REQUESTS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the worker may take to finish or return its tasks. Together with the other two well below the
/// 90 s after which service managers usually kill.
const WORKER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the store may take to write its log into its tables.
const CLOSING_TIMEOUT: Duration = Duration::from_secs(10);

/// The signal to stop.
pub(super) struct Shutdown {
    token: CancellationToken,
    watcher: JoinHandle<()>,
}

impl Shutdown {
    /// Watches for SIGTERM and SIGINT: the first starts an orderly stop, the second stops at once.
    pub(super) fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = CancellationToken::new();
        let stopping = token.clone();
        let watcher = tokio::spawn(async move {
            let mut next =
                async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
            next().await;
            tracing::info!("stopping; a second signal stops at once");
            stopping.cancel();
            next().await;
            // 128 + SIGINT, as a shell would say.
            std::process::exit(130);
        });
        Ok(Self { token, watcher })
    }

    /// Cancelled when the program shall stop.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// A listening socket, and its URL.
pub(super) struct Listener {
    pub(super) listener: TcpListener,
    pub(super) url: String,
}

impl Listener {
    /// Listens at the address of `option`. Connections wait until they are served.
    pub(super) async fn open(address: SocketAddr, option: &str) -> anyhow::Result<Self> {
        let flag = match option {
            "metrics.listen" => "",
            _ => " or --listen 127.0.0.1:PORT",
        };
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => anyhow::anyhow!(
                "{address} is taken by another program; choose another one: {option} = \"127.0.0.1:PORT\"{flag} (0 \
                takes a free port)"
            ),
            _ => anyhow::anyhow!("cannot listen at {address} ({option}{flag}): {error}"),
        })?;
        let mut reached = listener
            .local_addr()
            .context("asking for the address we listen at")?;
        if reached.ip().is_unspecified() {
            // A browser cannot open the wildcard address, so show loopback.
            reached.set_ip(match reached {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        Ok(Self {
            listener,
            url: format!("http://{reached}"),
        })
    }

    /// Serves requests until the program stops and those in flight are answered, or their time is over.
    ///
    /// Not `axum::serve`, which limits neither the connections nor the time for headers.
    pub(super) async fn serve(self, app: Router, shutdown: &Shutdown) -> anyhow::Result<()> {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let open = TaskTracker::new();
        let stop = &shutdown.token;
        while !stop.is_cancelled() {
            let place = tokio::select! {
                () = stop.cancelled() => break,
                place = places.clone().acquire_owned() => place.context("serving")?,
            };
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let (app, stop) = (app.clone(), stop.clone());
                    open.spawn(async move {
                        connection::answer(stream, peer, app, stop).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // No file descriptors, or a client that left already: neither ends the program.
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        drop(self.listener);
        open.close();
        if tokio::time::timeout(REQUESTS_TIMEOUT, open.wait())
            .await
            .is_err()
        {
            tracing::warn!("requests still in flight were cut off");
        }
        Ok(())
    }
}

/// Closes the store, so that the next start need not recover it.
pub(super) async fn close(engine: Engine) {
    if !engine.close(CLOSING_TIMEOUT).await {
        tracing::warn!("the store did not close in time; the next start recovers its log first");
    }
}

/// Stops the worker.
pub(super) async fn drain(worker: WorkerHandle) {
    if !worker.drain(WORKER_TIMEOUT).await {
        tracing::warn!("the worker did not stop in time; other workers will take over its tasks");
    }
}
