//! Bombs: little that becomes much, of data, tables, memory, instances and machine code.

use std::fmt::Write as _;

use boxoffice_tests::Component;

use super::{
    Ends, Hostile,
    bytes::{COMPONENT, MODULE, many, of, section},
};

const YES: &str = "(i32.const 64)";

pub(super) fn all() -> Vec<Hostile> {
    [data_and_elements(), room(), code()].concat()
}

fn data_and_elements() -> Vec<Hostile> {
    let core = |name, core: &str, ends| (name, Component::edited(YES, core, "", &[]), ends);
    let with = |more: &[Vec<u8>]| [Component::accepting(), more.concat()].concat();
    let module = |sections: &[Vec<u8>]| section(1, &of(MODULE, sections));
    vec![
        core(
            "two bytes far apart",
            r#"(memory $far 480) (data (memory $far) (i32.const 0) "a") (data (memory $far) (i32.const 31457000) "b")"#,
            Ends::Works,
        ),
        core("a byte on each page", &far_bytes(480), Ends::Works),
        core(
            "data behind the memory",
            r#"(data (i32.const 65536) "a")"#,
            Ends::Fails("memory"),
        ),
        core(
            "data at an address from outside",
            r#"(memory $own 1) (data (memory $own) (i32.const -1) "a")"#,
            Ends::Fails("memory"),
        ),
        (
            "a hundred thousand data segments",
            with(&[module(&[
                section(5, &many(1, |_| vec![0, 1])),
                section(11, &many(100_000, |_| vec![0, 0x41, 0, 0x0b, 0])),
            ])]),
            Ends::Refused("data segments"),
        ),
        (
            "sixty thousand element segments",
            with(&[module(&[
                section(4, &many(1, |_| vec![0x70, 0, 1])),
                section(9, &many(60_000, |_| vec![0, 0x41, 0, 0x0b, 0])),
            ])]),
            Ends::Refused("element segments"),
        ),
        core(
            "elements behind the table",
            "(table $t 1 funcref) (elem (table $t) (i32.const 5) func 0)",
            Ends::Fails("table"),
        ),
        core(
            "a thousand segments of a thousand elements",
            &elements(1_000, 1_000),
            Ends::Works,
        ),
        core(
            "a table of ten thousand elements",
            "(table 10000 funcref)",
            Ends::Works,
        ),
        core(
            "a table of 10,511 elements",
            "(table 10511 funcref)",
            Ends::Over("table"),
        ),
        core(
            "a table of four billion elements",
            "(table 4294967295 funcref)",
            Ends::Over("table"),
        ),
        core(
            "seventeen tables",
            &"(table 1 funcref)".repeat(17),
            Ends::Over("table"),
        ),
        core(
            "a hundred and one tables",
            &"(table 1 funcref)".repeat(101),
            Ends::Refused("tables"),
        ),
    ]
}

/// Instances and memory.
fn room() -> Vec<Hostile> {
    let core = |name, core: &str, ends| (name, Component::edited(YES, core, "", &[]), ends);
    let instances = |count: usize| {
        let outer = format!(
            "(core module $one) {}",
            "(core instance (instantiate $one))".repeat(count)
        );
        Component::edited(YES, "", &outer, &[])
    };
    vec![
        core("memory of 33 MiB", "(memory 528)", Ends::Over("memory")),
        core("memory of four GiB", "(memory 65536)", Ends::Over("memory")),
        core(
            "four memories",
            &"(memory 1)".repeat(3),
            Ends::Over("memor"),
        ),
        core(
            "two memories in a module",
            "(memory 1) (memory 1)",
            Ends::Over("memor"),
        ),
        core(
            "a hundred and one memories",
            &"(memory 1)".repeat(101),
            Ends::Refused("memories"),
        ),
        core(
            "three memories of 16 MiB",
            "(memory 256) (memory 256)",
            Ends::Over("memor"),
        ),
        ("sixty instances", instances(60), Ends::Works),
        (
            "sixty-six instances",
            instances(66),
            Ends::Over("instances"),
        ),
        (
            "three thousand instances",
            instances(3_000),
            Ends::Refused("core instances"),
        ),
        (
            "a module of many functions a hundred times",
            [
                Component::accepting(),
                vec![section(1, &functions(3_000)); 100].concat(),
            ]
            .concat(),
            Ends::Refused("functions"),
        ),
        (
            "a start that traps",
            Component::edited(YES, "(func $s unreachable) (start $s)", "", &[]),
            Ends::Fails("unreachable"),
        ),
        (
            "a start that recurses",
            Component::edited(YES, "(func $s (call $s)) (start $s)", "", &[]),
            Ends::Fails("stack"),
        ),
        (
            "a start that grows",
            Component::edited(
                YES,
                "(memory $m 1) (func $s (loop $again (br_if $again (i32.ne (memory.grow $m (i32.const 16)) (i32.const -1)))) unreachable) (start $s)",
                "",
                &[],
            ),
            Ends::Fails("memory"),
        ),
        (
            "a table that grows",
            Component::edited(
                YES,
                "(table $t 1 funcref) (func $s (loop $again (br_if $again (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable) (start $s)",
                "",
                &[],
            ),
            Ends::Fails(""),
        ),
        (
            "a component without anything",
            COMPONENT.to_vec(),
            Ends::Refused("another world"),
        ),
    ]
}

