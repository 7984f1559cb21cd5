//! Decides whether an answer of a policy or a template is valid. One function for every use: bookings, holds, offers of the
//! waiting list, mails, dry runs, replays, fixtures and `boxoffice plugin run`.
//!
//! Called by the engine and by plugin hosts after each call, before the call is counted and logged. Pure.

use super::{
    BookingView, Decision, HookFailure, PluginAnswer, PluginOutcome, PluginRequest, Rendered,
    RequestEvent, RequestLine,
};
use crate::types::{Claim, ClaimKey, Label, LineFault, check_line};

/// A policy may raise a price to this many times the list price. A higher price is an invalid answer.
const PRICE_FACTOR_MAX: u64 = 10;
/// Longest code of a rejection.
const CODE_BYTES_MAX: usize = 64;
/// Longest text for customers.
const SENTENCE_CHARACTERS_MAX: usize = 300;
/// Most texts of an adjustment.
const MESSAGES_MAX: usize = 10;
/// Largest text or HTML part of a mail. Clients cut mails from about 100 KB on; this bounds what one call can make a
/// worker hold in memory.
const PART_BYTES_MAX: usize = 256 * 1024;

impl PluginOutcome {
    /// Turns an invalid answer into a failure of the call.
    #[must_use]
    pub fn judged(self, request: &PluginRequest) -> Self {
        let answer = self.answer.and_then(|answer| {
            let valid = judge(request, answer);
            valid.map_err(HookFailure::Failed)
        });
        Self { answer, ..self }
    }
}

/// Checks an answer to a request. Returns the answer in the form in which it is used.
///
/// # Errors
/// A sentence about what is wrong. The call then counts as failed.
pub fn judge(request: &PluginRequest, answer: PluginAnswer) -> Result<PluginAnswer, String> {
    match (request, answer) {
        (PluginRequest::ValidateBooking(asked), PluginAnswer::Decided(decision)) => {
            let decision = judge_request(&asked.lines, &asked.event, decision)?;
            Ok(PluginAnswer::Decided(decision))
        }
        (PluginRequest::ValidateCancellation(_), PluginAnswer::Decided(decision)) => {
            Ok(PluginAnswer::Decided(judge_cancellation(decision)?))
        }
        (PluginRequest::Render(_), PluginAnswer::Rendered { rendered }) => {
            let rendered = judge_mail(rendered)?;
            Ok(PluginAnswer::Rendered { rendered })
        }
        (PluginRequest::Render(_), declined @ PluginAnswer::Declined { .. }) => Ok(declined),
        (PluginRequest::Render(_), PluginAnswer::Decided(_)) => {
            Err("it answered a decision where a mail was asked for".to_owned())
        }
        (_, PluginAnswer::Rendered { .. } | PluginAnswer::Declined { .. }) => {
            Err("it answered something else than a decision".to_owned())
        }
    }
}

/// Checks a decision about a booking of these lines of an event. For a type that the event does not have any more, the price in the
/// request counts as the list price.
///
/// # Errors
/// A sentence about what is wrong.
pub(crate) fn judge_request(
    lines: &[RequestLine],
    event: &RequestEvent,
    decision: Decision,
) -> Result<Decision, String> {
    let prices = lines.iter().map(|line| {
        let mut types = event.ticket_types.iter();
        let known = types.find(|kind| kind.id == line.ticket_type);
        LinePrices {
            list: known.map_or(line.unit_price_minor, |kind| kind.price_minor),
            present: line.unit_price_minor,
        }
    });
    decided(prices, decision)
}

/// Checks the decision of a native policy about a booking, as [`judge`] does.
///
/// # Errors
/// A sentence about what is wrong.
pub(crate) fn judge_booking(asked: &BookingView, decision: Decision) -> Result<Decision, String> {
    let prices = asked.lines.iter().map(|line| {
        let mut types = asked.event.ticket_types.iter();
        let known = types.find(|kind| kind.id == line.ticket_type);
        LinePrices {
            list: known.map_or(line.unit_price_minor, |kind| kind.price_minor),
            present: line.unit_price_minor,
        }
    });
    decided(prices, decision)
}

