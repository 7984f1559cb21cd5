//! What the door costs: routes that know who asks and do next to nothing.

use std::{sync::Arc, time::Duration};

use boxoffice_tests::{Account, Client};
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Target, customers,
    drive::{CpuWatch, Make, Pace, drive},
    new_run,
};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Route {
    /// A booking of no tickets: the token is checked, the body read, and a problem answered (422), without a look into
    /// the store. The nearest thing to an empty authenticated route that the API has.
    Empty,
    /// `GET /api/auth/me`, which reads one row.
    Me,
    /// `GET /api/tenant`, which API keys may read, too.
    Tenant,
}

#[derive(Args)]
pub(crate) struct RouteArguments {
    #[command(flatten)]
    target: Target,
    /// Which route.
    #[arg(long, value_enum, default_value = "empty")]
    route: Route,
    /// Sends this API key in place of the customers' tokens.
    #[arg(long, value_name = "SECRET")]
    key: Option<String>,
    /// Clients at the same time, each with a connection and a customer of its own.
    #[arg(long, default_value_t = 16)]
    clients: usize,
    /// How long is measured.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How long the same load runs before, unmeasured.
    #[arg(long, default_value_t = 2)]
    warm_up_seconds: u64,
}

pub(crate) async fn run(arguments: RouteArguments) -> anyhow::Result<Value> {
    let target = arguments.target;
    let (door, run) = (Client::new(&target.url).tenant(&target.tenant), new_run());
    let mut customers = customers(&door, &run, arguments.clients).await;
    if let Some(key) = &arguments.key {
        for customer in &mut customers {
            customer.client = door.token(key);
        }
    }
    let (name, wanted, request): (_, _, Make) = match arguments.route {
        Route::Empty => ("empty", 422, Arc::new(nothing)),
        Route::Me => ("me", 200, Arc::new(me)),
        Route::Tenant => ("tenant", 200, Arc::new(tenant)),
    };
    let load = async |seconds: u64| {
        let pace = Pace::Closed(Duration::from_secs(seconds));
        let clients = arguments.clients;
        drive(&customers, clients, pace, wanted, request.clone()).await
    };
    load(arguments.warm_up_seconds).await?;
    let watch = CpuWatch::begin(&target.pid)?;
    let tally = load(arguments.seconds).await?;
    let mut report = watch.end("answered", tally)?;
    report.insert("mode".to_owned(), json!("route"));
    report.insert("route".to_owned(), json!(name));
    report.insert("clients".to_owned(), json!(arguments.clients));
    Ok(Value::Object(report))
}

fn nothing(account: &Account, _: u64) -> reqwest::RequestBuilder {
    let body = json!({"eventId": "01jd0000000000000000000000", "numTickets": 0});
    let request = account.client.request(Method::POST, "/api/bookings");
    request.json(&body)
}

fn me(account: &Account, _: u64) -> reqwest::RequestBuilder {
    account.client.request(Method::GET, "/api/auth/me")
}

fn tenant(account: &Account, _: u64) -> reqwest::RequestBuilder {
    account.client.request(Method::GET, "/api/tenant")
}
