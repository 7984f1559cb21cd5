//! Proposals that are not here, and what WASI has: nothing behind it.

use boxoffice_tests::Component;

use super::{Ends, Hostile};

const YES: &str = "(i32.const 64)";

pub(super) fn all() -> Vec<Hostile> {
    [proposals(), wasi()].concat()
}

fn proposals() -> Vec<Hostile> {
    let core = |name, core: &str, ends| (name, Component::edited(YES, core, "", &[]), ends);
    let outer = |name, outer: &str, ends| (name, Component::edited(YES, "", outer, &[]), ends);
    vec![
        core(
            "objects of the collector",
            "(type $pair (struct (field i32) (field i32))) (func (drop (struct.new_default $pair)))",
            Ends::Refused(""),
        ),
        core(
            "arrays of the collector",
            "(type $bytes (array (mut i8))) (func (drop (array.new_default $bytes (i32.const 1000000000))))",
            Ends::Refused(""),
        ),
        core(
            "recursive types",
            "(rec (type $a (struct (field (ref null $b)))) (type $b (struct (field (ref null $a)))))",
            Ends::Refused(""),
        ),
        core(
            "exceptions",
            "(tag $fault (param i32)) (func (throw $fault (i32.const 1)))",
            Ends::Refused(""),
        ),
        core(
            "exceptions that are caught",
            "(tag $fault) (func (block $caught (try_table (catch_all $caught) (throw $fault))))",
            Ends::Refused(""),
        ),
        core(
            "typed references",
            "(type $f (func)) (func $go (param (ref $f)) (call_ref $f (local.get 0)))",
            Ends::Works,
        ),
        core("shared memory", "(memory 1 1 shared)", Ends::Refused("")),
        core("memories of 64 bits", "(memory $large i64 1)", Ends::Works),
        core(
            "tail calls for ever",
            "(func $forever (return_call $forever)) (start $forever)",
            Ends::Fails("fuel"),
        ),
        core(
            "wide arithmetic",
            "(func (param i64) (result i64 i64) (i64.mul_wide_u (local.get 0) (local.get 0)))",
            Ends::Refused(""),
        ),
        core(
            "vectors that are relaxed",
            "(func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0)))",
            Ends::Works,
        ),
        core(
            "a page of one byte",
            "(memory 1 (pagesize 1))",
            Ends::Refused(""),
        ),
        outer(
            "a resource with a destructor",
            r#"(core module $d (func (export "drop") (param i32) unreachable)) (core instance $dropping (instantiate $d))
            (type $thing (resource (rep i32) (dtor (func $dropping "drop"))))"#,
            Ends::Works,
        ),
        outer(
            "futures",
            "(type $later (future string))",
            Ends::Refused(""),
        ),
        outer("streams", "(type $stream (stream u8))", Ends::Refused("")),
        outer(
            "error contexts",
            r#"(core func $e (canon error-context.drop))"#,
            Ends::Refused(""),
        ),
        outer(
            "waitables",
            r#"(core func $w (canon waitable-set.new))"#,
            Ends::Refused(""),
        ),
        outer(
            "threads",
            r#"(core type $start (func (param i32))) (core func $spawn (canon thread.available_parallelism))"#,
            Ends::Refused(""),
        ),
        outer(
            "lists of a fixed length",
            "(type $four (list u8 4))",
            Ends::Refused(""),
        ),
        outer(
            "values at the start",
            r#"(import "value" (value $v string))"#,
            Ends::Refused(""),
        ),
        outer(
            "a module that is imported",
            r#"(import "code" (core module))"#,
            Ends::Refused("`code`"),
        ),
        outer(
            "a component that is imported",
            r#"(import "more" (component))"#,
            Ends::Refused("`more`"),
        ),
        outer(
            "a function that is imported",
            r#"(import "open" (func (param "path" string)))"#,
            Ends::Refused("`open`"),
        ),
        outer(
            "another host of ours",
            r#"(import "boxoffice:plugin/booking-policy@0.2.0" (instance $back))"#,
            Ends::Refused("booking-policy"),
        ),
    ]
}

