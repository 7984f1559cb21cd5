//! What tenants upload, and what it can and cannot do. The subjects are in the modules; here is what they share.

mod activation;
mod broken_uploads;
mod catalogue;
mod claims;
mod contract;
mod crash;
mod decisions;
mod examples;
mod guests;
mod hostile;
mod hosts;
mod javascript;
mod judgement;
mod kept;
mod limits;
mod lowered;
mod mails;
mod measured;
mod messages;
mod projects;
mod push;
mod pushing;
mod quarantine;
mod rejected;
mod strangers;
mod trickling;
mod uploads;

use boxoffice_engine::{
    BookTickets, Booking, BookingLine, Caller, Error, Event, PluginSet, TenantId, UserRole,
};
use boxoffice_host::PluginHostSettings;
use boxoffice_tests::{TestPlatform, owner_of, plugin_host, plugin_settings, put_into_use};

/// A tenant with an owner, a customer and an event, on an engine that runs plugins.
struct Fixture {
    platform: TestPlatform,
    tenant: TenantId,
    owner: Caller,
    organizer: Caller,
    customer: Caller,
    event: Event,
}

impl Fixture {
    async fn make() -> Self {
        Self::with(plugin_settings()).await
    }

    async fn with(settings: PluginHostSettings) -> Self {
        let runtime = plugin_host(settings);
        let platform = TestPlatform::with(|builder| builder.plugins(runtime)).await;
        // These tests are about bookings; mails have tests of their own.
        platform.may_owe();
        let tenant = platform.tenant("north").await;
        let owner = owner_of(&platform.engine, &tenant).await;
        let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
        let customer = platform.customer(&tenant, "ann").await;
        let event = platform.event(&organizer, 10_000).await;
        Self {
            platform,
            tenant,
            owner,
            organizer,
            customer,
            event,
        }
    }

    async fn put_into_use(&self, name: &str, component: &[u8]) -> PluginSet {
        put_into_use(&self.platform.engine, &self.owner, name, component).await
    }

    async fn book(&self) -> Result<Booking, Error> {
        self.book_as(&self.customer).await
    }

    async fn book_as(&self, customer: &Caller) -> Result<Booking, Error> {
        self.book_some(customer, 1).await
    }

    async fn book_some(&self, customer: &Caller, tickets: u32) -> Result<Booking, Error> {
        let command = BookTickets::general(self.event.id, tickets);
        let bookings = self.platform.engine.bookings();
        bookings.book_tickets(customer, command).await
    }

    async fn sold(&self) -> u32 {
        let events = self.platform.engine.events();
        let event = events.show(&self.organizer, self.event.id).await;
        event.expect("the event").event.tickets_sold
    }
}

/// The price of a booking's only line.
fn price(lines: &[BookingLine]) -> u32 {
    lines[0].unit_price_minor
}

/// The code of a refusal.
#[track_caller]
fn code<T: std::fmt::Debug>(outcome: Result<T, Error>) -> &'static str {
    outcome.expect_err("a refusal").code().as_str()
}
