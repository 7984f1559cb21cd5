//! `boxoffice serve`: the API, with the worker in the same process or without.
//!
//! Called by the program; its second half by dev as well. Calls config, assembly and the library's router.

use boxoffice_engine::Engine;
use clap::Args;
use toml::Value;

use super::{
    StoreArgs,
    lifecycle::{self, Listener, Shutdown},
    print, store,
    store_watchdog::StoreWatchdog,
};
use crate::{
    assembly::{self, MailRole},
    config::{Config, MetricsListen},
    metrics::metrics_router,
    routes::{DemoAccess, RouterOptions, router},
    telemetry::{self, Telemetry},
};

/// `boxoffice serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Listens here; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Also sends mails in this process, instead of leaving them to `boxoffice worker`.
    #[arg(long)]
    worker: bool,
}

/// Serves the API until a signal comes.
pub(super) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let mut flags = args.store.flags();
    flags.overrides.extend(
        args.listen
            .map(|listen| ("listen", "--listen", Value::from(listen))),
    );
    let config = Config::load(&flags)?;
    let options = assembly::router_options(&config)?;
    let telemetry = telemetry::start(&config)?;
    let mail_role = match args.worker {
        true => MailRole::Sender,
        false => MailRole::None,
    };
    let ended = run(
        &config,
        options,
        mail_role,
        "serve",
        &telemetry,
        async |_, _| Ok(Welcome::default()),
    )
    .await;
    telemetry.end().await;
    ended
}

/// What the program shows at its start.
#[derive(Debug, Default)]
pub(super) struct Welcome {
    /// Printed below the line that says where the program listens.
    pub(super) text: String,
    /// Shown at `/`.
    pub(super) demo: Option<DemoAccess>,
}

/// Opens everything, prints where it listens and the welcome that `prepare` makes, serves, and stops in order.
pub(super) async fn run(
    config: &Config,
    options: RouterOptions,
    mail_role: MailRole,
    command: &str,
    telemetry: &Telemetry,
    prepare: impl AsyncFnOnce(&Engine, &str) -> anyhow::Result<Welcome>,
) -> anyhow::Result<()> {
    let shutdown = Shutdown::on_signals()?;
    // First, so that a port in use is reported before anything is written.
    let listener = Listener::open(config.listen, "listen").await?;
    let metrics_listener = match config.metrics_listen {
        MetricsListen::At(address) => Some(Listener::open(address, "metrics.listen").await?),
        MetricsListen::WithApi | MetricsListen::Nowhere => None,
    };
    let opened = store::open(
        config,
        mail_role,
        command,
        Some(&listener.url),
        Some(telemetry),
    )
    .await?;
    let watchdog = StoreWatchdog::start(config, &opened.engine)?;
    let welcome = prepare(&opened.engine, &listener.url).await?;
    let options = RouterOptions {
        stopping: shutdown.token(),
        demo: welcome.demo,
        ..options
    };
    let worker = match mail_role {
        MailRole::Sender => opened.engine.worker().spawn(),
        MailRole::None => opened.engine.worker().spawn_singletons(),
    };
    print(&format!("listening on {}{}", listener.url, welcome.text))?;

    let metrics = options.metrics.clone();
    let api = listener.serve(router(opened.engine.clone(), options), &shutdown);
    let served = match metrics_listener {
        None => api.await,
        Some(listener) => {
            tracing::info!(url = listener.url, "metrics are served");
            let app = metrics_router(opened.engine.clone(), metrics);
            let (served, metrics_served) = tokio::join!(api, listener.serve(app, &shutdown));
            served.and(metrics_served)
        }
    };
    lifecycle::drain(worker).await;
    drop(watchdog);
    lifecycle::close(opened.engine).await;
    drop(opened.lock_owner);
    served
}
