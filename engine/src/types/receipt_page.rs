//! The page of a receipt or a credit note, to print, in the reader's language: shown by hosts and attached to mails.
//!
//! All text is escaped and has its own direction. The page has its style in it and loads nothing.

use std::fmt::Write as _;

use minijinja::HtmlEscape;

use super::{
    BookingReceipt, ReceiptIssuer, ReceiptKind, ReceiptLine, money,
    receipt_words::{DUTCH, ENGLISH, FRENCH, GERMAN, ITALIAN, SPANISH, Words},
};

/// The languages that receipts are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReceiptLanguage {
    /// English.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Italian.
    Italian,
    /// Dutch.
    Dutch,
}

impl ReceiptLanguage {
    const ALL: [Self; 6] = [
        Self::English,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Italian,
        Self::Dutch,
    ];

    /// The first language of an `Accept-Language` header that there is; English without one. Browsers list the best first.
    pub fn of(wanted: &str) -> Self {
        let named = wanted.split(',').take(32).find_map(|range| {
            let tag = range.split(';').next().unwrap_or_default().trim();
            let primary = tag.split('-').next().unwrap_or_default();
            let mut all = Self::ALL.into_iter();
            all.find(|language| language.tag().eq_ignore_ascii_case(primary))
        });
        named.unwrap_or(Self::English)
    }

    fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Italian => "it",
            Self::Dutch => "nl",
        }
    }

    fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
            Self::French => &FRENCH,
            Self::Spanish => &SPANISH,
            Self::Italian => &ITALIAN,
            Self::Dutch => &DUTCH,
        }
    }

    /// What stands before the decimals.
    fn point(self) -> &'static str {
        match self {
            Self::English => ".",
            _ => ",",
        }
    }

    fn amount(self, minor: u64, currency: &str) -> String {
        money(minor, currency).replacen('.', self.point(), 1)
    }

    /// A day, from its ISO form.
    fn day(self, iso: &str) -> String {
        let parts: Vec<&str> = iso.split('-').collect();
        match (parts.as_slice(), self) {
            ([year, month, day], Self::German) => format!("{day}.{month}.{year}"),
            ([year, month, day], Self::French | Self::Spanish | Self::Italian) => {
                format!("{day}/{month}/{year}")
            }
            ([year, month, day], Self::Dutch) => format!("{day}-{month}-{year}"),
            _ => iso.to_owned(),
        }
    }
}

impl ReceiptIssuer {
    /// What a tax is called, with its rate: `VAT 19 %`, `VAT 5.5 %`. `point` is what stands before decimals.
    pub fn tax_label(&self, basis_points: u32, point: &str) -> String {
        let (percent, rest) = (basis_points / 100, basis_points % 100);
        let rate = match (rest, rest % 10) {
            (0, _) => percent.to_string(),
            (_, 0) => format!("{percent}{point}{}", rest / 10),
            _ => format!("{percent}{point}{rest:02}"),
        };
        format!("{} {rate} %", self.tax_name)
    }
}

impl BookingReceipt {
    /// The style in each page, for hosts that name its hash in a content security policy.
    pub const PAGE_STYLE: &'static str = include_str!("../../templates/receipt.css");

    /// The page of a receipt: a whole HTML document that loads nothing.
    pub fn page(&self, language: ReceiptLanguage) -> String {
        let words = language.words();
        let heading = match self.kind() {
            ReceiptKind::Receipt => words.receipt,
            ReceiptKind::CreditNote => words.credit_note,
        };
        let number = self.number.as_ref().map(|number| number.text.as_str());
        let title = format!("{heading} {}", number.unwrap_or_default());
        let main = format!(
            "{}{}{}{}",
            head(self, heading, language),
            facts(self, language),
            lines(self, language),
            taxes(self, language)
        );
        format!(
            "<!doctype html>\n<html lang=\"{}\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{}</title>\n<style>{}</style>\n<main>\n{}\n</main>\n</html>\n",
            language.tag(),
            HtmlEscape(title.trim()),
            Self::PAGE_STYLE,
            main.trim_end()
        )
    }
}

/// Text that people typed: escaped, with its own direction.
fn escaped(text: &str) -> String {
    format!("<bdi>{}</bdi>", HtmlEscape(text))
}

/// Who issues it, and to whom.
fn head(receipt: &BookingReceipt, heading: &str, language: ReceiptLanguage) -> String {
    let words = language.words();
    let issuer = &receipt.issuer;
    let mut text = format!(
        "<header>\n<address><strong>{}</strong>",
        escaped(issuer.name.as_str())
    );
    // Writing to a String cannot fail, here and below.
    for line in &issuer.address {
        let _ = write!(text, "<br>{}", escaped(line.as_str()));
    }
    if let Some(id) = &issuer.tax_id {
        let _ = write!(text, "<br>{}: {}", words.tax_id, escaped(id.as_str()));
    }
    let _ = write!(text, "</address>\n<h1>{heading}</h1>\n</header>\n");
    let recipient = match &receipt.recipient {
        Some(one) => format!(
            "<strong>{}</strong><br>{}",
            escaped(one.name.as_str()),
            escaped(one.email.as_str())
        ),
        None => words.withheld.to_owned(),
    };
    let _ = writeln!(
        text,
        "<p class=\"to\"><span>{}</span><br>{recipient}</p>",
        words.customer
    );
    text
}

