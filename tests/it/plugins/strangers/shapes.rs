//! Shapes: nesting, and many of everything. What no cap stops is malformed, or harmless.

use boxoffice_tests::Component;

use super::{
    Ends, Hostile,
    bytes::{COMPONENT, MODULE, leb, many, of, section, sleb, text},
};

pub(super) fn all() -> Vec<Hostile> {
    let good = Component::accepting();
    let with = |more: &[Vec<u8>]| [good.clone(), more.concat()].concat();
    let empty = || section(4, COMPONENT);
    let module = |sections: &[Vec<u8>]| section(1, &of(MODULE, sections));
    let string = || vec![0x73];
    // A record's type index comes after those of the good component; any will do where only the shape matters.
    let alias_of_type = |_| vec![0x03, 0x02, 0, 0];
    vec![
        (
            "twenty thousand components nested",
            nested_bomb(),
            Ends::Refused("nesting"),
        ),
        (
            "seventeen components nested",
            with(&[nested(17)]),
            Ends::Refused("nesting"),
        ),
        ("ten components nested", with(&[nested(10)]), Ends::Works),
        (
            "components side by side",
            with(&vec![empty(); 501]),
            Ends::Refused("components"),
        ),
        (
            "modules side by side",
            with(&vec![module(&[]); 501]),
            Ends::Refused("core modules"),
        ),
        (
            "instances with many imports",
            core_instances(900, 20_000),
            Ends::Refused("names to check"),
        ),
        (
            "instances with many exports",
            component_instances(60, 15_000),
            Ends::Refused("exports of one component"),
        ),
        (
            "instances with some exports",
            component_instances(600, 1_000),
            Ends::Refused("names to check"),
        ),
        (
            "instances of instances",
            instance_bomb(5, 10),
            Ends::Refused("instances"),
        ),
        (
            "instances of instances by doubling",
            instance_bomb(14, 2),
            Ends::Refused("instances"),
        ),
        (
            "two hundred thousand aliases",
            with(&[section(6, &many(200_000, alias_of_type))]),
            Ends::Refused("aliases"),
        ),
        (
            "thirty thousand types",
            with(&[section(
                7,
                &many(30_000, |_| [vec![0x70], string()].concat()),
            )]),
            Ends::Refused("types"),
        ),
        (
            "a list of lists of lists",
            with(&[section(7, &lists(5_000))]),
            Ends::Refused(""),
        ),
        (
            "a tuple of tuples by doubling",
            with(&[section(7, &tuples(40))]),
            Ends::Refused("type size"),
        ),
        (
            "a record of many fields",
            with(&[section(7, &many(1, |_| fields(0x72, 100_000)))]),
            Ends::Refused(""),
        ),
        (
            "a variant of many cases",
            with(&[section(7, &many(1, |_| cases(100_000)))]),
            Ends::Refused(""),
        ),
        (
            "an enum of many words",
            with(&[section(7, &many(1, |_| words(0x6d, 300_000)))]),
            Ends::Refused(""),
        ),
        (
            "flags beyond thirty two",
            with(&[section(7, &many(1, |_| words(0x6e, 33)))]),
            Ends::Refused("32"),
        ),
        (
            "three thousand imports",
            of(COMPONENT, &[imports(3_000)]),
            Ends::Refused("imports and exports"),
        ),
        (
            "a name of ninety thousand letters",
            with(&[export_of_type(&"a".repeat(90_000))]),
            Ends::Refused("name"),
        ),
        (
            "a name that is no name",
            with(&[export_of_type("UPPER and spaces")]),
            Ends::Refused(""),
        ),
        (
            "two exports of one name",
            with(&[export_of_type("same"), export_of_type("same")]),
            Ends::Refused(""),
        ),
        (
            "seven hundred thousand sections",
            with(&vec![[&[0, 2, 1][..], b"x"].concat(); 700_000]),
            Ends::Works,
        ),
        (
            "a section beyond the end",
            with(&[vec![0, 0xff, 0xff, 0xff, 0xff, 0x0f]]),
            Ends::Refused("too early"),
        ),
        (
            "four billion aliases",
            with(&[section(6, &[0xff, 0xff, 0xff, 0xff, 0x0f])]),
            Ends::Refused("aliases"),
        ),
        (
            "a number that never ends",
            with(&[section(6, &[0x80; 64])]),
            Ends::Refused("malformed"),
        ),
        (
            "a section that is not known",
            with(&[section(200, &[1, 2, 3])]),
            Ends::Refused("malformed"),
        ),
        (
            "a component of tomorrow",
            [b"\0asm\x0e\0\x01\0", &good[8..]].concat(),
            Ends::Refused("version"),
        ),
        (
            "a gzip of it",
            [&[0x1f, 0x8b, 8, 0][..], &good].concat(),
            Ends::Refused("not WebAssembly"),
        ),
        (
            "letters behind the end",
            with(&[b"and so on".to_vec()]),
            Ends::Refused(""),
        ),
        (
            "an outer alias to nowhere",
            with(&[section(
                6,
                &many(1, |_| {
                    [vec![0x03, 0x02], leb(4_000_000_000), leb(7)].concat()
                }),
            )]),
            Ends::Refused(""),
        ),
        (
            "many globals",
            with(&[module(&[section(
                6,
                &many(60_000, |_| vec![0x7f, 0, 0x41, 0, 0x0b]),
            )])]),
            Ends::Refused("globals"),
        ),
        (
            "many exports of a module",
            with(&[module(&[exported_globals(60_000)])]),
            Ends::Refused("exports"),
        ),
        (
            "many canonical functions",
            with(&[section(8, &many(20_000, |_| vec![0x03, 0]))]),
            Ends::Refused("canonical functions"),
        ),
    ]
}

