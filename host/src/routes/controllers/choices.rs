//! Enumerations of requests and responses, each as a named schema of the API's description.
//!
//! Fields name them as their `value_type`. No value has these types.

use boxoffice_engine::{
    BookingStatus as Booking, CancelCause as Cause, DeliveryState as Delivery,
    ErrorCode as EngineCode, EventStatus as Event, HoldStatus as Hold, Lane as MailLane,
    NotificationKind as Kind, NotificationStatus as Notification, PluginExport as Export,
    TicketStatus as Ticket, UserRole as Role,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::problem::HOST_CODES;

macro_rules! choices {
    ($(#[doc = $doc:literal] $name:ident: $values:expr;)+) => {$(
        #[doc = $doc]
        #[derive(Debug)]
        pub(in crate::routes) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                schema($doc, $values)
            }
        }

        impl ToSchema for $name {}
    )+};
}

fn schema(description: &str, values: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description.trim()))
        .enum_values(Some(values))
        .into()
}

choices! {
    #[doc = "What an event can be made as."]
    NewEventStatus: [Event::Draft, Event::Published].map(Event::as_str);
    #[doc = "Who sees an event, and whether it takes place."]
    EventStatus: [Event::Draft, Event::Published, Event::Cancelled].map(Event::as_str);
    #[doc = "By what events are sorted."]
    EventSort: ["createdAt", "startsAt"];
    #[doc = "Whether a booking admits anybody."]
    BookingStatus: [Booking::Confirmed, Booking::Cancelled].map(Booking::as_str);
    #[doc = "Who ended a booking; `event` if the whole event was cancelled."]
    CancelledBy: [Cause::Customer, Cause::Organizer, Cause::Event].map(Cause::as_str);
    #[doc = "What became of a hold."]
    HoldStatus: [Hold::Held, Hold::Confirmed, Hold::Released, Hold::Expired].map(Hold::as_str);
    #[doc = "Whether a ticket admits somebody."]
    TicketStatus: [Ticket::Valid, Ticket::CheckedIn, Ticket::Cancelled].map(Ticket::as_str);
    #[doc = "Whether somebody waits for tickets or is offered them."]
    WaitlistStatus: ["waiting", "offered"];
    #[doc = "What somebody may do in a tenant."]
    UserRole: [Role::Owner, Role::Organizer, Role::Staff, Role::Customer].map(Role::as_str);
    #[doc = "What somebody may register as."]
    RegistrationRole: [Role::Customer, Role::Organizer].map(Role::as_str);
    #[doc = "What a mail is about."]
    MailKind: Kind::ALL.iter().map(|kind| kind.as_str());
    #[doc = "What a notification to many is about."]
    NotificationKind: Kind::BULK.iter().map(|kind| kind.as_str());
    #[doc = "A kind of mail that its reader may do without."]
    OptionalMailKind: Kind::NEED_CONSENT.iter().map(|kind| kind.as_str());
    #[doc = "How far a notification has come."]
    NotificationStatus: [
        Notification::Scheduled, Notification::FanningOut, Notification::FannedOut, Notification::Superseded,
        Notification::Cancelled,
    ].map(Notification::as_str);
    #[doc = "What became of one mail."]
    DeliveryState: [
        Delivery::Queued, Delivery::Sending, Delivery::Sent, Delivery::Deferred, Delivery::Dead, Delivery::Suppressed,
        Delivery::Unknown,
    ].map(Delivery::as_str);
    #[doc = "How a mail failed for good."]
    FailedState: [Delivery::Dead, Delivery::Unknown].map(Delivery::as_str);
    #[doc = "Which mails go before which."]
    Lane: MailLane::ALL.map(MailLane::as_str);
    #[doc = "Whether a version of a plugin can be used."]
    PluginState: ["compiling", "ready", "rejected"];
    #[doc = "What a plugin can be asked."]
    PluginExport: [Export::ValidateBooking, Export::ValidateCancellation, Export::Render].map(Export::as_str);
    #[doc = "What becomes of bookings while a policy cannot be loaded."]
    WhenNotLoaded: ["refuse", "skip"];
    #[doc = "How a plugin logged a line."]
    LogLevel: ["debug", "info", "warn", "error", "stderr"];
    #[doc = "What somebody did to what goes out."]
    AuditAction: ["pause", "resume", "cancel", "promote", "move", "retry", "pause-lane", "resume-lane"];
    #[doc = "The stable code of a refusal; `/errors/{code}` is its page. New codes may be added."]
    ErrorCode: EngineCode::ALL.iter().map(|code| code.as_str()).chain(HOST_CODES.iter().map(|host| host.code));
}
