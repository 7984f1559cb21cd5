//! `boxoffice verify`: recomputes every event's counters, in the store or through a running host.
//!
//! Called by the program. Calls the engine's use case as an operator, or the same over REST. Each event whose counters
//! differ is a line on stdout: tenant, event, the first difference, separated by tabs. The exit code is then 1.

use std::io::{self, Write as _};

use anyhow::bail;
use axum::http::Method;
use boxoffice_engine::{Caller, PageRequest};
use clap::Args;

use super::{
    accounts::{Place, open},
    print,
    remote::{Remote, percent_encoded, text},
};

/// Events that one request to a host verifies. One with a million bookings takes seconds, and the time limit is 30 s.
const EVENTS_PER_REQUEST: u32 = 1;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    place: Place,
}

#[derive(Default)]
struct Tally {
    events: u64,
    differences: u64,
}

impl Tally {
    fn add(&mut self, tenant: &str, event: &str, difference: Option<&str>) -> anyhow::Result<()> {
        self.events += 1;
        match difference {
            None => Ok(()),
            Some(difference) => {
                self.differences += 1;
                print(&format!("{tenant}\t{event}\t{difference}"))
            }
        }
    }
}

/// `boxoffice verify`.
pub(super) async fn verify(VerifyArgs { place }: VerifyArgs) -> anyhow::Result<()> {
    let tally = match place.remote.remote()? {
        Some(remote) => through(&remote).await?,
        None => at_store(&place).await?,
    };
    let Tally {
        events,
        differences,
    } = tally;
    if differences > 0 {
        bail!("{differences} of {events} events do not agree with their ledger and bookings");
    }
    let _ = writeln!(
        io::stderr(),
        "{events} events agree with their ledger and bookings"
    );
    Ok(())
}

async fn at_store(place: &Place) -> anyhow::Result<Tally> {
    let opened = open(&place.store, "verify").await?;
    let (operators, mut tally) = (opened.engine.operators(), Tally::default());
    let mut request = PageRequest::default();
    loop {
        let page = operators.verify(&Caller::operator(), request).await?;
        for verdict in &page.items {
            let (tenant, event) = (verdict.tenant.as_str(), verdict.event.to_string());
            tally.add(tenant, &event, verdict.difference.as_deref())?;
        }
        if page.next.is_none() {
            return Ok(tally);
        }
        request = PageRequest {
            cursor: page.next,
            ..PageRequest::default()
        };
    }
}

async fn through(remote: &Remote) -> anyhow::Result<Tally> {
    let path = format!("/api/operator/verification?limit={EVENTS_PER_REQUEST}");
    let (mut tally, mut page_path) = (Tally::default(), path.clone());
    loop {
        let page = remote.call(Method::GET, &page_path, None).await?;
        for item in page["items"].as_array().into_iter().flatten() {
            let (tenant, event) = (text(item, "tenant"), text(item, "eventId"));
            tally.add(tenant, event, item["difference"].as_str())?;
        }
        let Some(cursor) = page["nextCursor"].as_str() else {
            return Ok(tally);
        };
        page_path = format!("{path}&cursor={}", percent_encoded(cursor));
    }
}
