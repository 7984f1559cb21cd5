//! What the platform supplies, as traits, with the defaults that need no store.
//!
//! Called by app_modules, modules and worker; implemented here, in the host, and by platforms.

mod clock;
mod ids;
mod mailer;
mod policy;
mod queue;
mod templates;

pub use crate::types::Lane;
pub use clock::{Clock, SystemClock};
pub use ids::{IdSource, SeededIds, UlidIds};
pub use mailer::{FolderMailer, MailOutcome, Mailer, OutgoingMail};
pub use policy::{
    BookingView, CustomerView, Decision, EventView, HookFailure, LineView, Policy, TicketTypeView,
};
pub use queue::{LaneStats, Leased, Queue, Receipt, Settlement, Task, TaskKind};
pub use templates::{RenderFailure, Rendered, Templates};
