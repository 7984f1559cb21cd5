//! Built-in policies: every tenant has them without an upload. The subjects are in the modules; here is what they share.

mod api;
mod counters;
mod decisions;
mod hosts;

use boxoffice_engine::{
    ActivatePlugin, BookTickets, Booking, Caller, Error, EventId, NewBookingDetails, PageRequest,
    PluginName, PluginSet, ports::Clock as _,
};
use boxoffice_tests::create_priced_event;
use serde_json::Value;

use super::{Fixture, code, price};

const PROMO: &str = "boxoffice.promo-codes";

fn name(text: &str) -> PluginName {
    text.parse().expect("a name")
}

/// Says nothing but the name and the configuration.
fn with_config(policy: &str, config: &Value) -> ActivatePlugin {
    ActivatePlugin {
        name: name(policy),
        event: None,
        version: None,
        config: Some(config.to_string()),
        when_not_loaded: None,
        sees_identity: None,
        limits: None,
        enabled: None,
        position: None,
        fixtures: Vec::new(),
        skip_trial: false,
    }
}

/// A tenant of [`Fixture`] with an event whose tickets cost 10.00.
struct CatalogueFixture {
    at: Fixture,
    event: EventId,
}

impl CatalogueFixture {
    async fn make() -> Self {
        let at = Fixture::make().await;
        let event = Self::priced(&at).await;
        Self { at, event }
    }

    async fn priced(at: &Fixture) -> EventId {
        let (engine, now) = (&at.platform.engine, at.platform.clock.now());
        let event = create_priced_event(engine, &at.organizer, now, 1_000, 1_000).await;
        event.id
    }

    async fn activate(&self, policy: &str, config: Value) -> PluginSet {
        let command = with_config(policy, &config);
        self.activated(command).await.expect("an activation")
    }

    async fn activated(&self, command: ActivatePlugin) -> Result<PluginSet, Error> {
        let plugins = self.at.platform.engine.plugins();
        let activation = plugins.activate(&self.at.owner, command).await?;
        Ok(activation.set)
    }

    async fn book(&self, who: &Caller, tickets: u32, codes: &[&str]) -> Result<Booking, Error> {
        let command = wish(self.event, tickets, codes);
        let bookings = self.at.platform.engine.bookings();
        bookings.book_tickets(who, command).await
    }

    /// What is used of each counter whose key has this part.
    async fn used(&self, part: &str) -> Vec<u64> {
        let claims = self.at.platform.engine.claims();
        let owner = Caller::platform("north");
        let page = claims.list(&owner, PageRequest::default()).await;
        let counters = page.expect("counters").items.into_iter();
        let own = counters.filter(|counter| counter.key.as_str().contains(part));
        own.map(|counter| counter.used).collect()
    }
}

fn wish(event: EventId, tickets: u32, codes: &[&str]) -> BookTickets {
    let codes = codes.iter().map(|code| code.parse().expect("a code"));
    BookTickets {
        details: NewBookingDetails {
            codes: Some(codes.collect()),
            ..NewBookingDetails::default()
        },
        ..BookTickets::general(event, tickets)
    }
}

/// The policy's own code of a refusal.
#[track_caller]
fn refusal(outcome: Result<Booking, Error>) -> String {
    let error = outcome.expect_err("a refusal");
    assert_eq!(error.code().as_str(), "policy-rejected", "{error:?}");
    error.policy_code_text().expect("a code").to_owned()
}
