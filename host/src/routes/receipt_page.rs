//! The page of a receipt or a credit note, to print, in the reader's language.
//!
//! Called by the controller of receipts. All text is escaped, and nothing is loaded but the style sheet.

use std::fmt::Write as _;

use axum::response::Response;
use boxoffice_engine::{BookingReceipt, ReceiptIssuer, ReceiptKind, ReceiptLine, money};

use super::html::{self, escaped};

/// The languages that receipts are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    English,
    German,
    French,
    Spanish,
    Italian,
    Dutch,
}

/// The words of a language.
struct Words {
    receipt: &'static str,
    credit_note: &'static str,
    number: &'static str,
    date: &'static str,
    booking: &'static str,
    corrects: &'static str,
    customer: &'static str,
    tax_id: &'static str,
    ticket: &'static str,
    quantity: &'static str,
    price: &'static str,
    amount: &'static str,
    total: &'static str,
    refund: &'static str,
    net: &'static str,
    included: &'static str,
    pending: &'static str,
    withheld: &'static str,
}

const ENGLISH: Words = Words {
    receipt: "Receipt",
    credit_note: "Credit note",
    number: "Number",
    date: "Date",
    booking: "Booking",
    corrects: "Corrects receipt",
    customer: "Customer",
    tax_id: "Tax ID",
    ticket: "Ticket",
    quantity: "Quantity",
    price: "Price",
    amount: "Amount",
    total: "Total",
    refund: "Refund",
    net: "net",
    included: "included",
    pending: "The number follows in a moment.",
    withheld: "Not kept any more",
};
const GERMAN: Words = Words {
    receipt: "Rechnung",
    credit_note: "Rechnungskorrektur",
    number: "Nummer",
    date: "Datum",
    booking: "Buchung",
    corrects: "Korrigiert Rechnung",
    customer: "Kunde",
    tax_id: "Steuernummer",
    ticket: "Ticket",
    quantity: "Anzahl",
    price: "Preis",
    amount: "Betrag",
    total: "Gesamt",
    refund: "Erstattung",
    net: "netto",
    included: "enthalten",
    pending: "Die Nummer folgt gleich.",
    withheld: "Nicht mehr gespeichert",
};
const FRENCH: Words = Words {
    receipt: "Reçu",
    credit_note: "Avoir",
    number: "Numéro",
    date: "Date",
    booking: "Réservation",
    corrects: "Corrige le reçu",
    customer: "Client",
    tax_id: "Numéro fiscal",
    ticket: "Billet",
    quantity: "Quantité",
    price: "Prix",
    amount: "Montant",
    total: "Total",
    refund: "Remboursement",
    net: "hors taxe",
    included: "inclus",
    pending: "Le numéro suit dans un instant.",
    withheld: "N’est plus conservé",
};
const SPANISH: Words = Words {
    receipt: "Recibo",
    credit_note: "Nota de crédito",
    number: "Número",
    date: "Fecha",
    booking: "Reserva",
    corrects: "Rectifica el recibo",
    customer: "Cliente",
    tax_id: "Número fiscal",
    ticket: "Entrada",
    quantity: "Cantidad",
    price: "Precio",
    amount: "Importe",
    total: "Total",
    refund: "Reembolso",
    net: "neto",
    included: "incluido",
    pending: "El número sigue en un momento.",
    withheld: "Ya no se conserva",
};
const ITALIAN: Words = Words {
    receipt: "Ricevuta",
    credit_note: "Nota di credito",
    number: "Numero",
    date: "Data",
    booking: "Prenotazione",
    corrects: "Rettifica la ricevuta",
    customer: "Cliente",
    tax_id: "Partita IVA",
    ticket: "Biglietto",
    quantity: "Quantità",
    price: "Prezzo",
    amount: "Importo",
    total: "Totale",
    refund: "Rimborso",
    net: "netto",
    included: "inclusa",
    pending: "Il numero segue tra un momento.",
    withheld: "Non più conservato",
};
const DUTCH: Words = Words {
    receipt: "Bon",
    credit_note: "Creditnota",
    number: "Nummer",
    date: "Datum",
    booking: "Boeking",
    corrects: "Corrigeert bon",
    customer: "Klant",
    tax_id: "Btw-nummer",
    ticket: "Ticket",
    quantity: "Aantal",
    price: "Prijs",
    amount: "Bedrag",
    total: "Totaal",
    refund: "Terugbetaling",
    net: "netto",
    included: "inbegrepen",
    pending: "Het nummer volgt zo.",
    withheld: "Niet meer bewaard",
};

