//! What people who look cost: a host's CPU with and without open dashboards, in turns, while another command keeps mails
//! going; the bytes of the page, and how long a scrape takes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Context as _;
use boxoffice_tests::Client;
use clap::Args;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{Target, cpu, new_run, organizer};

/// What a browser loads to show the page.
const FILES: [&str; 10] = [
    "/admin/queues",
    "/admin/assets/console.css",
    "/admin/assets/shell.js",
    "/admin/assets/api.js",
    "/admin/assets/page.js",
    "/admin/assets/parts.js",
    "/admin/assets/live.js",
    "/admin/assets/sign-in.js",
    "/admin/assets/mails.js",
    "/admin/assets/deliveries.js",
];
/// Scrapes that are timed.
const SCRAPES: usize = 20;

#[derive(Args)]
pub(crate) struct DashboardsArguments {
    #[command(flatten)]
    target: Target,
    /// Dashboards that are open at the same time.
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// How long is measured with them, and without, each time.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often both are measured, in turns.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// An operator's address, who sees the lanes of all; without one a new organizer looks.
    #[arg(long, requires = "password")]
    operator: Option<String>,
    /// Their password, as `boxoffice dev` prints it.
    #[arg(long)]
    password: Option<String>,
}

pub(crate) async fn run(arguments: DashboardsArguments) -> anyhow::Result<Value> {
    let target = &arguments.target;
    let base = Client::new(&target.url);
    let viewer = match (&arguments.operator, &arguments.password) {
        (Some(email), Some(password)) => {
            let body = json!({"email": email, "password": password});
            let answer = base.post("/api/operator/login", body).await.expect(200);
            let token = answer["token"]
                .as_str()
                .context("a sign-in gives a token")?;
            base.token(token)
        }
        _ => {
            organizer(&base.tenant(&target.tenant), &new_run())
                .await
                .client
        }
    };
    let lasts = Duration::from_secs(arguments.seconds);
    let (mut without, mut with, mut samples) = (Vec::new(), Vec::new(), 0);
    for _ in 0..arguments.rounds {
        without.push(cores_of(&target.pid, lasts).await?);
        let told = Arc::new(AtomicU64::new(0));
        let mut open = Vec::new();
        for _ in 0..arguments.clients {
            open.push(watch(viewer.clone(), told.clone()).await?);
        }
        // The first samples are what opening costs, not what staying does.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let before = told.load(Ordering::Relaxed);
        with.push(cores_of(&target.pid, lasts).await?);
        samples += told.load(Ordering::Relaxed) - before;
        open.iter().for_each(JoinHandle::abort);
        for ended in open {
            // Aborted: its connection is closed by then.
            let _ = ended.await;
        }
        // The sampler sees within a second that nobody looks.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    let mean = |cores: &[f64]| cores.iter().sum::<f64>() / cores.len().max(1) as f64;
    let mut bytes = serde_json::Map::new();
    for file in FILES {
        let answer = base.get(file).await;
        anyhow::ensure!(answer.status == 200, "{file} answered {}", answer.status);
        bytes.insert(file.to_owned(), json!(answer.text.len()));
    }
    let (scrape_bytes, scrape_millis) = scrapes(&base).await?;
    Ok(json!({
        "mode": "dashboards",
        "clients": arguments.clients,
        "as": if arguments.operator.is_some() { "operator" } else { "organizer" },
        "coresWithout": without,
        "coresWith": with,
        "coresOfDashboards": mean(&with) - mean(&without),
        "samplesPerClientAndSecond": samples as f64
            / (arguments.clients as f64 * lasts.as_secs_f64() * f64::from(arguments.rounds)),
        "bytes": bytes,
        "scrapeBytes": scrape_bytes,
        "scrapeMillis": scrape_millis,
    }))
}

/// CPU-seconds a second that the server uses.
async fn cores_of(processes: &[u32], lasts: Duration) -> anyhow::Result<f64> {
    let (start, before) = (Instant::now(), cpu::seconds_of(processes)?);
    tokio::time::sleep(lasts).await;
    Ok((cpu::seconds_of(processes)? - before) / start.elapsed().as_secs_f64())
}

/// Opens a stream of samples and reads it until it is dropped.
async fn watch(viewer: Client, told: Arc<AtomicU64>) -> anyhow::Result<JoinHandle<()>> {
    let request = viewer.request(Method::GET, "/api/admin/live");
    let mut stream = request.send().await?.error_for_status()?;
    Ok(tokio::spawn(async move {
        while let Ok(Some(chunk)) = stream.chunk().await {
            let ends = chunk.windows(2).filter(|two| two == b"\n\n").count();
            told.fetch_add(ends as u64, Ordering::Relaxed);
        }
    }))
}

/// Bytes of a scrape, and how long the middle one of some took.
async fn scrapes(base: &Client) -> anyhow::Result<(usize, f64)> {
    let (mut bytes, mut took) = (0, Vec::new());
    for _ in 0..SCRAPES {
        let start = Instant::now();
        let answer = base.get("/metrics").await;
        anyhow::ensure!(
            answer.status == 200,
            "/metrics answered {}; run the host with metrics.listen = \"with-api\"",
            answer.status
        );
        bytes = answer.text.len();
        took.push(start.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok((bytes, took[SCRAPES / 2]))
}
