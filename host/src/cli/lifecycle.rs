//! What long-running commands share: listening, signals, serving, and stopping in order within a bound.
//!
//! Called by serve, worker and dev.

use std::{future::IntoFuture as _, io, net::SocketAddr, time::Duration};

use anyhow::Context as _;
use axum::{Router, serve::ListenerExt as _};
use boxoffice_engine::WorkerHandle;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// How long requests in flight may take once the program stops.
const REQUESTS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the worker may take to finish or hand back what it holds. Together with the above well below the 90 s
/// after which service managers usually kill.
const WORKER_TIMEOUT: Duration = Duration::from_secs(20);

/// Told once the program is to stop.
pub(super) struct Shutdown {
    token: CancellationToken,
    watcher: JoinHandle<()>,
}

impl Shutdown {
    /// Watches for SIGTERM and SIGINT: the first asks to stop, the second stops at once.
    pub(super) fn on_signals() -> io::Result<Self> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let token = CancellationToken::new();
        let told = token.clone();
        let watcher = tokio::spawn(async move {
            let mut next =
                async || tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} };
            next().await;
            tracing::info!("stopping; a second signal stops at once");
            told.cancel();
            next().await;
            // 128 + SIGINT, as a shell would say.
            std::process::exit(130);
        });
        Ok(Self { token, watcher })
    }
}

impl Drop for Shutdown {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

/// A listening socket, and the URL it can be reached at.
pub(super) struct Door {
    pub(super) listener: TcpListener,
    pub(super) url: String,
}

impl Door {
    /// Listens; connections wait until they are served.
    pub(super) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => anyhow::anyhow!(
                "{address} is taken by another program; choose another one: --listen 127.0.0.1:PORT (0 takes a free port)"
            ),
            _ => anyhow::anyhow!("cannot listen at {address} (--listen): {error}"),
        })?;
        let mut reached = listener
            .local_addr()
            .context("asking for the address we listen at")?;
        if reached.ip().is_unspecified() {
            // "Everywhere" cannot be typed into a browser; this machine is part of it.
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

    /// Answers requests until the program is to stop and those in flight are answered, or their time is over.
    pub(super) async fn serve(self, app: Router, shutdown: &Shutdown) -> anyhow::Result<()> {
        // Answers are small: waiting to fill a packet only makes them late.
        let listener = self.listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        let serving = axum::serve(listener, service)
            .with_graceful_shutdown(shutdown.token.clone().cancelled_owned());
        let time_over = async {
            shutdown.token.cancelled().await;
            tokio::time::sleep(REQUESTS_TIMEOUT).await;
        };
        tokio::select! {
            ended = serving.into_future() => ended.context("serving"),
            () = time_over => {
                tracing::warn!("requests still in flight were cut off");
                Ok(())
            }
        }
    }
}

/// Stops the worker in order.
pub(super) async fn drain(worker: WorkerHandle) {
    if !worker.drain(WORKER_TIMEOUT).await {
        tracing::warn!("the worker did not end in time; what it held is taken up by others");
    }
}
