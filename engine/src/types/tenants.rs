//! Tenants and their settings.

use jiff::Timestamp;

use super::{
    Brand, EmailAddress, Label, LogoFacts, ReceiptSettings, ReminderLead, ShownAvailability,
    TenantId, TenantLinks,
};
use crate::error::{Error, Result};

/// One tenant of the installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Its id, used in host names, tokens and record ids.
    pub id: TenantId,
    /// Its display name, also the sender's name of its mails unless its settings have another.
    pub name: Label,
    /// ISO 4217 code of all its prices, such as `EUR`.
    pub currency: String,
    /// Its version: 1 at creation, raised by every change.
    pub version: u64,
    /// Its settings.
    pub settings: TenantSettings,
    /// The sender's address of its mails; `None` means the installation's. Only operators set it, because they know
    /// for which domains the installation's mail servers may send.
    pub mail_from: Option<EmailAddress>,
    /// Its uploaded logo.
    pub logo: Option<LogoFacts>,
    /// Since when its receipts are on; `None` while they are off.
    pub receipts_since: Option<Timestamp>,
    /// When it was created, UTC.
    pub created_at: Timestamp,
}

impl Tenant {
    /// What the sender of its mails is called.
    pub(crate) fn sender_name(&self) -> &str {
        let sender_name = self.settings.sender_name.as_ref();
        sender_name.unwrap_or(&self.name).as_str()
    }

    /// The sender's address of its mails; `installation` is the address of the whole installation.
    pub(crate) fn sender_address<'a>(&'a self, installation: &'a EmailAddress) -> &'a EmailAddress {
        self.mail_from.as_ref().unwrap_or(installation)
    }
}

/// A tenant's settings, which its owners change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantSettings {
    /// Whether anybody may register as an organizer.
    pub organizers_may_register: bool,
    /// The sender's name of its mails; `None` means its display name.
    pub sender_name: Option<Label>,
    /// The Reply-To address of its mails.
    pub reply_to: Option<EmailAddress>,
    /// How long before an event its reminder is sent; `None` for no reminders. Applies to events that are created or
    /// changed from then on.
    pub reminder_lead: Option<ReminderLead>,
    /// Announcements a day (UTC) of all organizers together; at most the installation's limit.
    pub announcements_per_day: u32,
    /// Whether customers who sign up are asked to confirm their address. Until they do they get no bulk mails, only mails
    /// about their own bookings. Needs [`EngineBuilder::links`](crate::EngineBuilder::links).
    pub bulk_to_verified_only: bool,
    /// Whether users must confirm their address before they book, hold or wait for tickets. They are then asked to confirm
    /// when they sign up. Has no effect without links, and for users that a platform brings.
    pub confirm_before_booking: bool,
    /// Its receipts.
    pub receipts: ReceiptSettings,
    /// What is told of the tickets that are left to callers who do not manage the event.
    pub shown_availability: ShownAvailability,
    /// The look of its mails.
    pub brand: Brand,
    /// Its own pages that mails lead to.
    pub links: TenantLinks,
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
            receipts: ReceiptSettings::default(),
            shown_availability: ShownAvailability::default(),
            brand: Brand::default(),
            links: TenantLinks::default(),
        }
    }
}

impl TenantSettings {
    /// Enough for a venue on the day of a storm, too few for a newsletter.
    pub const ANNOUNCEMENTS_PER_DAY_DEFAULT: u32 = 10;

    /// Returns whether the tenant asks its users to confirm their addresses.
    pub(crate) fn wants_addresses_confirmed(&self) -> bool {
        self.bulk_to_verified_only || self.confirm_before_booking
    }
}

/// Creates a tenant.
#[derive(Debug, Clone)]
pub struct CreateTenant {
    /// Its id; see [`TenantId`].
    pub id: TenantId,
    /// Its display name.
    pub name: Label,
    /// ISO 4217 code of its prices: three capital letters.
    pub currency: String,
    /// Its settings.
    pub settings: TenantSettings,
}

impl CreateTenant {
    /// A tenant with default settings; `currency` is an ISO 4217 code such as `EUR`.
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
        self.settings.receipts.validate()?;
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

/// Replaces everything that a tenant's owner may change.
#[derive(Debug, Clone)]
pub struct UpdateTenant {
    /// The version that the owner saw. If it is not the current one: `version-mismatch`.
    pub expected_version: u64,
    /// Its display name.
    pub name: Label,
    /// Its settings.
    pub settings: TenantSettings,
}

impl UpdateTenant {
    /// Checks the numbers against the installation's limits, and the sender's name.
    pub(crate) fn validate(&self, announcements_per_day_max: u32) -> Result<()> {
        check_sender_names(&self.name, &self.settings)?;
        self.settings.receipts.validate()?;
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

/// Refuses names that look like another sender, because mail programs show the name in place of the
/// address.
fn check_sender_names(name: &Label, settings: &TenantSettings) -> Result<()> {
    let sender_name = settings.sender_name.as_ref();
    for (field, name) in [("name", Some(name)), ("senderName", sender_name)] {
        if name.is_some_and(|name| looks_like_address(name.as_str())) {
            return Err(Error::field(
                field,
                "This is the sender's name of mails. It must not look like an address: leave out @, <, > and similar \
                characters.",
            ));
        }
    }
    Ok(())
}

/// Returns whether a name looks like an e-mail address: it has `@`, `<`, `>` or similar characters (full-width, small, angle quotes).
fn looks_like_address(name: &str) -> bool {
    name.contains([
        '@', '\u{ff20}', '\u{fe6b}', '<', '>', '\u{ff1c}', '\u{ff1e}', '\u{fe64}', '\u{fe65}',
        '\u{2039}', '\u{203a}', '\u{27e8}', '\u{27e9}', '\u{3008}', '\u{3009}',
    ])
}