impl Language {
    const ALL: [Self; 6] = [
        Self::English,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Italian,
        Self::Dutch,
    ];

    /// The first language of an `Accept-Language` header that there is; English without one. Browsers list the best first.
    pub(super) fn of(wanted: &str) -> Self {
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

/// What a tax is called, with its rate: `VAT 19 %`, `VAT 5.5 %`.
pub(super) fn tax_label(issuer: &ReceiptIssuer, basis_points: u32, point: &str) -> String {
    let (percent, rest) = (basis_points / 100, basis_points % 100);
    let rate = match (rest, rest % 10) {
        (0, _) => percent.to_string(),
        (_, 0) => format!("{percent}{point}{}", rest / 10),
        _ => format!("{percent}{point}{rest:02}"),
    };
    format!("{} {rate} %", issuer.tax_name)
}

/// The page of a receipt.
pub(super) fn page(receipt: &BookingReceipt, language: Language, prefix: &str) -> Response {
    let words = language.words();
    let heading = match receipt.kind() {
        ReceiptKind::Receipt => words.receipt,
        ReceiptKind::CreditNote => words.credit_note,
    };
    let number = receipt.number.as_ref().map(|number| number.text.as_str());
    let title = format!("{heading} {}", number.unwrap_or_default());
    let main = format!(
        "{}{}{}{}",
        head(receipt, heading, language),
        facts(receipt, language),
        lines(receipt, language),
        taxes(receipt, language)
    );
    let style = format!("{prefix}/docs/receipt.css");
    let head = (title.trim(), style.as_str());
    html::page_in(language.tag(), head, html::OWN_POLICY, main.trim_end())
}

/// Who issues it, and to whom.
fn head(receipt: &BookingReceipt, heading: &str, language: Language) -> String {
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
fn facts(receipt: &BookingReceipt, language: Language) -> String {
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

fn lines(receipt: &BookingReceipt, language: Language) -> String {
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

fn row(receipt: &BookingReceipt, line: &ReceiptLine, language: Language) -> String {
    let amount = |minor: u64| language.amount(minor, &receipt.currency);
    let rate = line.tax_basis_points.map(|rate| {
        let label = tax_label(&receipt.issuer, rate, language.point());
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
fn taxes(receipt: &BookingReceipt, language: Language) -> String {
    let words = language.words();
    let mut text = String::new();
    for tax in &receipt.taxes {
        let label = tax_label(&receipt.issuer, tax.basis_points, language.point());
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

    #[test]
    fn the_first_language_that_there_is_is_taken() {
        for (wanted, language) in [
            ("", Language::English),
            ("de-AT,de;q=0.9,en;q=0.5", Language::German),
            ("pl, FR-ca;q=0.8, en;q=0.7", Language::French),
            ("es", Language::Spanish),
            ("it-IT", Language::Italian),
            ("nl", Language::Dutch),
            ("pl", Language::English),
            ("*", Language::English),
        ] {
            assert_eq!(Language::of(wanted), language, "{wanted}");
        }
    }

    #[test]
    fn days_amounts_and_rates_have_the_form_of_their_language() {
        assert_eq!(Language::German.day("2026-12-01"), "01.12.2026");
        assert_eq!(Language::Dutch.day("2026-12-01"), "01-12-2026");
        assert_eq!(Language::English.day("2026-12-01"), "2026-12-01");
        assert_eq!(Language::French.amount(1_190, "EUR"), "11,90 EUR");
        assert_eq!(Language::English.amount(1_190, "JPY"), "1190 JPY");
        let issuer = ReceiptIssuer {
            name: boxoffice_engine::Label::parse("name", "North").unwrap(),
            address: Vec::new(),
            tax_id: None,
            tax_name: boxoffice_engine::Label::parse("name", "MwSt.").unwrap(),
        };
        for (rate, label) in [
            (1_900, "MwSt. 19 %"),
            (550, "MwSt. 5,5 %"),
            (725, "MwSt. 7,25 %"),
            (0, "MwSt. 0 %"),
        ] {
            assert_eq!(tax_label(&issuer, rate, ","), label);
        }
    }
}