/// Checks the decision of a native policy about a cancellation, as [`judge`] does.
///
/// # Errors
/// A sentence about what is wrong.
pub(crate) fn judge_cancellation(decision: Decision) -> Result<Decision, String> {
    match decision {
        Decision::Accept => Ok(decision),
        Decision::Reject { code, reason } => rejected(code, &reason),
        Decision::Adjust { .. } => {
            Err("it answered prices where a cancellation was asked about".to_owned())
        }
    }
}

/// Checks the text of a mail: a subject that is a label, and two parts of limited size. Trims the subject.
///
/// # Errors
/// A sentence about what is wrong.
pub fn judge_mail(rendered: Rendered) -> Result<Rendered, String> {
    let subject = line("the subject", &rendered.subject, Label::CHARACTERS_MAX)?.to_owned();
    for (part, text) in [("the text", &rendered.text), ("the HTML", &rendered.html)] {
        let forbidden = |character: char| character.is_control() && !"\r\n\t".contains(character);
        if text.trim().is_empty() {
            return Err(format!("{part} is empty"));
        }
        if text.len() > PART_BYTES_MAX {
            return Err(format!(
                "{part} has {} bytes, and {PART_BYTES_MAX} are allowed",
                text.len()
            ));
        }
        if text.contains(forbidden) {
            return Err(format!("{part} holds control characters"));
        }
    }
    Ok(Rendered {
        subject,
        ..rendered
    })
}

/// The prices of a line of a request.
struct LinePrices {
    /// The list price of its type.
    list: u32,
    /// What the policy was shown. It may be left as it is, whatever the list price has become since it was agreed on.
    present: u32,
}

/// Checks a decision about lines with these prices.
///
/// # Errors
/// A sentence about what is wrong.
fn decided(
    line_prices: impl ExactSizeIterator<Item = LinePrices>,
    decision: Decision,
) -> Result<Decision, String> {
    let (prices, messages, claims) = match decision {
        Decision::Accept => return Ok(decision),
        Decision::Reject { code, reason } => return rejected(code, &reason),
        Decision::Adjust {
            unit_prices_minor,
            messages,
            claims,
        } => (unit_prices_minor, messages, claims),
    };
    let lines = line_prices.len();
    if lines == 0 || prices.len() != lines {
        return Err(format!(
            "it answered {} prices for {lines} lines",
            prices.len()
        ));
    }
    for (price, LinePrices { list, present }) in prices.iter().zip(line_prices) {
        let most = u64::from(list) * PRICE_FACTOR_MAX;
        if *price != present && u64::from(*price) > most {
            return Err(format!(
                "a price of {price} is more than ten times the list price {list}"
            ));
        }
    }
    if messages.len() > MESSAGES_MAX {
        return Err(format!(
            "an adjustment has up to {MESSAGES_MAX} messages, and it has {}",
            messages.len()
        ));
    }
    let messages = messages.iter().map(|message| {
        let message = line("a message", message, SENTENCE_CHARACTERS_MAX)?;
        Ok(message.to_owned())
    });
    Ok(Decision::Adjust {
        messages: messages.collect::<Result<_, String>>()?,
        unit_prices_minor: prices,
        claims: claims_judged(claims)?,
    })
}

/// Checks claims: few, and each takes something.
fn claims_judged(claims: Vec<Claim>) -> Result<Vec<Claim>, String> {
    if claims.len() > Claim::PER_POLICY_MAX {
        let most = Claim::PER_POLICY_MAX;
        return Err(format!(
            "a yes has up to {most} claims, and it has {}",
            claims.len()
        ));
    }
    let judged = claims.iter();
    let judged = judged.map(|claim| claim_of(claim.key.as_str(), claim.limit, claim.amount));
    judged.collect()
}