/// Code that takes the compiler many seconds, within all caps.
pub(in crate::plugins) fn code_bomb() -> Vec<u8> {
    Component::edited(YES, &alive(4_000).repeat(40), "", &[])
}

/// Machine code.
fn code() -> Vec<Hostile> {
    let core = |name, core: &str, ends| (name, Component::edited(YES, core, "", &[]), ends);
    vec![
        core(
            "fifty thousand locals",
            &format!("(func {})", "(local i64)".repeat(50_000)),
            Ends::Works,
        ),
        core(
            "sixty thousand locals",
            &format!("(func {})", "(local i64)".repeat(60_000)),
            Ends::Refused("locals"),
        ),
        core(
            "three thousand blocks nested",
            &format!("(func {} {})", "block ".repeat(3_000), "end ".repeat(3_000)),
            Ends::Works,
        ),
        core("a jump to many places", &jump(60_000), Ends::Works),
        core(
            "one function of three hundred kilobytes",
            &format!(
                "(func (result i32) (i32.const 1) {})",
                "(i32.const 3) i32.mul i32.popcnt ".repeat(60_000)
            ),
            Ends::Works,
        ),
        core("loops in loops", &loops(200), Ends::Works),
        core(
            "a function of many results",
            &format!("(func (result {}) unreachable)", "i32 ".repeat(1_001)),
            Ends::Refused(""),
        ),
        core(
            "calls through a table for ever",
            "(type $f (func)) (table $t 1 funcref) (elem (table $t) (i32.const 0) func $s) (func $s (call_indirect $t (type $f) (i32.const 0))) (start $s)",
            Ends::Fails("stack"),
        ),
        core("values that are all alive", &alive(4_000), Ends::Works),
    ]
}

/// A memory of so many pages with a byte on each.
fn far_bytes(pages: usize) -> String {
    let mut text = format!("(memory $far {pages})");
    for page in 0..pages {
        let _ = write!(
            text,
            r#"(data (memory $far) (i32.const {}) "a")"#,
            page * 65_536
        );
    }
    text
}

fn elements(segments: usize, count: usize) -> String {
    let segment = format!(
        "(elem (table $t) (i32.const 0) func {})",
        "0 ".repeat(count)
    );
    format!("(table $t {count} funcref) {}", segment.repeat(segments))
}

/// A module of so many functions.
fn functions(count: usize) -> Vec<u8> {
    of(
        MODULE,
        &[
            section(1, &many(1, |_| vec![0x60, 0, 0])),
            section(3, &many(count, |_| vec![0])),
            section(10, &many(count, |_| vec![2, 0, 0x0b])),
        ],
    )
}

fn jump(targets: usize) -> String {
    format!(
        "(func (param i32) (block $a (block $b (br_table {} (local.get 0)))))",
        "$a $b ".repeat(targets / 2)
    )
}

fn loops(depth: usize) -> String {
    let open = "(loop $l (br_if $l (local.get 0)) ".repeat(depth);
    format!("(func (param i32) {open}{})", ")".repeat(depth))
}

/// A function that holds so many values at once.
fn alive(values: usize) -> String {
    let mut text = "(func (param i32) (result i32) ".to_owned();
    for value in 0..values {
        let _ = write!(text, "(i32.rotl (local.get 0) (i32.const {value})) ");
    }
    text.push_str(&"i32.xor ".repeat(values - 1));
    text.push(')');
    text
}