/// Twenty thousand empty components in each other.
pub(in crate::plugins) fn nested_bomb() -> Vec<u8> {
    [Component::accepting(), nested(20_000)].concat()
}

fn nested(depth: usize) -> Vec<u8> {
    // Written from the inside out and backwards: each level is the head of a section, and a component's beginning.
    let mut backwards: Vec<u8> = Vec::new();
    for _ in 0..depth {
        backwards.extend(COMPONENT.iter().rev());
        let length = leb(backwards.len());
        backwards.extend(length.iter().rev());
        backwards.push(4);
    }
    backwards.reverse();
    backwards
}

/// So many instances of a module with so many imports, all from one instance that exports them.
fn core_instances(count: usize, names: usize) -> Vec<u8> {
    let import = |index: usize| [text(""), text(&index.to_string()), vec![0x03, 0x7f, 0]].concat();
    let module = of(MODULE, &[section(2, &many(names, import))]);
    let instances = many(count, |_| {
        [vec![0, 0], many(1, |_| [text(""), vec![0x12, 0]].concat())].concat()
    });
    of(COMPONENT, &[section(1, &module), section(2, &instances)])
}

/// So many instances of a component with so many exports.
fn component_instances(count: usize, names: usize) -> Vec<u8> {
    let inner = of(
        COMPONENT,
        &[
            section(7, &many(1, |_| vec![0x70, 0x73])),
            section(
                11,
                &many(names, |index| {
                    [vec![0], text(&format!("n{index}")), vec![0x03, 0, 0]].concat()
                }),
            ),
        ],
    );
    of(
        COMPONENT,
        &[
            section(4, &inner),
            section(5, &many(count, |_| vec![0, 0, 0])),
        ],
    )
}

/// Components of which each makes `fan` instances of the one before.
fn instance_bomb(levels: usize, fan: usize) -> Vec<u8> {
    let mut sections = vec![section(4, COMPONENT)];
    for level in 0..levels {
        let inner = of(
            COMPONENT,
            &[
                section(6, &many(1, |_| [vec![0x04, 0x02, 1], leb(level)].concat())),
                section(5, &many(fan, |_| vec![0, 0, 0])),
            ],
        );
        sections.push(section(4, &inner));
    }
    sections.push(section(
        5,
        &many(1, |_| [vec![0], leb(levels), vec![0]].concat()),
    ));
    of(COMPONENT, &sections)
}

/// Each a list of the one before.
fn lists(depth: usize) -> Vec<u8> {
    many(depth, |index| match index {
        0 => vec![0x70, 0x73],
        _ => [vec![0x70], sleb(TYPES_OF_GOOD + index as i64 - 1)].concat(),
    })
}

/// Each a tuple of the one before, twice.
fn tuples(depth: usize) -> Vec<u8> {
    many(depth, |index| {
        let inner = match index {
            0 => vec![0x73],
            _ => sleb(TYPES_OF_GOOD + index as i64 - 1),
        };
        [vec![0x6f], many(2, |_| inner.clone())].concat()
    })
}

/// Types that the good component has: those of a section behind it come after them.
const TYPES_OF_GOOD: i64 = 23;

fn fields(kind: u8, count: usize) -> Vec<u8> {
    let field = |index: usize| [text(&format!("f{index}")), vec![0x73]].concat();
    [vec![kind], many(count, field)].concat()
}

fn cases(count: usize) -> Vec<u8> {
    let case = |index: usize| [text(&format!("c{index}")), vec![0, 0]].concat();
    [vec![0x71], many(count, case)].concat()
}

fn words(kind: u8, count: usize) -> Vec<u8> {
    [vec![kind], many(count, |index| text(&format!("w{index}")))].concat()
}

fn imports(count: usize) -> Vec<u8> {
    let import = |index: usize| [vec![0], text(&format!("i{index}")), vec![0x03, 1]].concat();
    section(10, &many(count, import))
}

fn export_of_type(name: &str) -> Vec<u8> {
    section(
        11,
        &many(1, |_| [vec![0], text(name), vec![0x03, 0, 0]].concat()),
    )
}

fn exported_globals(count: usize) -> Vec<u8> {
    let export = |index: usize| [text(&index.to_string()), vec![0x03, 0]].concat();
    section(7, &many(count, export))
}
