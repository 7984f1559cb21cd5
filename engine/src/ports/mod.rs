//! Ports: traits that a platform implements, with defaults that need no store.
//!
//! Called by app_modules, modules and worker; implemented here, in the host, and by platforms.

mod built_in;
mod clock;
mod fixtures;
mod ids;
mod judgement;
mod links;
mod mailer;
mod memory_queue;
mod plugin_requests;
mod plugins;
mod policy;
mod queue;
mod templates;
mod ticket_codes;
mod traces;

pub use crate::types::Lane;
pub use built_in::{BuiltInAttendee, BuiltInBooking, BuiltInCustomer, BuiltInRequest};
pub use clock::{Clock, SystemClock};
pub use fixtures::PluginFixture;
pub use ids::{IdSource, SeededIds, UlidIds};
pub use judgement::{claim_of, judge, judge_mail};
pub(crate) use judgement::{judge_booking, judge_cancellation, judge_request};
pub use links::Links;
pub use mailer::{FolderMailer, MailOutcome, Mailer, OutgoingMail};
pub use memory_queue::MemoryQueue;
pub use plugin_requests::{
    BookingRequest, CancellationRequest, RenderRequest, RequestAnswer, RequestAttendee,
    RequestCustomer, RequestDetails, RequestEvent, RequestLine, RequestMoment, RequestSeller,
    RequestSellerKind, RequestTicketType,
};
pub use plugins::{
    CallPriority, LoadFailure, LoadPurpose, PluginAnswer, PluginCall, PluginCeilings,
    PluginLogLine, PluginOutcome, PluginRef, PluginRefusal, PluginRequest, PluginRuntime,
    PluginSource, PluginUsage,
};
pub use policy::{
    BookingView, CancellationView, CustomerView, Decision, EventView, HookFailure, LineView,
    Policy, TicketTypeView, WhenNotLoaded,
};
pub use queue::{LaneStats, Leased, Queue, Receipt, SHARDS, Settlement, Task, TaskKind, shard_of};
pub use templates::{RenderFailure, Rendered, Templates};
pub use ticket_codes::TicketCodes;
pub use traces::Traces;