fn wasi() -> Vec<Hostile> {
    let asks = |name,
                interface: &str,
                function: &str,
                types: &str,
                lowered: &str,
                params: &str,
                call: &str,
                ends| {
        let outer = format!(
            r#"(import "{interface}" (instance $wasi (export "{function}" (func {types}))))
               (core func $low (canon lower (func $wasi "{function}") {lowered}))
               (core instance $wasi-core (export "ask" (func $low)))"#
        );
        let import = format!(r#"(import "wasi" "ask" (func $ask {params}))"#);
        let book = format!("{call} {YES}");
        let edit = (
            r#"(with "host" (instance $host-core))"#,
            r#"(with "host" (instance $host-core)) (with "wasi" (instance $wasi-core))"#,
        );
        (
            name,
            Component::edited(&book, &import, &outer, &[edit]),
            ends,
        )
    };
    let memory = "(memory $memory) (realloc $realloc)";
    vec![
        asks(
            "more randomness than there is memory",
            "wasi:random/random@0.2.0",
            "get-random-bytes",
            r#"(param "len" u64) (result (list u8))"#,
            memory,
            "(param i64 i32)",
            "(call $ask (i64.const 0x7fffffffffff) (i32.const 256))",
            Ends::Fails(""),
        ),
        asks(
            "a gigabyte of randomness",
            "wasi:random/insecure@0.2.0",
            "get-insecure-random-bytes",
            r#"(param "len" u64) (result (list u8))"#,
            memory,
            "(param i64 i32)",
            "(call $ask (i64.const 0x40000000) (i32.const 256))",
            Ends::Fails(""),
        ),
        asks(
            "the end of the process",
            "wasi:cli/exit@0.2.0",
            "exit",
            r#"(param "status" (result))"#,
            "",
            "(param i32)",
            "(call $ask (i32.const 1))",
            Ends::Fails(""),
        ),
        asks(
            "the arguments of the process",
            "wasi:cli/environment@0.2.0",
            "get-arguments",
            "(result (list string))",
            memory,
            "(param i32)",
            "(call $ask (i32.const 256)) (if (i32.load (i32.const 260)) (then unreachable))",
            Ends::Works,
        ),
        asks(
            "the folder of the process",
            "wasi:cli/environment@0.2.0",
            "initial-cwd",
            "(result (option string))",
            memory,
            "(param i32)",
            "(call $ask (i32.const 256)) (if (i32.load8_u (i32.const 256)) (then unreachable))",
            Ends::Works,
        ),
        asks(
            "a function that wasi has not",
            "wasi:random/random@0.2.0",
            "get-luck",
            "(result u64)",
            "",
            "(result i64)",
            "(drop (call $ask))",
            Ends::Refused("get-luck"),
        ),
        asks(
            "a function of wasi of another type",
            "wasi:random/random@0.2.0",
            "get-random-u64",
            "(result string)",
            memory,
            "(param i32)",
            "(call $ask (i32.const 256))",
            Ends::Refused("get-random-u64"),
        ),
        asks(
            "requests to elsewhere",
            "wasi:http/types@0.2.0",
            "http-error-code",
            "(result u64)",
            "",
            "(result i64)",
            "(drop (call $ask))",
            Ends::Refused("wasi:http"),
        ),
        asks(
            "a key-value store",
            "wasi:keyvalue/store@0.2.0",
            "open",
            "(result u64)",
            "",
            "(result i64)",
            "(drop (call $ask))",
            Ends::Refused("wasi:keyvalue"),
        ),
        asks(
            "wasi of tomorrow",
            "wasi:random/random@0.3.0",
            "get-random-u64",
            "(result u64)",
            "",
            "(result i64)",
            "(drop (call $ask))",
            Ends::Refused("only WASI 0.2"),
        ),
    ]
}
