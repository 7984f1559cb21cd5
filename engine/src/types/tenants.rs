//! Tenants: who shares an installation with whom, and nothing else with them.

use jiff::Timestamp;

use super::{EmailAddress, Label, ReminderLead, TenantId};
use crate::error::{Error, Result};

/// One tenant of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its name in host names, tokens and record ids.
    pub id: TenantId,
    /// What people call it; the sender's name of its mails unless its settings name another.
    pub name: Label,
    /// ISO 4217 code of every price of this tenant, such as `EUR`.
    pub currency: String,
    /// Counts the changes of what stands here; 1 at creation.
    pub version: u64,
    /// What the tenant decided about itself.
    pub settings: TenantSettings,
    /// The sender's address of its mails; none stands for the installation's. Only operators set it: they answer for
    /// the domains that the installation's mail servers may speak for.
    pub mail_from: Option<EmailAddress>,
    /// When it was created, UTC.
    pub created_at: Timestamp,
}

/// What a tenant decides about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSettings {
    /// Whether anybody may register as an organizer.
    pub organizers_may_register: bool,
    /// The sender's name of the tenant's mails; none stands for the tenant's name.
    pub sender_name: Option<Label>,
    /// Where answers to the tenant's mails go.
    pub reply_to: Option<EmailAddress>,
    /// How long before an event its reminder goes out; none for no reminders. Holds for events that are made or
    /// changed from then on.
    pub reminder_lead: Option<ReminderLead>,
    /// Announcements that all organizers together may make in a day (UTC); at most as many as the installation allows.
    pub announcements_per_day: u32,
    /// Whether customers who sign up are asked to confirm their address, and get mails about their own bookings only, none of
    /// those to many, until they do. Needs [`EngineBuilder::links`](crate::EngineBuilder::links); nobody is asked without.
    pub bulk_to_verified_only: bool,
    /// Whether users must confirm their address before they book, hold or wait for tickets. Whoever signs up is then asked to
    /// confirm it, too. Has no effect where nobody is asked: without links, and for users that platforms bring.
    pub confirm_before_booking: bool,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            organizers_may_register: false,
            sender_name: None,
            reply_to: None,
            reminder_lead: None,
            announcements_per_day: Self::ANNOUNCEMENTS_PER_DAY_DEFAULT,
            bulk_to_verified_only: true,
            confirm_before_booking: false,
        }
    }
}

impl TenantSettings {
    /// Enough for a busy house on the day of a storm, and no newsletter.
    pub const ANNOUNCEMENTS_PER_DAY_DEFAULT: u32 = 10;

    /// Returns whether the tenant wants its users' addresses confirmed, for one purpose or another.
    pub(crate) fn wants_addresses_confirmed(&self) -> bool {
        self.bulk_to_verified_only || self.confirm_before_booking
    }
}

/// Makes a tenant.
#[derive(Debug, Clone)]
pub struct CreateTenant {
    /// Its name; see [`TenantId`].
    pub id: TenantId,
    /// What people call it.
    pub name: Label,
    /// ISO 4217 code of its prices: three capital letters.
    pub currency: String,
    /// What it decides about itself.
    pub settings: TenantSettings,
}

impl CreateTenant {
    /// A tenant that leaves its settings as they come; `currency` is an ISO 4217 code such as `EUR`.
    pub fn new(id: TenantId, name: Label, currency: &str) -> Self {
        Self {
            id,
            name,
            currency: currency.to_owned(),
            settings: TenantSettings::default(),
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check_sender_names(&self.name, &self.settings)?;
        if self.currency.len() == 3 && self.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(())
        } else {
            Err(Error::field(
                "currency",
                "A currency is an ISO 4217 code of three capital letters, such as EUR.",
            ))
        }
    }
}

/// Replaces what a tenant's owner may say about it.
#[derive(Debug, Clone)]
pub struct UpdateTenant {
    /// The version that the owner saw; another one now is `version-mismatch`.
    pub expected_version: u64,
    /// What people call it.
    pub name: Label,
    /// What it decides about itself.
    pub settings: TenantSettings,
}

impl UpdateTenant {
    /// Checks the numbers that the installation bounds, and the name that mails come from.
    pub(crate) fn validate(&self, announcements_per_day_max: u32) -> Result<()> {
        check_sender_names(&self.name, &self.settings)?;
        if self.settings.announcements_per_day > announcements_per_day_max {
            Err(Error::field(
                "announcementsPerDay",
                format!(
                    "This installation allows 0 to {announcements_per_day_max} announcements a day."
                ),
            ))
        } else {
            Ok(())
        }
    }
}

/// Refuses names that look like another sender. Mails come from the tenant's name unless it has one for them, and mail programs
/// show it in place of the address.
fn check_sender_names(name: &Label, settings: &TenantSettings) -> Result<()> {
    let sender_name = settings.sender_name.as_ref();
    for (field, name) in [("name", Some(name)), ("senderName", sender_name)] {
        if name.is_some_and(|name| looks_like_address(name.as_str())) {
            return Err(Error::field(
                field,
                "Mails come from this name. It must not look like an address: leave out @, < and >, and what looks like them.",
            ));
        }
    }
    Ok(())
}

/// Whether a name could be taken for an e-mail address: by its signs, or what looks like them (full-width, small, angle quotes).
fn looks_like_address(name: &str) -> bool {
    name.contains([
        '@', '\u{ff20}', '\u{fe6b}', '<', '>', '\u{ff1c}', '\u{ff1e}', '\u{fe64}', '\u{fe65}',
        '\u{2039}', '\u{203a}', '\u{27e8}', '\u{27e9}', '\u{3008}', '\u{3009}',
    ])
}
