//! Amounts of money as text.
//!
//! Called by mails, and by hosts that show receipts.

/// An amount with its currency: `24.00 EUR`, `2400 JPY`.
pub fn money(minor: u64, currency: &str) -> String {
    let digits = minor_digits(currency);
    if digits == 0 {
        return format!("{minor} {currency}");
    }
    let unit = 10_u64.pow(digits);
    let width = usize::try_from(digits).unwrap_or_default();
    format!("{}.{:0width$} {currency}", minor / unit, minor % unit)
}

/// Digits behind the point: the exponents of ISO 4217, list one.
fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_has_the_digits_of_its_currency() {
        for (minor, currency, text) in [
            (0, "EUR", "0.00 EUR"),
            (5, "EUR", "0.05 EUR"),
            (2_400, "EUR", "24.00 EUR"),
            (2_400, "JPY", "2400 JPY"),
            (2_400, "KRW", "2400 KRW"),
            (1_234, "KWD", "1.234 KWD"),
            (12_345, "CLF", "1.2345 CLF"),
            (u64::MAX, "USD", "184467440737095516.15 USD"),
        ] {
            assert_eq!(money(minor, currency), text);
        }
    }
}
