//! Write a Boxoffice plugin in Rust: implement [`Policy`] or [`Template`], export it with one macro.
//!
//! ```
//! use boxoffice_plugin::{BookingRequest, Decision, Deserialize, Policy, Rejection};
//!
//! #[derive(Deserialize)]
//! #[serde(crate = "boxoffice_plugin::serde", rename_all = "camelCase", deny_unknown_fields)]
//! struct GroupLimit {
//!     tickets_max: u32,
//! }
//!
//! impl Policy for GroupLimit {
//!     fn validate_booking(&self, request: BookingRequest) -> Decision {
//!         let wanted: u32 = request.lines.iter().map(|line| line.quantity).sum();
//!         if wanted <= self.tickets_max {
//!             return Decision::Accept;
//!         }
//!         Rejection::new("too-many", format!("Up to {} tickets.", self.tickets_max)).into()
//!     }
//! }
//!
//! boxoffice_plugin::export_policy!(GroupLimit);
//! ```
//!
//! A yes may change prices, tell the customer something, and take of the tenant's counters:
//!
//! ```
//! use boxoffice_plugin::{Adjustment, Claim, Decision};
//!
//! let half_price: Decision = Adjustment::prices(vec![1_250])
//!     .message("Half price with the code SPRING.")
//!     .claim(Claim::new("code:SPRING", 100))
//!     .into();
//! let once_each: Decision = Adjustment::unchanged().claim(Claim::new("visitor:c-7f3a", 1)).into();
//! ```
//!
//! A plugin that does both implements both traits on one type and calls both macros.
//!
//! The type is the plugin's configuration: the tenant's JSON is read into it before each call. The target is
//! `wasm32-wasip2`; anywhere else the crate compiles too, so that a plugin's rules can be unit-tested natively.

mod bindings;
mod configuration;
mod log;
mod policies;
mod requests;
mod templates;
mod times;

pub use serde::{self, Deserialize};
pub use serde_json as json;

pub use bindings::policy::boxoffice::plugin::types::{
    Answer, AnswerValue, Attendee, MetadataEntry, SellerKind, TicketType,
};
pub use bindings::policy::exports::boxoffice::plugin::booking_policy::{
    Adjustment, BookingDetails, BookingRequest, CancellationDecision, CancellationRequest, Claim,
    Customer, Decision, Event, Line, Moment, Rejection, Seller,
};
pub use bindings::template::exports::boxoffice::plugin::notification_template::Rendered;
pub use log::{debug, error, info, warn};
pub use policies::Policy;
pub use templates::{Data, Template, escaped};
pub use times::unix_seconds;

/// What the macros expand to; not for use by hand.
#[doc(hidden)]
pub mod expanded {
    pub use crate::bindings::{policy, template};
    pub use crate::policies::Exported as ExportedPolicy;
    pub use crate::templates::Exported as ExportedTemplate;
}
