//! The row of a tenant.

use surrealdb::types::{RecordId, SurrealValue, Value};

use super::{
    branding::{BrandRow, LogoFactsRow},
    keys::{at_millisecond, key_text, millisecond, record},
    receipts::ReceiptSettingsRow,
};
use crate::{
    error::Result,
    types::{
        EmailAddress, Label, ReminderLead, ShownAvailability, Tenant, TenantId, TenantSettings,
    },
};

#[derive(Debug, Clone, SurrealValue)]
pub(in crate::modules::repositories) struct TenantRow {
    pub(in crate::modules::repositories) id: RecordId,
    name: String,
    currency: String,
    organizers_may_register: bool,
    reply_to: Option<String>,
    created_at: i64,
    version: u64,
    sender_name: Option<String>,
    mail_from: Option<String>,
    reminder_minutes: Option<u32>,
    announcements_per_day: u32,
    bulk_to_verified_only: bool,
    confirm_before_booking: bool,
    /// `None` for the default settings.
    receipts: Option<ReceiptSettingsRow>,
    receipts_since: Option<i64>,
    /// `None` for the default.
    shown_availability: Option<String>,
    /// `None` without a brand and links.
    brand: Option<BrandRow>,
    logo: Option<LogoFactsRow>,
}

impl TenantRow {
    pub(in crate::modules::repositories) fn key(tenant: &TenantId) -> RecordId {
        record("tenant", [Value::String(tenant.as_str().to_owned())])
    }

    pub(in crate::modules::repositories) fn of(tenant: &Tenant) -> Self {
        Self {
            id: Self::key(&tenant.id),
            name: tenant.name.as_str().to_owned(),
            currency: tenant.currency.clone(),
            organizers_may_register: tenant.settings.organizers_may_register,
            reply_to: tenant
                .settings
                .reply_to
                .as_ref()
                .map(|address| address.as_str().to_owned()),
            created_at: millisecond(tenant.created_at),
            version: tenant.version,
            sender_name: tenant
                .settings
                .sender_name
                .as_ref()
                .map(|name| name.as_str().to_owned()),
            mail_from: tenant
                .mail_from
                .as_ref()
                .map(|address| address.as_str().to_owned()),
            reminder_minutes: tenant.settings.reminder_lead.map(ReminderLead::minutes),
            announcements_per_day: tenant.settings.announcements_per_day,
            bulk_to_verified_only: tenant.settings.bulk_to_verified_only,
            confirm_before_booking: tenant.settings.confirm_before_booking,
            receipts: ReceiptSettingsRow::of(&tenant.settings.receipts),
            receipts_since: tenant.receipts_since.map(millisecond),
            shown_availability: (tenant.settings.shown_availability
                != ShownAvailability::default())
            .then(|| tenant.settings.shown_availability.as_str().to_owned()),
            brand: BrandRow::of(&tenant.settings),
            logo: tenant.logo.as_ref().map(LogoFactsRow::of),
        }
    }

    pub(in crate::modules::repositories) fn into_type(self) -> Result<Tenant> {
        let (brand, links) = self.brand.map(BrandRow::into_parts).unwrap_or_default();
        Ok(Tenant {
            id: TenantId::trusted(key_text(&self.id, 0)?),
            name: Label::stored(self.name),
            currency: self.currency,
            version: self.version,
            settings: TenantSettings {
                organizers_may_register: self.organizers_may_register,
                sender_name: self.sender_name.map(Label::stored),
                reply_to: self.reply_to.map(EmailAddress::stored),
                reminder_lead: self.reminder_minutes.map(ReminderLead::stored),
                announcements_per_day: self.announcements_per_day,
                bulk_to_verified_only: self.bulk_to_verified_only,
                confirm_before_booking: self.confirm_before_booking,
                receipts: ReceiptSettingsRow::into_type(self.receipts),
                shown_availability: (self.shown_availability)
                    .map_or(Ok(ShownAvailability::default()), |shown| shown.parse())?,
                brand,
                links,
            },
            logo: self.logo.map(LogoFactsRow::into_type),
            receipts_since: self.receipts_since.map(at_millisecond).transpose()?,
            mail_from: self.mail_from.map(EmailAddress::stored),
            created_at: at_millisecond(self.created_at)?,
        })
    }
}
