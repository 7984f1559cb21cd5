//! A tenant's settings of receipts, as a part of its settings.
//!
//! Called by the controller of tenants.

use boxoffice_engine::{Label, ReceiptSettings, Result};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{integers::Whole, patched::Patched};

/// What a tenant wants of its receipts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::routes) struct ReceiptSettingsResponse {
    /// Whether bookings get receipts.
    enabled: bool,
    /// Whether bookings that cost nothing get receipts, too.
    free_bookings: bool,
    /// Who issues them; null means the tenant's name.
    issuer_name: Option<String>,
    /// The lines of the issuer's postal address.
    issuer_address: Vec<String>,
    /// The issuer's tax id.
    tax_id: Option<String>,
    /// What the tax is called.
    #[schema(example = "VAT")]
    tax_name: String,
    /// The IANA zone whose calendar says of which year and day a number is.
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
    /// What all numbers begin with; null for nothing.
    number_prefix: Option<String>,
    /// For how many years after that of its number a receipt keeps the customer's name and address.
    keep_names_years: u32,
    /// Whether customers get them by mail when they are numbered.
    send_by_mail: bool,
}

impl From<ReceiptSettings> for ReceiptSettingsResponse {
    fn from(settings: ReceiptSettings) -> Self {
        let address = settings.issuer_address.iter();
        let prefix = settings.number_prefix;
        Self {
            enabled: settings.is_on,
            free_bookings: settings.free_bookings,
            issuer_name: settings.issuer_name.map(|name| name.to_string()),
            issuer_address: address.map(ToString::to_string).collect(),
            tax_id: settings.tax_id.map(|id| id.to_string()),
            tax_name: settings.tax_name.to_string(),
            time_zone: settings.time_zone,
            number_prefix: Some(prefix).filter(|prefix| !prefix.is_empty()),
            keep_names_years: settings.keep_names_years,
            send_by_mail: settings.send_by_mail,
        }
    }
}

/// The fields to change of a tenant's settings of receipts. Fields that are left out stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::routes) struct ReceiptSettingsPatchRequest {
    /// Whether bookings get receipts, from a second later on. Those that exist stay when it is switched off, and refunds of their
    /// bookings still get credit notes.
    #[schema(value_type = bool, required = false)]
    #[serde(default)]
    enabled: Patched<bool>,
    /// Whether bookings that cost nothing get receipts, too.
    #[schema(value_type = bool, required = false)]
    #[serde(default)]
    free_bookings: Patched<bool>,
    /// Who issues them. Null: the tenant's name.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    issuer_name: Patched<String>,
    /// The issuer's postal address: at most 6 lines of 1 to 200 characters. Null: none.
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(default)]
    issuer_address: Patched<Vec<String>>,
    /// The issuer's tax id. Null: none.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    tax_id: Patched<String>,
    /// What the tax is called. Null: `VAT`.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    tax_name: Patched<String>,
    /// The IANA zone whose calendar says of which year and day a number is. Null: UTC.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    time_zone: Patched<String>,
    /// What all numbers begin with: up to 12 capital letters and digits. Null: nothing.
    #[schema(value_type = Option<String>, max_length = 12)]
    #[serde(default)]
    number_prefix: Patched<String>,
    /// For how many years after that of its number a receipt keeps the customer's name and address, 1 to 30; for receipts that are
    /// numbered from then on. Null: 10.
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 30)]
    #[serde(default)]
    keep_names_years: Patched<Whole<u32>>,
    /// Whether customers get them by mail when they are numbered, each with its page to print as a file.
    #[schema(value_type = bool, required = false)]
    #[serde(default)]
    send_by_mail: Patched<bool>,
}

impl ReceiptSettingsPatchRequest {
    /// The settings with these changes.
    pub(super) fn applied(&self, before: &ReceiptSettings) -> Result<ReceiptSettings> {
        let mut settings = before.clone();
        if let Some(enabled) = self.enabled.value("receipts.enabled")? {
            settings.is_on = *enabled;
        }
        if let Some(free) = self.free_bookings.value("receipts.freeBookings")? {
            settings.free_bookings = *free;
        }
        if let Some(send) = self.send_by_mail.value("receipts.sendByMail")? {
            settings.send_by_mail = *send;
        }
        let label = |field: &'static str| move |text: &String| Label::parse(field, text).map(Some);
        self.issuer_name.write(
            &mut settings.issuer_name,
            None,
            label("receipts.issuerName"),
        )?;
        self.tax_id
            .write(&mut settings.tax_id, None, label("receipts.taxId"))?;
        let address = |lines: &Vec<String>| {
            let lines = lines.iter().take(ReceiptSettings::ADDRESS_LINES_MAX + 1);
            lines
                .map(|line| Label::parse("receipts.issuerAddress", line))
                .collect()
        };
        self.issuer_address
            .write(&mut settings.issuer_address, Vec::new(), address)?;
        let default = ReceiptSettings::default();
        self.tax_name
            .write(&mut settings.tax_name, default.tax_name, |text| {
                Label::parse("receipts.taxName", text)
            })?;
        let text = |text: &String| Ok(text.clone());
        self.time_zone
            .write(&mut settings.time_zone, default.time_zone, text)?;
        self.number_prefix
            .write(&mut settings.number_prefix, default.number_prefix, text)?;
        self.keep_names_years.write(
            &mut settings.keep_names_years,
            default.keep_names_years,
            |Whole(years)| Ok(*years),
        )?;
        Ok(settings)
    }
}