/// Makes a claim of what a policy answers, if it can be one.
///
/// # Errors
/// A sentence about what is wrong. The call then counts as failed.
pub fn claim_of(key: &str, limit: u32, amount: u32) -> Result<Claim, String> {
    let key: ClaimKey = key
        .parse()
        .map_err(|_| "a claim's key is one line of 1 to 64 characters".to_owned())?;
    let most = Claim::AMOUNT_MAX;
    if !(1..=most).contains(&amount) {
        return Err(format!(
            "the claim {key} takes {amount}; it may take 1 to {most}"
        ));
    }
    Ok(Claim { key, limit, amount })
}

fn rejected(code: String, reason: &str) -> Result<Decision, String> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=CODE_BYTES_MAX).contains(&code.len()) || !code.bytes().all(allowed) {
        return Err(format!(
            "a rejection's code is 1 to {CODE_BYTES_MAX} of a-z, 0-9 and -"
        ));
    }
    let reason = line("a rejection's reason", reason, SENTENCE_CHARACTERS_MAX)?.to_owned();
    Ok(Decision::Reject { code, reason })
}

/// One line of text for people, trimmed.
fn line<'a>(what: &str, text: &'a str, characters_max: usize) -> Result<&'a str, String> {
    let text = text.trim();
    match check_line(text, characters_max) {
        Ok(()) => Ok(text),
        Err(LineFault::TooLong) => Err(format!("{what} has up to {characters_max} characters")),
        Err(fault) => Err(format!("{what} {fault}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(prices: &[u32]) -> PluginRequest {
        let types: Vec<_> = (0..prices.len())
            .map(|index| json!({ "id": format!("t{index}"), "name": "T", "priceMinor": 100 }))
            .collect();
        let lines: Vec<_> = prices
            .iter()
            .enumerate()
            .map(|(index, price)| json!({ "ticketType": format!("t{index}"), "quantity": 1, "unitPriceMinor": price }))
            .collect();
        serde_json::from_value(json!({
            "export": "validate-booking",
            "request": {
                "event": {
                    "id": "e", "version": 1, "title": "Jazz", "startsAt": "2026-12-05T18:30:00Z",
                    "timeZone": "UTC", "currency": "EUR", "ticketTypes": types
                },
                "lines": lines,
                "customer": { "pseudonym": "c", "ticketsInEvent": 0 },
                "now": { "utc": "2026-11-22T18:30:00Z", "local": "2026-11-22T18:30:00+00:00" }
            }
        }))
        .expect("a question")
    }

    fn adjust(prices: &[u32], messages: &[&str]) -> PluginAnswer {
        PluginAnswer::Decided(Decision::Adjust {
            unit_prices_minor: prices.to_vec(),
            messages: messages.iter().map(ToString::to_string).collect(),
            claims: Vec::new(),
        })
    }

    fn reject(code: &str, reason: &str) -> PluginAnswer {
        PluginAnswer::Decided(Decision::Reject {
            code: code.to_owned(),
            reason: reason.to_owned(),
        })
    }

    #[test]
    fn prices_are_as_many_as_lines_and_at_most_ten_times_the_list_price() {
        // An earlier policy raised the second line; the list price counts.
        let question = asked(&[100, 900]);
        assert!(judge(&question, adjust(&[0, 1_000], &[])).is_ok());
        assert!(judge(&question, PluginAnswer::Decided(Decision::Accept)).is_ok());
        for (prices, reason) in [
            (&[][..], "0 prices for 2 lines"),
            (&[1], "1 prices for 2 lines"),
            (&[1, 1, 1], "3 prices for 2 lines"),
            (&[1, 1_001], "ten times the list price 100"),
        ] {
            let fault = judge(&question, adjust(prices, &[])).expect_err("it cannot be meant");
            assert!(fault.contains(reason), "{fault}");
        }
    }

    #[test]
    fn a_price_that_is_left_as_it_is_is_valid_whatever_the_list_price_has_become() {
        let question = asked(&[5_000]);
        assert!(judge(&question, adjust(&[5_000], &[])).is_ok());
        assert!(judge(&question, adjust(&[5_001], &[])).is_err());
    }

    #[test]
    fn claims_are_few_and_each_takes_something_of_a_counter() {
        let claiming = |claims: Vec<Claim>| {
            PluginAnswer::Decided(Decision::Adjust {
                unit_prices_minor: vec![100],
                messages: Vec::new(),
                claims,
            })
        };
        let question = asked(&[100]);
        let one = claim_of("code:A", 3, 1_000).expect("a claim");
        assert!(judge(&question, claiming(vec![one.clone(); 8])).is_ok());
        let fault = judge(&question, claiming(vec![one.clone(); 9]));
        assert!(fault.expect_err("too many").contains("up to 8 claims"));
        let large = Claim {
            amount: 1_001,
            ..one
        };
        assert!(judge(&question, claiming(vec![large])).is_err());
        for (key, amount) in [
            ("", 1),
            (" ", 1),
            ("a\nb", 1),
            ("\u{202e}a", 1),
            (&*"x".repeat(65), 1),
            ("a", 0),
            ("a", u32::MAX),
        ] {
            assert!(claim_of(key, 1, amount).is_err(), "{key:?} {amount}");
        }
    }

    #[test]
    fn what_customers_read_is_one_line_that_shows_something() {
        let question = asked(&[100]);
        let long = "x".repeat(300);
        assert!(judge(&question, adjust(&[1], &["Half price.", &long])).is_ok());
        assert!(judge(&question, adjust(&[1], &["m"; 10])).is_ok());
        assert!(judge(&question, adjust(&[1], &["m"; 11])).is_err());
        assert!(judge(&question, reject("members-only", "No.")).is_ok());
        let longer = "x".repeat(301);
        for bad in [
            "",
            " ",
            "a\nb",
            "a\u{2028}b",
            "\u{202e}egnp",
            "a\0",
            longer.as_str(),
        ] {
            assert!(judge(&question, adjust(&[1], &[bad])).is_err(), "{bad:?}");
            assert!(judge(&question, reject("no", bad)).is_err(), "{bad:?}");
        }
        for bad in ["", "No", "a b", "ä", longer.as_str()] {
            assert!(judge(&question, reject(bad, "No.")).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_answer_is_of_the_kind_that_was_asked_for() {
        let booking = asked(&[100]);
        let mail = PluginRequest::Render(crate::ports::RenderRequest {
            kind: "booking-confirmed".to_owned(),
            locale: "en".to_owned(),
            data: json!({}),
        });
        let declined = PluginAnswer::Declined {
            declined: String::new(),
        };
        assert!(judge(&mail, declined.clone()).is_ok());
        assert!(judge(&booking, declined).is_err());
        assert!(judge(&mail, PluginAnswer::Decided(Decision::Accept)).is_err());
    }

    #[test]
    fn text_that_fits_no_mail_is_refused() {
        let good = Rendered {
            subject: " Hello ".into(),
            text: "x".into(),
            html: "<p>x</p>".into(),
        };
        assert_eq!(judge_mail(good.clone()).expect("a mail").subject, "Hello");
        let large = |bytes: usize| "x".repeat(bytes);
        let with = |subject: String, text: String, html: String| Rendered {
            subject,
            text,
            html,
        };
        let (text, html) = (good.text.clone(), good.html.clone());
        assert!(judge_mail(with("s".into(), large(PART_BYTES_MAX), html.clone())).is_ok());
        for bad in [
            with(" ".into(), text.clone(), html.clone()),
            with("a\r\nBcc: x@example.org".into(), text.clone(), html.clone()),
            with("a\u{2028}b".into(), text.clone(), html.clone()),
            with(large(201), text.clone(), html.clone()),
            with("s".into(), large(PART_BYTES_MAX + 1), html.clone()),
            with("s".into(), text.clone(), large(PART_BYTES_MAX + 1)),
            with("s".into(), "\n".into(), html.clone()),
            with("s".into(), text.clone(), "a\u{0}b".into()),
        ] {
            assert!(judge_mail(bad).is_err());
        }
    }
}
