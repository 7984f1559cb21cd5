//! Goal: what a policy in JavaScript sees of a booking is what was asked, whatever the engine in the component makes of numbers; and what
//! it claims is whole numbers in range, or a failed call.
//!
//! Method: a project of `boxoffice plugin new` whose decision is an expression of its configuration, with the library and without it.

use boxoffice_tests::TempFolder;
use serde_json::{Value, json};

use super::projects::{shell, tools};

/// A policy whose decision is an expression of its configuration: `checked` goes through the library, `raw` does not.
const EXPRESSED: &str = r#"
import { accept, adjust, answer, claim, metadata, policy, reject, text } from "./boxoffice-plugin/index.js";
const library = { accept, adjust, answer, claim, metadata, reject };
const decision = (expression, request) => new Function("request", "library", `return ${expression}`)(request, library);
const checked = policy({
  settings: { checked: text() },
  validateBooking: (request, { checked }) => decision(checked, request),
});
export const bookingPolicy = {
  validateBooking(request, config) {
    const { raw } = JSON.parse(config);
    return raw === undefined ? checked.validateBooking(request, config) : decision(raw, request);
  },
  validateCancellation: checked.validateCancellation,
};
"#;

/// A booking of somebody who typed a code and answered questions.
fn fixture() -> Value {
    json!({
        "export": "validate-booking",
        "request": {
            "event": {
                "id": "e", "version": 1, "title": "Jazz Night", "startsAt": "2026-12-05T18:30:00Z",
                "timeZone": "Europe/Berlin", "currency": "EUR", "reference": "gig-1", "metadata": {"hall": "2"},
                "ticketTypes": [{"id": "general", "name": "General", "priceMinor": 2500, "metadata": {"row": "ä"}}]
            },
            "lines": [{"ticketType": "general", "quantity": 2, "unitPriceMinor": 2500}],
            "customer": {"pseudonym": "c-7f3a", "ticketsInEvent": 4_000_000_000_u32},
            "channel": "sold",
            "seller": {"kind": "api-key", "id": "k-1"},
            "details": {
                "codes": ["SPRING"],
                "answers": {
                    "a": {"number": 42.5}, "b": {"number": -1}, "c": {"number": 4_294_967_295.5_f64},
                    "d": {"number": 1e300}, "e": {"yesNo": true}, "f": {"choices": ["A", "B"]}, "g": {"date": "2026-11-30"}
                },
                "attendees": [{"ticket": 2, "ticketType": "general", "answers": {"age": {"number": 3_000_000_000_u32}}, "name": "Ann"}]
            },
            "now": {"utc": "2026-11-22T18:30:00Z", "local": "2026-11-22T19:30:00+01:00"}
        }
    })
}

/// What the policy says about the whole of the fixture.
fn seen() -> [(&'static str, &'static str); 5] {
    [
        (
            r#"[..."abcdefg"].map((id) => library.answer(request.details, id))"#,
            r#"[42.5,-1,4294967295.5,1e+300,true,["A","B"],"2026-11-30"]"#,
        ),
        (
            "[request.customer.ticketsInEvent, library.answer(request.details.attendees[0], 'age'), request.details.attendees[0].ticket]",
            "[4000000000,3000000000,2]",
        ),
        (
            "[request.channel, request.seller.kind, request.seller.id, request.details.codes, request.details.reference]",
            r#"["sold","api-key","k-1",["SPRING"],null]"#,
        ),
        (
            "[library.metadata(request.event, 'hall'), library.metadata(request.event.ticketTypes[0], 'row'), request.event.reference]",
            r#"["2","ä","gig-1"]"#,
        ),
        (
            "[library.answer(request.details, 'none') === undefined, request.details.attendees[0].name, request.details.attendees[0].email]",
            r#"[true,"Ann",null]"#,
        ),
    ]
}

/// An adjustment with one claim, without the library.
fn claiming(amount: &str, limit: &str) -> String {
    let claim = format!("{{ key: 'k', limit: {limit}, amount: {amount} }}");
    format!(
        "{{ tag: 'adjust', val: {{ unitPricesMinor: null, messages: [], claims: [{claim}] }} }}"
    )
}

fn failure(text: &str) -> Value {
    json!({ "failure": text })
}

/// Configurations, and what comes of them.
fn cases() -> Vec<(Value, Value)> {
    let one = json!({"decision": "adjust", "unitPricesMinor": [2500], "messages": [],
        "claims": [{"key": "k", "limit": u32::MAX, "amount": 1}]});
    let checked = |expression: &str| json!({ "checked": expression });
    let mut cases = vec![
        (checked("library.accept()"), json!({"decision": "accept"})),
        (
            checked("library.accept({ claims: [library.claim('k', 4294967295)] })"),
            one,
        ),
        (
            json!({"raw": claiming("1", "9")}),
            json!({"unitPricesMinor": [2500], "claims": [{"key": "k", "limit": 9, "amount": 1}]}),
        ),
        (
            checked("library.adjust([1], ['m'], [library.claim('k', 3, 1000)])"),
            json!({"unitPricesMinor": [1], "messages": ["m"], "claims": [{"key": "k", "limit": 3, "amount": 1000}]}),
        ),
        (
            checked("library.accept({ claims: Array(9).fill(library.claim('k', 9)) })"),
            failure("up to 8 claims"),
        ),
        (
            checked("library.accept({ claims: [library.claim(7, 9)] })"),
            failure("claims[0].key: 7 is not a text"),
        ),
        (
            checked("library.accept({ claims: [library.claim('two\\nlines', 9)] })"),
            failure("a claim's key is one line"),
        ),
        (
            checked("library.accept({ claims: [library.claim('k', -1)] })"),
            failure("claims[0].limit: -1 is not a whole number"),
        ),
    ];
    for amount in ["NaN", "-1", "0", "1.5", "1001", "Infinity", "'1'", "null"] {
        let expected = failure("claims[0].amount: ");
        cases.push((checked(&claiming(amount, "9")), expected));
    }
    // Without the library QuickJS converts numbers without an error; the host refuses what is out of range then.
    for (amount, reason) in [
        ("NaN", "takes 0"),
        ("-1", "takes 4294967295"),
        ("1e10", "takes 2147483647"),
    ] {
        cases.push((json!({ "raw": claiming(amount, "9") }), failure(reason)));
    }
    for (expression, text) in seen() {
        let said = format!("library.reject('seen', JSON.stringify({expression}))");
        let expected = json!({"decision": "reject", "code": "seen", "reason": text});
        cases.push((checked(&said), expected));
    }
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plugin_in_javascript_sees_what_was_asked_and_claims_whole_numbers_or_fails() {
    let folder = TempFolder::new("expressed");
    let tools = tools(&folder);
    let new = "boxoffice plugin new night-club --lang js";
    shell(new, folder.path(), &tools).await;
    let project = folder.join("night-club");
    std::fs::write(project.join("plugin.js"), EXPRESSED).expect("the project is there");
    shell("npm install\nnpm run build", &project, &tools).await;
    let mut fixture = fixture();
    for (config, expected) in cases() {
        (fixture["config"], fixture["expected"]) = (config, expected);
        std::fs::write(project.join("expressed.json"), fixture.to_string()).expect("it is ours");
        let run = "boxoffice plugin run night-club.wasm --input expressed.json";
        shell(run, &project, &tools).await;
    }
}
