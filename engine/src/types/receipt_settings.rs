//! What a tenant wants of its receipts.

use std::ops::RangeInclusive;

use super::{Label, time_zone};
use crate::error::{Error, Result};

/// What a tenant wants of its receipts. They are off unless an owner switches them on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptSettings {
    /// Whether bookings get receipts from now on. Those that exist stay when it is switched off, and refunds of their bookings
    /// still get credit notes.
    pub is_on: bool,
    /// Whether bookings that cost nothing get receipts, too.
    pub free_bookings: bool,
    /// Who issues them; `None` means the tenant's display name.
    pub issuer_name: Option<Label>,
    /// The issuer's postal address, at most 6 lines.
    pub issuer_address: Vec<Label>,
    /// The issuer's tax id.
    pub tax_id: Option<Label>,
    /// What the tax is called, such as `VAT`.
    pub tax_name: Label,
    /// The IANA zone whose calendar says of which year and day a receipt is.
    pub time_zone: String,
    /// What all numbers begin with; empty for nothing.
    pub number_prefix: String,
    /// For how many years after that of its number a receipt keeps the customer's name and address.
    pub keep_names_years: u32,
    /// Whether customers get them by mail when they are numbered.
    pub send_by_mail: bool,
}

impl Default for ReceiptSettings {
    fn default() -> Self {
        Self {
            is_on: false,
            free_bookings: false,
            issuer_name: None,
            issuer_address: Vec::new(),
            tax_id: None,
            tax_name: Label::stored("VAT".to_owned()),
            time_zone: "UTC".to_owned(),
            number_prefix: String::new(),
            keep_names_years: Self::KEEP_NAMES_YEARS_DEFAULT,
            send_by_mail: true,
        }
    }
}

impl ReceiptSettings {
    /// Most lines of the issuer's address: as many as fit the window of an envelope.
    pub const ADDRESS_LINES_MAX: usize = 6;
    /// Longest beginning of numbers: people read them out.
    const PREFIX_BYTES_MAX: usize = 12;
    /// The longest period that tax laws commonly prescribe.
    const KEEP_NAMES_YEARS_DEFAULT: u32 = 10;
    /// For how many years names may be kept.
    const KEEP_NAMES_YEARS: RangeInclusive<u32> = 1..=30;

    /// Checks them.
    ///
    /// # Errors
    /// `field-invalid` at the part of `receipts` that breaks a rule.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.issuer_address.len() > Self::ADDRESS_LINES_MAX {
            return Err(Error::field(
                "receipts.issuerAddress",
                "An address has at most 6 lines.",
            ));
        }
        let fits = self.number_prefix.len() <= Self::PREFIX_BYTES_MAX;
        let is_plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if !fits || !self.number_prefix.bytes().all(is_plain) {
            return Err(Error::field(
                "receipts.numberPrefix",
                "Numbers begin with at most 12 capital letters and digits.",
            ));
        }
        time_zone(&self.time_zone).map_err(|error| error.at_field("receipts.timeZone"))?;
        if !Self::KEEP_NAMES_YEARS.contains(&self.keep_names_years) {
            return Err(Error::field(
                "receipts.keepNamesYears",
                "Names are kept for 1 to 30 years.",
            ));
        }
        Ok(())
    }

    /// Which bookings get receipts.
    pub(crate) fn rule(&self) -> ReceiptRule {
        match (self.is_on, self.free_bookings) {
            (false, _) => ReceiptRule::None,
            (true, false) => ReceiptRule::Priced,
            (true, true) => ReceiptRule::All,
        }
    }
}

/// Which bookings of a tenant get receipts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ReceiptRule {
    /// None: receipts are off.
    #[default]
    None,
    /// Those that cost something.
    Priced,
    /// All.
    All,
}

impl ReceiptRule {
    /// Returns whether a booking of this total gets a receipt.
    pub(crate) fn takes(self, total_minor: u64) -> bool {
        match self {
            Self::None => false,
            Self::Priced => total_minor > 0,
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_checked() {
        let valid = ReceiptSettings::default();
        assert!(valid.validate().is_ok());
        let bad = [
            (
                "receipts.numberPrefix",
                ReceiptSettings {
                    number_prefix: "a-b".to_owned(),
                    ..valid.clone()
                },
            ),
            (
                "receipts.timeZone",
                ReceiptSettings {
                    time_zone: "Mars/Olympus".to_owned(),
                    ..valid.clone()
                },
            ),
            (
                "receipts.keepNamesYears",
                ReceiptSettings {
                    keep_names_years: 0,
                    ..valid.clone()
                },
            ),
            (
                "receipts.issuerAddress",
                ReceiptSettings {
                    issuer_address: vec![Label::stored("x".to_owned()); 7],
                    ..valid
                },
            ),
        ];
        for (field, settings) in bad {
            let error = settings.validate().unwrap_err();
            assert_eq!(error.field_name(), Some(field));
        }
    }
}
