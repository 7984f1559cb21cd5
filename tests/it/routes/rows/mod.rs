//! The table of routes: what each demands of whom, and a request that is right.
//!
//! The rows stand in the order in which rightful requests are sent: what cancels comes after what looks.

mod delivery_admin;
mod events;
mod operators;
mod payments;
mod people;
mod plugins;
mod sessions;

use boxoffice_tests::{Answer, Client};
use reqwest::Method;
use serde_json::Value;

use super::world::Context;

/// Every route of the API.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    [
        delivery_admin::ROWS,
        people::ROWS,
        events::ROWS,
        payments::ROWS,
        plugins::ROWS,
        operators::ROWS,
        sessions::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// One route and what it must do.
pub(super) struct Row {
    pub(super) method: &'static str,
    /// As `/openapi.json` has it.
    pub(super) path: &'static str,
    pub(super) door: Door,
    /// The thing that the path names.
    pub(super) thing: Thing,
    /// A body that is good, as JSON; its members are then spoilt one by one.
    pub(super) body: Option<fn(&Context) -> Value>,
    /// The status of the rightful request.
    pub(super) succeeds: u16,
}

/// Who may pass.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Door {
    /// Everybody; a token is not even looked at.
    Open,
    /// Everybody at the tenant's door; a token that is sent must be good.
    Public,
    /// Whoever is signed in.
    SignedIn,
    /// Organizers; a customer gets this status.
    Organizer(u16),
    /// Owners and organizers; a customer is refused.
    Manager,
    /// Owners; an organizer is refused.
    Owner,
    /// The customer of the thing; another one gets this status.
    Customer(u16),
    /// Operators.
    Operator,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Thing {
    None,
    ApiKey,
    Event,
    EmptyEvent,
    /// Sold out.
    FullEvent,
    /// With two ticket types.
    TypedEvent,
    /// The second type of that event: `EVENT/TYPE`.
    TicketType,
    Booking,
    BookingNumber,
    BookingReference,
    /// The receipt of the booking.
    Receipt,
    EventReference,
    Ticket,
    OtherTicket,
    Hold,
    /// One that costs something.
    PricedHold,
    /// `PROVIDER/REFERENCE`.
    Payment,
    /// A payment that nobody has told of: whoever tells of it first makes it.
    NewPayment,
    Refund,
    /// Somebody in the team of an event: `EVENT/USER`.
    TeamMember,
    Invitation,
    /// A user whom no other row needs.
    OtherUser,
    OtherHold,
    Notification,
    Plugin,
    PluginVersion,
    Tenant,
    User,
    Delivery,
    /// A notification, and what is done to it.
    NotificationTo(&'static str),
    /// A lane, and what is done to it.
    LaneTo(&'static str),
    /// Another operator.
    Operator,
    /// A session of theirs.
    OperatorSession,
    /// Another session of the customer.
    Session,
    /// An identity that the customer can sign in with.
    Identity,
}

impl Thing {
    /// Whether it must exist, so that what does not, or is another tenant's, is not found.
    pub(super) fn must_exist(self) -> bool {
        !matches!(self, Self::None | Self::NewPayment)
    }
}

const fn row(
    method: &'static str,
    path: &'static str,
    door: Door,
    thing: Thing,
    body: Option<fn(&Context) -> Value>,
    succeeds: u16,
) -> Row {
    Row {
        method,
        path,
        door,
        thing,
        body,
        succeeds,
    }
}

impl Row {
    /// The path to a thing. Where something is made under a name of the caller's, any name does.
    pub(super) fn path_to(&self, thing: &str) -> String {
        let thing = if thing.is_empty() { "new" } else { thing };
        let whose = match self.thing {
            Thing::Operator => thing,
            _ => Context::OTHER_OPERATOR,
        };
        let (thing, part) = thing.split_once('/').unwrap_or((thing, thing));
        let command = match self.thing {
            Thing::NotificationTo(command) | Thing::LaneTo(command) => command,
            _ => part,
        };
        self.path
            .replace("{operator}", whose)
            .replace("{id}", thing)
            .replace("{tenant}", thing)
            .replace("{provider}", thing)
            .replace("{reference}", part)
            .replace("{number}", thing)
            .replace("{type}", part)
            .replace("{user}", part)
            .replace("{command}", command)
    }

    pub(super) fn request(&self, client: &Client, thing: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(self.method.as_bytes()).expect("a method");
        let request = client.request(method, &self.path_to(thing));
        match self.method {
            // The things of the table are changed at most five times.
            "PUT" | "PATCH" | "DELETE" => {
                request.header("If-Match", "\"1\", \"2\", \"3\", \"4\", \"5\", \"6\"")
            }
            _ => request,
        }
    }

    pub(super) async fn send(&self, world: &Context, client: &Client, thing: &str) -> Answer {
        let request = self.request(client, thing);
        let body = self.body.map(|body| body(world));
        Answer::of(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    pub(super) fn named(&self, answer: &Answer) -> String {
        format!(
            "{} {} answered {}: {}",
            self.method, self.path, answer.status, answer.text
        )
    }
}

impl Context {
    /// Who may do it.
    pub(in crate::routes) fn rightful(&self, row: &Row) -> &Client {
        match row.door {
            // It ends the account, which others need.
            Door::SignedIn if row.path == "/api/auth/me/erase" => &self.north.leaver.client,
            Door::Open | Door::Public => &self.north.door,
            Door::SignedIn | Door::Customer(_) => &self.north.customer.client,
            Door::Organizer(_) | Door::Manager => &self.north.organizer.client,
            Door::Owner => &self.north.owner.client,
            Door::Operator => &self.operator,
        }
    }

    pub(in crate::routes) fn thing(&self, thing: Thing) -> String {
        match thing {
            Thing::None => String::new(),
            Thing::ApiKey => self.north.api_key.clone(),
            Thing::Event => self.north.event.clone(),
            Thing::EmptyEvent => self.north.empty_event.clone(),
            Thing::FullEvent => self.north.full_event.clone(),
            Thing::TypedEvent => self.north.typed_event.clone(),
            Thing::TicketType => self.north.ticket_type.clone(),
            Thing::BookingNumber => self.north.booking_number.clone(),
            Thing::BookingReference => self.north.booking_reference.clone(),
            Thing::EventReference => self.north.event_reference.clone(),
            Thing::Booking => self.north.booking.clone(),
            Thing::Receipt => format!("{}.0", self.north.booking),
            Thing::Ticket => format!("{}.1", self.north.booking),
            Thing::OtherTicket => self.north.other_ticket.clone(),
            Thing::Hold => self.north.hold.clone(),
            Thing::PricedHold => self.north.priced_hold.clone(),
            Thing::Payment => self.north.payment.clone(),
            Thing::NewPayment => "acme/new".to_owned(),
            Thing::Refund => self.north.refund.clone(),
            Thing::TeamMember => format!("{}/{}", self.north.event, self.north.other_customer.id),
            Thing::Invitation => self.north.invitation.clone(),
            Thing::OtherUser => self.north.other_user.clone(),
            Thing::OtherHold => self.north.other_hold.clone(),
            Thing::Notification => self.north.notification.clone(),
            Thing::Plugin => "plugin-north".to_owned(),
            Thing::PluginVersion => self.north.plugin.clone(),
            Thing::Tenant => "north".to_owned(),
            Thing::User => self.north.customer.id.clone(),
            Thing::Delivery => self.north.delivery.clone(),
            Thing::NotificationTo(command) => format!("{}/{command}", self.north.notification),
            Thing::LaneTo(command) => format!("bulk/{command}"),
            Thing::Operator => Context::OTHER_OPERATOR.to_owned(),
            Thing::OperatorSession => self.operator_session.clone(),
            Thing::Session => self.north.session.clone(),
            Thing::Identity => self.identity.clone(),
        }
    }
}
