//! The test kit for platforms that embed the engine: an engine in memory with a clock that tests move and mails that
//! can be read.
//!
//! It depends on the engine and on no other crate of the workspace, so that it can become a crate of its own.
//!
//! ```ignore
//! let platform = TestPlatform::new().await;
//! let tenant = platform.tenant("north").await;
//! let organizer = platform.user(&tenant, "olga", UserRole::Organizer).await;
//! let customer = platform.customer(&tenant, "ann").await;
//! let event = platform.event(&organizer, 50).await;
//! platform.book(&customer, event.id, 2).await;
//! platform.drain().await;
//! assert_eq!(platform.mails()[0].to, ["ann@north.test"]);
//! ```

mod clock;
mod feed;
mod fixtures;
mod folders;
mod mailer;
mod mails;
mod platform;
mod policies;
mod provider;
mod seed;
mod spans;
mod verified;
mod wait;

pub use clock::FakeClock;
pub use feed::FeedReader;
pub use fixtures::{
    PASSWORD, SMALL_PNG, booked_event, create_event, create_priced_event, create_tenant,
    create_user, email, ensure_customer, move_event, organizer_and_tenant, quick_settings,
    same_shard_as,
};
pub use folders::TempFolder;
pub use mailer::MemoryMailer;
pub use mails::{EnvelopedMail, ReceivedMail, count_mails, mail_files, read_mails};
pub use platform::{TestPlatform, drain};
pub use policies::{AtMost, CodeUses};
pub use provider::{Charge, ProviderBooks, TestProvider};
pub use seed::{seed, seeded};
pub use spans::without_spans;
pub use verified::{assert_verified, differences};
pub use wait::{Patience, pass_time, wait_for, wait_until};
