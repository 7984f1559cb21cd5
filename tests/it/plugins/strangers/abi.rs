//! Edges of the canonical ABI: what is lifted wrongly, and what a plugin hands over that cannot be.

use boxoffice_tests::Component;

use super::{Ends, Hostile};

const YES: &str = "(i32.const 64)";
const LIFT: &str = r#"(canon lift (core func $i "book") (memory $memory) (realloc $realloc))"#;
const REALLOC: &str = "(local.get $at)))";

pub(super) fn all() -> Vec<Hostile> {
    [lifted(), handed_over(), allocated()].concat()
}

/// How functions are lifted.
fn lifted() -> Vec<Hostile> {
    let lift = |name, to: &str, core: &str, ends| {
        (name, Component::edited(YES, core, "", &[(LIFT, to)]), ends)
    };
    let after = |body: &str| format!(r#"(func (export "after") (param i32) {body})"#);
    let with_after = r#"(canon lift (core func $i "book") (memory $memory) (realloc $realloc) (post-return (func $i "after")))"#;
    vec![
        lift(
            "lifted without memory",
            r#"(canon lift (core func $i "book"))"#,
            "",
            Ends::Refused(""),
        ),
        lift(
            "lifted without realloc",
            r#"(canon lift (core func $i "book") (memory $memory))"#,
            "",
            Ends::Refused("realloc"),
        ),
        lift(
            "a realloc of another type",
            r#"(canon lift (core func $i "book") (memory $memory) (realloc (func $i "cancel")))"#,
            "",
            Ends::Refused("realloc"),
        ),
        lift(
            "a function of another type",
            r#"(canon lift (core func $i "odd") (memory $memory) (realloc $realloc))"#,
            r#"(func (export "odd") (param i64) (result f32) (f32.const 0))"#,
            Ends::Refused(""),
        ),
        lift(
            "texts in utf-16",
            r#"(canon lift (core func $i "book") (memory $memory) (realloc $realloc) string-encoding=utf16)"#,
            "",
            Ends::Works,
        ),
        lift(
            "texts in latin1 or utf-16",
            r#"(canon lift (core func $i "book") (memory $memory) (realloc $realloc) string-encoding=latin1+utf16)"#,
            "",
            Ends::Works,
        ),
        lift(
            "two encodings",
            r#"(canon lift (core func $i "book") (memory $memory) (realloc $realloc) string-encoding=utf8 string-encoding=utf16)"#,
            "",
            Ends::Refused(""),
        ),
        lift(
            "a post-return that traps",
            with_after,
            &after("unreachable"),
            Ends::Fails("unreachable"),
        ),
        lift(
            "a post-return that never ends",
            with_after,
            &after("(loop $again (br $again))"),
            Ends::Fails("fuel"),
        ),
        lift(
            "a post-return that asks the host",
            with_after,
            &after("(call $log (i32.const 1) (i32.const 0) (i32.const 2))"),
            Ends::Fails(""),
        ),
        lift(
            "a post-return of another type",
            with_after,
            r#"(func (export "after") (result i64) (i64.const 0))"#,
            Ends::Refused(""),
        ),
        lift(
            "lifted as async",
            r#"(canon lift (core func $i "book") (memory $memory) (realloc $realloc) async)"#,
            "",
            Ends::Refused(""),
        ),
    ]
}

/// What a plugin answers and logs.
fn handed_over() -> Vec<Hostile> {
    let book = |name, book: &str, ends| (name, Component::policy(book, YES), ends);
    let reject = |code: &str, code_bytes: &str, reason: &str, reason_bytes: &str| {
        format!(
            "(i32.store8 (i32.const 64) (i32.const 1))
             (i32.store (i32.const 68) {code}) (i32.store (i32.const 72) {code_bytes})
             (i32.store (i32.const 76) {reason}) (i32.store (i32.const 80) {reason_bytes}) {YES}"
        )
    };
    let adjust = |at: &str, count: &str| {
        format!(
            "(i32.store8 (i32.const 64) (i32.const 2)) (i32.store8 (i32.const 68) (i32.const 1))
             (i32.store (i32.const 72) {at}) (i32.store (i32.const 76) {count}) {YES}"
        )
    };
    let claim = |at: &str, count: &str| {
        format!(
            "(i32.store8 (i32.const 64) (i32.const 2))
             (i32.store (i32.const 88) {at}) (i32.store (i32.const 92) {count}) {YES}"
        )
    };
    let log =
        |level: &str, at: &str, bytes: &str| format!("(call $log {level} {at} {bytes}) {YES}");
    let (zero, far) = ("(i32.const 0)", "(i32.const -4)");
    vec![
        book(
            "an answer at an odd address",
            "(i32.const 65)",
            Ends::Fails("align"),
        ),
        book(
            "an answer behind the memory",
            "(i32.const 65532)",
            Ends::Fails(""),
        ),
        book(
            "an answer at the last address",
            "(i32.const -4)",
            Ends::Fails(""),
        ),
        book(
            "a decision that is none",
            "(i32.store8 (i32.const 64) (i32.const 255)) (i32.const 64)",
            Ends::Fails("discriminant"),
        ),
        book(
            "a code behind the memory",
            &reject("(i32.const 65535)", "(i32.const 2)", zero, zero),
            Ends::Fails(""),
        ),
        book(
            "a reason of four gigabytes",
            &reject(zero, "(i32.const 2)", zero, "(i32.const -1)"),
            Ends::Fails(""),
        ),
        book(
            "an address that wraps around",
            &reject(far, "(i32.const 8)", zero, zero),
            Ends::Fails(""),
        ),
        book(
            "a code that is no text",
            &format!(
                "(i32.store16 (i32.const 128) (i32.const 0xfeff)) {}",
                reject("(i32.const 128)", "(i32.const 2)", zero, zero)
            ),
            Ends::Fails("utf-8"),
        ),
        book(
            "prices whose size wraps around",
            &adjust(zero, "(i32.const 0x40000001)"),
            Ends::Fails(""),
        ),
        book(
            "prices at an odd address",
            &adjust("(i32.const 1)", "(i32.const 1)"),
            Ends::Fails("align"),
        ),
        book(
            "four billion prices",
            &adjust(zero, "(i32.const -1)"),
            Ends::Fails(""),
        ),
        book(
            "no price for a line",
            &adjust(zero, zero),
            Ends::Fails("0 prices"),
        ),
        book(
            "prices that are neither there nor not",
            &format!(
                "(i32.store8 (i32.const 64) (i32.const 2)) (i32.store8 (i32.const 68) (i32.const 7)) {YES}"
            ),
            Ends::Fails("discriminant"),
        ),
        book(
            "four billion claims",
            &claim(zero, "(i32.const -1)"),
            Ends::Fails(""),
        ),
        book(
            "claims whose size wraps around",
            &claim(zero, "(i32.const 0x10000001)"),
            Ends::Fails(""),
        ),
        book(
            "claims at an odd address",
            &claim("(i32.const 1)", "(i32.const 1)"),
            Ends::Fails("align"),
        ),
        book(
            "a claim whose key is behind the memory",
            &format!(
                "(i32.store (i32.const 1024) (i32.const 65535)) (i32.store (i32.const 1028) (i32.const 2)) {}",
                claim("(i32.const 1024)", "(i32.const 1)")
            ),
            Ends::Fails(""),
        ),
        book(
            "a claim whose key is no text",
            &format!(
                "(i32.store16 (i32.const 2048) (i32.const 0xfeff))
                 (i32.store (i32.const 1024) (i32.const 2048)) (i32.store (i32.const 1028) (i32.const 2)) {}",
                claim("(i32.const 1024)", "(i32.const 1)")
            ),
            Ends::Fails("utf-8"),
        ),
        book(
            "a claim without a key",
            &claim("(i32.const 1024)", "(i32.const 1)"),
            Ends::Fails("key"),
        ),
        book(
            "a log level that is none",
            &log("(i32.const 200)", zero, "(i32.const 2)"),
            Ends::Fails(""),
        ),
        book(
            "a log line behind the memory",
            &log(zero, "(i32.const 65535)", "(i32.const 2)"),
            Ends::Fails(""),
        ),
        book(
            "a log line of four gigabytes",
            &log(zero, zero, "(i32.const -1)"),
            Ends::Fails(""),
        ),
        book(
            "a log line that is no text",
            &format!(
                "(i32.store8 (i32.const 128) (i32.const 255)) {}",
                log(zero, "(i32.const 128)", "(i32.const 1)")
            ),
            Ends::Fails("utf-8"),
        ),
    ]
}

/// Where what is asked is put.
fn allocated() -> Vec<Hostile> {
    let realloc =
        |name, to: &str, ends| (name, Component::edited(YES, "", "", &[(REALLOC, to)]), ends);
    vec![
        realloc(
            "a realloc that answers odd addresses",
            "(i32.add (local.get $at) (i32.const 1))))",
            Ends::Fails("align"),
        ),
        realloc(
            "a realloc that answers far addresses",
            "(i32.const -65536)))",
            Ends::Fails(""),
        ),
        realloc(
            "a realloc that answers always the same",
            "(i32.const 4096)))",
            Ends::Works,
        ),
        realloc(
            "a realloc that traps",
            "unreachable))",
            Ends::Fails("unreachable"),
        ),
        realloc(
            "a realloc that never ends",
            "(loop $again (br $again)) unreachable))",
            Ends::Fails("fuel"),
        ),
        realloc(
            "a realloc that calls itself",
            r#"(call 0 (local.get 0) (local.get 1) (local.get 2) (local.get 3))))"#,
            Ends::Fails("stack"),
        ),
    ]
}
