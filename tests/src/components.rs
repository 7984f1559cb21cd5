//! Plugins for tests, written as WebAssembly text: each does one thing, well-behaved or hostile.

/// Components as bytes.
pub struct Component;

/// Where answers are put together; the text constants lie before it.
const ANSWER: &str = "(i32.const 64)";

impl Component {
    /// A policy whose functions have these bodies: `$request` points at request and configuration, the answer is a pointer
    /// to the decision. `(call $log (level) (pointer) (bytes))` logs.
    ///
    /// # Panics
    /// When that is no WebAssembly.
    pub fn policy(book: &str, cancel: &str) -> Vec<u8> {
        Self::policy_with(book, cancel, "", "", "")
    }

    /// Says yes to everything.
    pub fn accepting() -> Vec<u8> {
        Self::policy(ANSWER, ANSWER)
    }

    /// Says no to everything, with code `no` and reason `No.`, to cancellations as well.
    pub fn rejecting() -> Vec<u8> {
        Self::policy(REJECT, REJECT)
    }

    /// Says no to what would give a customer more than this many tickets of an event.
    pub fn at_most(tickets: u32) -> Vec<u8> {
        let book = format!(
            "(if (result i32) (i32.gt_u (i32.add (i32.load offset=112 (local.get $request))
                (i32.load offset=8 (i32.load offset=96 (local.get $request)))) (i32.const {tickets}))
              (then {REJECT}) (else {ANSWER}))"
        );
        Self::policy(&book, ANSWER)
    }

    /// Sells a ticket at this price.
    pub fn priced(price_minor: u32) -> Vec<u8> {
        let book = format!("{}{ANSWER}", adjust(&format!("(i32.const {price_minor})")));
        Self::policy(&book, ANSWER)
    }

    /// Sells a ticket at a price of one more than the policy before.
    pub fn raising() -> Vec<u8> {
        let price = "(i32.add (i32.const 1) (i32.load offset=12 (i32.load offset=96 (local.get $request))))";
        Self::policy(&format!("{}{ANSWER}", adjust(price)), ANSWER)
    }

    /// Sells at the price of how often this instance was asked before, and one.
    pub fn counting() -> Vec<u8> {
        let count =
            "(i32.store (i32.const 512) (i32.add (i32.const 1) (i32.load (i32.const 512))))";
        let book = format!("{count}{}{ANSWER}", adjust("(i32.load (i32.const 512))"));
        Self::policy(&book, ANSWER)
    }

    /// Traps.
    pub fn trapping() -> Vec<u8> {
        Self::policy("unreachable", "unreachable")
    }

    /// Traps over bookings of this many tickets or more, and says yes to all else.
    pub fn trapping_from(tickets: u32) -> Vec<u8> {
        let book = format!(
            "(if (i32.ge_u (i32.load offset=8 (i32.load offset=96 (local.get $request))) (i32.const {tickets}))
              (then unreachable)) {ANSWER}"
        );
        Self::policy(&book, ANSWER)
    }

    /// Says yes to bookings, and traps over cancellations.
    pub fn trapping_at_cancellations() -> Vec<u8> {
        Self::policy(ANSWER, "unreachable")
    }

    /// Answers two prices for every line.
    pub fn miscounting() -> Vec<u8> {
        let book = format!(
            "{}(i32.store (i32.const 76) (i32.const 2)){ANSWER}",
            adjust("(i32.const 0)")
        );
        Self::policy(&book, ANSWER)
    }

    /// Leaves the price of the only line as it is, and says `No.` about it; or `no`.
    pub fn telling(is_loud: bool) -> Vec<u8> {
        Self::policy(&Self::telling_book(is_loud), ANSWER)
    }

    /// The same with a text of three bytes in place of `No.`.
    pub fn telling_text(text: &str) -> Vec<u8> {
        Self::with_text(&Self::telling_book(true), text)
    }

    /// Says no to every booking, with code `no` and a reason of three bytes.
    pub fn rejecting_text(text: &str) -> Vec<u8> {
        Self::with_text(REJECT, text)
    }

    fn with_text(book: &str, text: &str) -> Vec<u8> {
        assert_eq!(text.len(), 3, "it stands where `No.` stood");
        let escaped: String = text.bytes().map(|byte| format!("\\{byte:02x}")).collect();
        let data = format!("\"no{escaped}\"");
        Self::edited(book, "", "", &[("\"noNo.\"", &data)])
    }

    fn telling_book(is_loud: bool) -> String {
        let price = "(i32.load offset=12 (i32.load offset=96 (local.get $request)))";
        let (at, bytes) = if is_loud { (2, 3) } else { (0, 2) };
        format!(
            "{}(i32.store (i32.const 112) (i32.const {at})) (i32.store (i32.const 116) (i32.const {bytes}))
             (i32.store (i32.const 80) (i32.const 112)) (i32.store (i32.const 84) (i32.const 1))
             {ANSWER}",
            adjust(price)
        )
    }

    /// Says yes at the prices that there are, and takes this of a counter, this often.
    pub fn claiming(key: &str, limit: u32, amount: u32, times: u32) -> Vec<u8> {
        let mut book = String::new();
        for (index, byte) in key.bytes().enumerate() {
            let at = 60_000 + index;
            book += &format!("(i32.store8 (i32.const {at}) (i32.const {byte}))");
        }
        for at in (0..times).map(|index| 1024 + 16 * index) {
            book += &format!(
                "(i32.store (i32.const {at}) (i32.const 60000))
                 (i32.store offset=4 (i32.const {at}) (i32.const {}))
                 (i32.store offset=8 (i32.const {at}) (i32.const {limit}))
                 (i32.store offset=12 (i32.const {at}) (i32.const {amount}))",
                key.len()
            );
        }
        book += &claims(times);
        Self::policy(&format!("{book}{ANSWER}"), ANSWER)
    }

    /// Takes one of so many uses of the first code that was typed; without a code it says yes.
    pub fn claiming_codes(uses: u32) -> Vec<u8> {
        let book = format!(
            "(local $code i32)
             (if (i32.load offset=192 (local.get $request)) (then
               (local.set $code (i32.load offset=188 (local.get $request)))
               (i32.store (i32.const 1024) (i32.load (local.get $code)))
               (i32.store (i32.const 1028) (i32.load offset=4 (local.get $code)))
               (i32.store (i32.const 1032) (i32.const {uses})) (i32.store (i32.const 1036) (i32.const 1))
               {}))
             {ANSWER}",
            claims(1)
        );
        Self::policy(&book, ANSWER)
    }

    /// Never ends.
    pub fn looping() -> Vec<u8> {
        Self::policy("(loop $again (br $again)) unreachable", "unreachable")
    }

    /// Loops this often, and says yes.
    pub fn working(rounds: u32) -> Vec<u8> {
        let book = format!(
            "(local $left i32) (local.set $left (i32.const {rounds}))
             (loop $again (local.set $left (i32.sub (local.get $left) (i32.const 1))) (br_if $again (local.get $left)))
             {ANSWER}"
        );
        Self::policy(&book, ANSWER)
    }

    /// Calls itself this often, each time with a frame of its own, and says yes.
    pub fn recursing(depth: u32) -> Vec<u8> {
        let book = format!("(drop (call $deep (i32.const {depth}))) {ANSWER}");
        let more = "(func $deep (param $left i32) (result i32)
            (if (result i32) (local.get $left)
              (then (i32.add (i32.const 1) (call $deep (i32.sub (local.get $left) (i32.const 1)))))
              (else (i32.const 0))))";
        Self::policy_with(&book, ANSWER, more, "", "")
    }

    /// Takes this many pages of memory of 64 KiB more, or traps.
    pub fn growing(pages: u32) -> Vec<u8> {
        let book = format!(
            "(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable)) {ANSWER}"
        );
        Self::policy(&book, ANSWER)
    }

    /// Gives a reason of this many letters.
    pub fn saying(bytes: u32) -> Vec<u8> {
        let book = format!(
            "(drop (memory.grow (i32.const {})))
             (memory.fill (i32.const 65536) (i32.const 97) (i32.const {bytes}))
             (i32.store8 (i32.const 64) (i32.const 1))
             (i32.store (i32.const 68) (i32.const 0)) (i32.store (i32.const 72) (i32.const 2))
             (i32.store (i32.const 76) (i32.const 65536)) (i32.store (i32.const 80) (i32.const {bytes}))
             {ANSWER}",
            bytes / 65_536 + 1
        );
        Self::policy(&book, ANSWER)
    }

    /// Logs a line of this many letters, this often, and says yes.
    pub fn logging(bytes: u32, times: u32) -> Vec<u8> {
        let book = format!(
            "(local $left i32) (local.set $left (i32.const {times}))
             (drop (memory.grow (i32.const {})))
             (memory.fill (i32.const 65536) (i32.const 97) (i32.const {bytes}))
             (loop $again
               (call $log (i32.const 1) (i32.const 65536) (i32.const {bytes}))
               (local.set $left (i32.sub (local.get $left) (i32.const 1)))
               (br_if $again (local.get $left)))
             {ANSWER}",
            bytes / 65_536 + 1
        );
        Self::policy(&book, ANSWER)
    }

    /// Never comes to be: its start function loops.
    pub fn starting_forever() -> Vec<u8> {
        let more = "(func $forever (loop $again (br $again))) (start $forever)";
        Self::policy_with(ANSWER, ANSWER, more, "", "")
    }

    /// Says yes, and has this many functions besides.
    pub fn with_functions(count: usize) -> Vec<u8> {
        let more: String = (0..count)
            .map(|index| {
                format!(
                    "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {index})))\n"
                )
            })
            .collect();
        Self::policy_with(ANSWER, ANSWER, &more, "", "")
    }

    /// Traps if there is an environment; sells at the price of its randomness (below 251) and the seconds of its clock.
    pub fn looking_around() -> Vec<u8> {
        let imports = r#"
          (import "wasi:cli/environment@0.2.0" (instance $environment
            (export "get-environment" (func (result (list (tuple string string)))))))
          (import "wasi:random/random@0.2.0" (instance $random (export "get-random-u64" (func (result u64)))))
          (import "wasi:clocks/wall-clock@0.2.0" (instance $clock
            (type $moment (record (field "seconds" u64) (field "nanoseconds" u32)))
            (export "datetime" (type $datetime (eq $moment)))
            (export "now" (func (result $datetime)))))
          (core func $environment-core (canon lower (func $environment "get-environment") (memory $memory) (realloc $realloc)))
          (core func $random-core (canon lower (func $random "get-random-u64")))
          (core func $clock-core (canon lower (func $clock "now") (memory $memory)))
          (core instance $wasi (export "environment" (func $environment-core))
            (export "random" (func $random-core)) (export "clock" (func $clock-core)))"#;
        let core_imports = r#"
          (import "wasi" "environment" (func $environment (param i32)))
          (import "wasi" "random" (func $random (result i64)))
          (import "wasi" "clock" (func $clock (param i32)))"#;
        let price = "(i32.add (i32.wrap_i64 (i64.rem_u (call $random) (i64.const 251)))
            (i32.wrap_i64 (i64.load (i32.const 256))))";
        let book = format!(
            "(call $environment (i32.const 320))
             (if (i32.load (i32.const 324)) (then unreachable))
             (call $clock (i32.const 256))
             {}{ANSWER}",
            adjust(price)
        );
        Self::policy_with(
            &book,
            ANSWER,
            core_imports,
            imports,
            "(with \"wasi\" (instance $wasi))",
        )
    }

    /// A component that imports this interface of one function, which no plugin gets.
    pub fn importing(interface: &str) -> Vec<u8> {
        let text = format!(
            "(component (import \"{interface}\" (instance (export \"open\" (func (param \"path\" string))))))"
        );
        parsed(&text)
    }

    /// The policy that says yes, and imports a function `open` of this interface that is not there.
    pub fn policy_importing(interface: &str) -> Vec<u8> {
        let outer = format!(
            "(import \"{interface}\" (instance (export \"open\" (func (param \"path\" string)))))"
        );
        Self::policy_with(ANSWER, ANSWER, "", &outer, "")
    }

    /// A component of another world: it exports one function of its own.
    pub fn of_another_world() -> Vec<u8> {
        parsed(
            r#"(component
              (core module $m (func (export "run")))
              (core instance $i (instantiate $m))
              (func $run (canon lift (core func $i "run")))
              (export "run" (func $run)))"#,
        )
    }

    /// The policy that says yes, under another version of the contract.
    pub fn of_version(version: &str) -> Vec<u8> {
        parsed(&policy_text(ANSWER, ANSWER, "", "", "").replace("@0.2.0", &format!("@{version}")))
    }

    /// The policy that says yes, without the function for cancellations.
    pub fn without_cancellations() -> Vec<u8> {
        let text = policy_text(ANSWER, ANSWER, "", "", "");
        parsed(&text.replace("(export \"validate-cancellation\" (func $cancel))", ""))
    }

    /// A core module.
    pub fn core_module() -> Vec<u8> {
        parsed("(module (func (export \"validate-booking\")))")
    }

    /// The text of a policy with this body, more definitions in its core module and around it; `edits` are replaced in it.
    ///
    /// # Panics
    /// When that is no WebAssembly, or there is nothing to replace.
    pub fn edited(book: &str, core: &str, outer: &str, edits: &[(&str, &str)]) -> Vec<u8> {
        let mut text = policy_text(book, ANSWER, core, outer, "");
        for (from, to) in edits {
            assert!(text.contains(from), "nothing to replace: {from}");
            text = text.replace(from, to);
        }
        parsed(&text)
    }

    fn policy_with(book: &str, cancel: &str, core: &str, outer: &str, with: &str) -> Vec<u8> {
        parsed(&policy_text(book, cancel, core, outer, with))
    }
}

