//! Enumerations of requests and responses, each as a named schema of the API's description.
//!
//! Fields name them as their `value_type`. No value has these types.

use boxoffice_engine::{
    AnswerKind as Answer, BookingStatus as Booking, CancelCause as Cause, ChangeKind as Change,
    DeliveryState as Delivery, ErrorCode as EngineCode, EventStatus as Event, HoldStatus as Hold,
    IdTokenAlgorithm as Algorithm, Lane as MailLane, NoticeKind as Notice,
    NotificationKind as Kind, NotificationStatus as Notification, PaymentStatus as Payment,
    PluginExport as Export, ReceiptKind as Receipt, RefundReason as Reason, RefundState as Refund,
    SaleState as Sale, SalesChannel as Channel, Scope, ShownAvailability as Shown,
    TeamRole as Team, TicketStatus as Ticket, TicketsLeft as Left, UserRole as Role,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::host_codes::HOST_CODES;

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
    #[doc = "The state of a new event."]
    NewEventStatus: [Event::Draft, Event::Published].map(Event::as_str);
    #[doc = "What happened to an object."]
    ChangeType: Change::ALL.iter().map(|kind| kind.as_str());
    #[doc = "The state of an event."]
    EventStatus: [Event::Draft, Event::Published, Event::Cancelled].map(Event::as_str);
    #[doc = "Whether tickets of a type can be booked."]
    SaleState: Sale::ALL.map(Sale::as_str);
    #[doc = "What is told of the tickets that are left."]
    ShownAvailability: Shown::ALL.map(Shown::as_str);
    #[doc = "Whether tickets are left: `few` is at most a tenth of the capacity, rounded up, and at most 100."]
    TicketsLeft: Left::ALL.map(Left::as_str);
    #[doc = "The order of a list of events."]
    EventSort: ["createdAt", "startsAt"];
    #[doc = "The state of a booking."]
    BookingStatus: [Booking::Confirmed, Booking::Cancelled].map(Booking::as_str);
    #[doc = "Who ended a booking; `event` if the whole event was cancelled."]
    CancelledBy: [Cause::Customer, Cause::Organizer, Cause::Event].map(Cause::as_str);
    #[doc = "How a booking or a hold came about: the customer made it (`self`), somebody sold it to them, or it was imported."]
    SalesChannel: Channel::ALL.map(Channel::as_str);
    #[doc = "What the answer to a question is."]
    AnswerKind: Answer::ALL.map(Answer::as_str);
    #[doc = "How an export is written."]
    ExportFormat: ["csv", "ndjson"];
    #[doc = "What became of a row of an import."]
    ImportStatus: ["created", "present", "valid", "faulty"];
    #[doc = "The state of a hold."]
    HoldStatus: [Hold::Held, Hold::Confirmed, Hold::Released, Hold::Expired].map(Hold::as_str);
    #[doc = "The state of a payment."]
    PaymentStatus: Payment::ALL.iter().map(|status| status.as_str());
    #[doc = "What a payment provider said."]
    NoticeKind: Notice::ALL.iter().map(|kind| kind.as_str());
    #[doc = "Why a refund is due."]
    RefundReason: Reason::ALL.iter().map(|reason| reason.as_str());
    #[doc = "The state of a refund."]
    RefundState: Refund::ALL.iter().map(|state| state.as_str());
    #[doc = "What a receipt is for: a booking, or the refund of a cancellation."]
    ReceiptKind: Receipt::ALL.map(Receipt::as_str);
    #[doc = "The state of a ticket."]
    TicketStatus: [Ticket::Valid, Ticket::CheckedIn, Ticket::Cancelled].map(Ticket::as_str);
    #[doc = "The state of a place on a waiting list."]
    WaitlistStatus: ["waiting", "offered"];
    #[doc = "What an API key may do."]
    ApiKeyScope: Scope::ALL.iter().map(|scope| scope.as_str());
    #[doc = "What an ID token may be signed with."]
    IdTokenAlgorithm: Algorithm::ALL.map(Algorithm::as_str);
    #[doc = "The role of a user in a tenant."]
    UserRole: [Role::Owner, Role::Organizer, Role::Staff, Role::Customer].map(Role::as_str);
    #[doc = "A role that somebody is invited to."]
    InvitedRole: [Role::Owner, Role::Organizer, Role::Staff].map(Role::as_str);
    #[doc = "What somebody may do for one event."]
    TeamRole: [Team::Manager, Team::CheckIn].map(Team::as_str);
    #[doc = "A role to register with."]
    RegistrationRole: [Role::Customer, Role::Organizer].map(Role::as_str);
    #[doc = "The kind of a mail."]
    MailKind: Kind::ALL.iter().map(|kind| kind.as_str());
    #[doc = "The kind of a notification."]
    NotificationKind: Kind::ALL.iter().filter(|kind| !kind.is_transactional()).map(|kind| kind.as_str());
    #[doc = "A kind of mail that customers can unsubscribe from."]
    OptionalMailKind: Kind::needing_consent().into_iter().map(Kind::as_str);
    #[doc = "The state of a notification."]
    NotificationStatus: [
        Notification::Scheduled, Notification::FanningOut, Notification::FannedOut, Notification::Superseded,
        Notification::Cancelled,
    ].map(Notification::as_str);
    #[doc = "The state of a delivery."]
    DeliveryState: [
        Delivery::Queued, Delivery::Sending, Delivery::Sent, Delivery::Deferred, Delivery::Dead, Delivery::Suppressed,
        Delivery::Unknown,
    ].map(Delivery::as_str);
    #[doc = "The state of a failed delivery."]
    FailedState: [Delivery::Dead, Delivery::Unknown].map(Delivery::as_str);
    #[doc = "The priority of mails."]
    Lane: MailLane::ALL.map(MailLane::as_str);
    #[doc = "The state of a plugin version."]
    PluginState: ["compiling", "ready", "rejected"];
    #[doc = "An export of a plugin."]
    PluginExport: [Export::ValidateBooking, Export::ValidateCancellation, Export::Render].map(Export::as_str);
    #[doc = "The effect on bookings while a policy cannot be loaded."]
    WhenNotLoaded: ["refuse", "skip"];
    #[doc = "The level of a log line."]
    LogLevel: ["debug", "info", "warn", "error", "stderr"];
    #[doc = "A command to a notification."]
    NotificationCommand: ["pause", "resume", "cancel", "promote"];
    #[doc = "A command to a lane."]
    LaneCommand: ["pause", "resume"];
    #[doc = "An action in the audit log."]
    AuditAction: [
        "pause", "resume", "cancel", "promote", "move", "retry", "pause-lane", "resume-lane", "create-key", "revoke-key", "invite",
        "withdraw-invitation", "change-user", "change-team", "erase-user", "set-identity-provider", "remove-identity-provider",
    ];
    #[doc = "The stable code of an error; `/errors/{code}` is its page. New codes may be added."]
    ErrorCode: EngineCode::ALL.iter().map(|code| code.as_str()).chain(HOST_CODES.iter().map(|host| host.code));
}