/// Number, day and booking.
fn facts(receipt: &BookingReceipt, language: ReceiptLanguage) -> String {
    let words = language.words();
    let mut text = String::from("<dl>\n");
    let mut fact = |name: &str, value: &str| {
        let _ = writeln!(text, "<dt>{name}</dt><dd>{}</dd>", escaped(value));
    };
    match &receipt.number {
        Some(number) => {
            fact(words.number, &number.text);
            fact(words.date, &language.day(&number.issued_on));
        }
        None => fact(words.number, words.pending),
    }
    if let Some(corrected) = &receipt.corrects {
        fact(words.corrects, corrected);
    }
    fact(words.booking, &receipt.booking_number.to_string());
    text.push_str("</dl>\n");
    text
}

fn lines(receipt: &BookingReceipt, language: ReceiptLanguage) -> String {
    let words = language.words();
    let mut text = format!(
        "<h2>{}</h2>\n<table>\n<thead><tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr></thead>\n<tbody>\n",
        escaped(receipt.event_title.as_str()),
        words.ticket,
        words.quantity,
        words.price,
        words.amount
    );
    for line in &receipt.lines {
        text.push_str(&row(receipt, line, language));
    }
    let total = match receipt.kind() {
        ReceiptKind::Receipt => words.total,
        ReceiptKind::CreditNote => words.refund,
    };
    let _ = writeln!(
        text,
        "</tbody>\n<tfoot><tr><th colspan=\"3\">{total}</th><td>{}</td></tr></tfoot>\n</table>",
        language.amount(receipt.total_minor, &receipt.currency)
    );
    text
}

fn row(receipt: &BookingReceipt, line: &ReceiptLine, language: ReceiptLanguage) -> String {
    let amount = |minor: u64| language.amount(minor, &receipt.currency);
    let rate = line.tax_basis_points.map(|rate| {
        let label = receipt.issuer.tax_label(rate, language.point());
        format!(" <small>{}</small>", escaped(&label))
    });
    format!(
        "<tr><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
        escaped(line.name.as_str()),
        rate.unwrap_or_default(),
        line.quantity,
        amount(u64::from(line.unit_price_minor)),
        amount(line.total_minor)
    )
}

/// The taxes in the total; nothing without any.
fn taxes(receipt: &BookingReceipt, language: ReceiptLanguage) -> String {
    let words = language.words();
    let mut text = String::new();
    for tax in &receipt.taxes {
        let label = receipt.issuer.tax_label(tax.basis_points, language.point());
        let amount = |minor: u64| language.amount(minor, &receipt.currency);
        let _ = writeln!(
            text,
            "<p class=\"tax\">{} {}: {} ({} {})</p>",
            escaped(&label),
            words.included,
            amount(tax.tax_minor),
            words.net,
            amount(tax.net_minor())
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Label;

    #[test]
    fn the_first_language_that_there_is_is_taken() {
        for (wanted, language) in [
            ("", ReceiptLanguage::English),
            ("de-AT,de;q=0.9,en;q=0.5", ReceiptLanguage::German),
            ("pl, FR-ca;q=0.8, en;q=0.7", ReceiptLanguage::French),
            ("es", ReceiptLanguage::Spanish),
            ("it-IT", ReceiptLanguage::Italian),
            ("nl", ReceiptLanguage::Dutch),
            ("pl", ReceiptLanguage::English),
            ("*", ReceiptLanguage::English),
        ] {
            assert_eq!(ReceiptLanguage::of(wanted), language, "{wanted}");
        }
    }

    #[test]
    fn days_amounts_and_rates_have_the_form_of_their_language() {
        assert_eq!(ReceiptLanguage::German.day("2026-12-01"), "01.12.2026");
        assert_eq!(ReceiptLanguage::Dutch.day("2026-12-01"), "01-12-2026");
        assert_eq!(ReceiptLanguage::English.day("2026-12-01"), "2026-12-01");
        assert_eq!(ReceiptLanguage::French.amount(1_190, "EUR"), "11,90 EUR");
        assert_eq!(ReceiptLanguage::English.amount(1_190, "JPY"), "1190 JPY");
        let issuer = ReceiptIssuer {
            name: Label::parse("name", "North").unwrap(),
            address: Vec::new(),
            tax_id: None,
            tax_name: Label::parse("name", "MwSt.").unwrap(),
        };
        for (rate, label) in [
            (1_900, "MwSt. 19 %"),
            (550, "MwSt. 5,5 %"),
            (725, "MwSt. 7,25 %"),
            (0, "MwSt. 0 %"),
        ] {
            assert_eq!(issuer.tax_label(rate, ","), label);
        }
    }
}