/// A rejection, code `no` and reason `No.`.
const REJECT: &str = "(block (result i32)
  (i32.store8 (i32.const 64) (i32.const 1))
  (i32.store (i32.const 68) (i32.const 0)) (i32.store (i32.const 72) (i32.const 2))
  (i32.store (i32.const 76) (i32.const 2)) (i32.store (i32.const 80) (i32.const 3))
  (i32.const 64))";

/// Writes an adjustment of the first line's price.
fn adjust(price: &str) -> String {
    format!(
        "(i32.store (i32.const 96) {price})
         (i32.store8 (i32.const 64) (i32.const 2)) (i32.store8 (i32.const 68) (i32.const 1))
         (i32.store (i32.const 72) (i32.const 96)) (i32.store (i32.const 76) (i32.const 1))"
    )
}

/// Writes an adjustment that leaves the prices, with this many claims at 1024.
fn claims(count: u32) -> String {
    format!(
        "(i32.store8 (i32.const 64) (i32.const 2))
         (i32.store (i32.const 88) (i32.const 1024)) (i32.store (i32.const 92) (i32.const {count}))"
    )
}

fn parsed(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn policy_text(book: &str, cancel: &str, core: &str, outer: &str, with: &str) -> String {
    // Functions that the core module imports stand before what it defines.
    let (imports, definitions) = match core.contains("(import ") {
        true => (core, ""),
        false => ("", core),
    };
    format!(
        r#"(component
  (type $types-type (instance
    (type $text (option string))
    (type $texts (list string))
    (type $entry-record (record (field "key" string) (field "value" string)))
    (export "metadata-entry" (type $entry (eq $entry-record)))
    (type $metadata (list $entry))
    (type $ticket-type-record (record (field "id" string) (field "name" string) (field "price-minor" u32)
      (field "metadata" $metadata)))
    (export "ticket-type" (type $ticket-type (eq $ticket-type-record)))
    (type $ticket-types (list $ticket-type))
    (type $event-record (record (field "id" string) (field "version" u32) (field "title" string)
      (field "starts-at" string) (field "ends-at" $text) (field "time-zone" string) (field "location" $text)
      (field "currency" string) (field "ticket-types" $ticket-types) (field "reference" $text)
      (field "metadata" $metadata)))
    (export "event" (type (eq $event-record)))
    (type $line-record (record (field "ticket-type" string) (field "quantity" u32) (field "unit-price-minor" u32)))
    (export "line" (type (eq $line-record)))
    (type $customer-record (record (field "pseudonym" string) (field "tickets-in-event" u32) (field "email" $text)
      (field "name" $text)))
    (export "customer" (type (eq $customer-record)))
    (type $value-variant (variant (case "text" string) (case "number" f64) (case "choice" string)
      (case "choices" $texts) (case "yes-no" bool) (case "date" string)))
    (export "answer-value" (type $value (eq $value-variant)))
    (type $answer-record (record (field "question" string) (field "value" $value)))
    (export "answer" (type $answer (eq $answer-record)))
    (type $answers (list $answer))
    (type $attendee-record (record (field "ticket" u32) (field "ticket-type" string) (field "answers" $answers)
      (field "email" $text) (field "name" $text)))
    (export "attendee" (type $attendee (eq $attendee-record)))
    (type $attendees (list $attendee))
    (type $details-record (record (field "reference" $text) (field "metadata" $metadata) (field "codes" $texts)
      (field "answers" $answers) (field "attendees" $attendees)))
    (export "booking-details" (type (eq $details-record)))
    (type $kind-enum (enum "user" "api-key" "platform"))
    (export "seller-kind" (type $kind (eq $kind-enum)))
    (type $seller-record (record (field "kind" $kind) (field "id" $text)))
    (export "seller" (type (eq $seller-record)))
    (type $moment-record (record (field "utc" string) (field "local" string)))
    (export "moment" (type (eq $moment-record)))))
  (import "boxoffice:plugin/types@0.2.0" (instance $types (type $types-type)))
  (type $host-type (instance
    (type (;0;) (enum "debug" "info" "warn" "error"))
    (export (;1;) "log-level" (type (eq 0)))
    (type (;2;) (func (param "level" 1) (param "message" string)))
    (export "log" (func (type 2)))))
  (import "boxoffice:plugin/host@0.2.0" (instance $host (type $host-type)))
  (alias export $types "event" (type $event))
  (alias export $types "line" (type $line))
  (alias export $types "customer" (type $customer))
  (alias export $types "moment" (type $moment))
  (alias export $types "booking-details" (type $details))
  (alias export $types "seller" (type $seller))
  (core module $memory-module
    (memory (export "memory") 1)
    (data (i32.const 0) "noNo.")
    (global $next (mut i32) (i32.const 4096))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (block $done (loop $grow
        (br_if $done (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))
        (br $grow)))
      (local.get $at)))
  (core instance $memory-instance (instantiate $memory-module))
  (alias core export $memory-instance "memory" (core memory $memory))
  (alias core export $memory-instance "realloc" (core func $realloc))
  (core func $log (canon lower (func $host "log") (memory $memory)))
  (core instance $host-core (export "log" (func $log)))
  {outer}
  (core module $m
    (import "env" "memory" (memory 1))
    (import "host" "log" (func $log (param i32 i32 i32)))
    {imports}
    {definitions}
    (func (export "book") (param $request i32) (result i32) {book})
    (func (export "cancel") (param $request i32) (result i32) {cancel}))
  (core instance $i (instantiate $m
    (with "env" (instance $memory-instance)) (with "host" (instance $host-core)) {with}))
  (type $lines (list $line))
  (type $any-seller (option $seller))
  (type $request (record (field "event" $event) (field "lines" $lines) (field "customer" $customer)
    (field "channel" string) (field "seller" $any-seller) (field "details" $details) (field "now" $moment)))
  (type $cancellation (record (field "event" $event) (field "booking" string) (field "booked-at" string)
    (field "lines" $lines) (field "customer" $customer) (field "details" $details) (field "now" $moment)))
  (type $rejection (record (field "code" string) (field "reason" string)))
  (type $prices (list u32))
  (type $any-prices (option $prices))
  (type $messages (list string))
  (type $claim (record (field "key" string) (field "limit" u32) (field "amount" u32)))
  (type $claims (list $claim))
  (type $adjustment (record (field "unit-prices-minor" $any-prices) (field "messages" $messages)
    (field "claims" $claims)))
  (type $decision (variant (case "accept") (case "reject" $rejection) (case "adjust" $adjustment)))
  (type $cancellation-decision (variant (case "accept") (case "reject" $rejection)))
  (type $book-type (func (param "request" $request) (param "config" string) (result $decision)))
  (type $cancel-type (func (param "request" $cancellation) (param "config" string) (result $cancellation-decision)))
  (func $book (type $book-type) (canon lift (core func $i "book") (memory $memory) (realloc $realloc)))
  (func $cancel (type $cancel-type) (canon lift (core func $i "cancel") (memory $memory) (realloc $realloc)))
  (instance $exported
    (export "booking-request" (type $request))
    (export "cancellation-request" (type $cancellation))
    (export "rejection" (type $rejection))
    (export "claim" (type $claim))
    (export "adjustment" (type $adjustment))
    (export "decision" (type $decision))
    (export "cancellation-decision" (type $cancellation-decision))
    (export "validate-booking" (func $book))
    (export "validate-cancellation" (func $cancel)))
  (export "boxoffice:plugin/booking-policy@0.2.0" (instance $exported)))"#
    )
}
