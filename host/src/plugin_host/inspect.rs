//! The checks of an upload before it is compiled: it must be a component for this WIT, with known imports only.
//!
//! `first_look` is called by the plugin host and reads eight bytes. `inspect` reads everything, after `caps`, and is called
//! in the compiling child. Calls wasmparser; runs nothing.

use boxoffice_engine::{PluginFacts, ports::PluginRefusal};
use boxoffice_wit::{PACKAGE, line_of};
use wasmparser::{Parser, Payload, Validator};

use super::caps::{self, shown};

/// Boxoffice's interfaces that a plugin may export.
const POLICY: &str = "booking-policy";
const TEMPLATE: &str = "notification-template";
/// Boxoffice's interfaces that it may import.
const OURS: [&str; 2] = ["host", "types"];
/// The supported packages of WASI 0.2, which give no access.
const WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];
/// Most names that are stored and shown; a component may have thousands.
const NAMES_MAX: usize = 200;
/// Longest stored name of an export or import. Those of the WIT and of WASI have about 60 bytes.
const NAME_BYTES_MAX: usize = 300;
/// The first bytes of components that this host supports.
const COMPONENT: [u8; 8] = *b"\0asm\x0d\0\x01\0";
/// The first bytes of core modules.
const MODULE: [u8; 8] = *b"\0asm\x01\0\0\0";

/// Checks the size and the first bytes of an upload.
///
/// # Errors
/// What is wrong, and what is expected.
pub(super) fn first_look(bytes: &[u8], bytes_max: usize) -> Result<(), PluginRefusal> {
    if bytes.len() > bytes_max {
        return refuse(format!(
            "The plugin has {} bytes, and {bytes_max} are allowed. Strip it (`strip = true`, `opt-level = \"s\"`), or \
             ask the operator for a larger limit.",
            bytes.len()
        ));
    }
    require_component(bytes)
}

/// Checks a whole component.
///
/// # Errors
/// What is wrong, with the export or import and the line of the WIT that it should match.
pub(super) fn inspect(bytes: &[u8]) -> Result<PluginFacts, PluginRefusal> {
    require_component(bytes)?;
    caps::check(bytes)?;
    Validator::new()
        .validate_all(bytes)
        .map_err(|error| caps::malformed(&error))?;
    let (imports, exports) = names(bytes)?;
    imports.iter().try_for_each(|name| check_import(name))?;
    let mut facts = PluginFacts {
        imports,
        ..PluginFacts::default()
    };
    for name in &exports {
        match ours(name)? {
            Some((POLICY, version)) => {
                facts.decides = true;
                facts.wit_version = version;
            }
            Some((TEMPLATE, version)) => {
                facts.words = true;
                facts.wit_version = version;
            }
            // Some toolchains add exports.
            _ => {}
        }
    }
    if !facts.decides && !facts.words {
        return Err(exports_nothing_of_ours(&exports));
    }
    facts.exports = exports;
    Ok(facts)
}

/// Adds the line of the WIT to a message about an export or import.
pub(super) fn with_wit_line(message: &str) -> String {
    let shown = shown(message);
    let functions = [
        (POLICY, "validate-booking"),
        (POLICY, "validate-cancellation"),
        (TEMPLATE, "render"),
        ("host", "log"),
    ];
    let line = functions
        .iter()
        .find(|(_, function)| message.contains(&format!("`{function}`")))
        .and_then(|(interface, function)| line_of(interface, Some(function)))
        .or_else(|| {
            [POLICY, TEMPLATE, "host", "types"]
                .iter()
                .find(|interface| message.contains(&format!("{PACKAGE}/{interface}@")))
                .and_then(|interface| line_of(interface, None))
        });
    match line {
        Some(line) => format!("{shown}\n  it should match {line}"),
        None => shown,
    }
}

fn require_component(bytes: &[u8]) -> Result<(), PluginRefusal> {
    if !bytes.starts_with(b"\0asm") {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(64)]);
        return refuse(if bytes.is_empty() {
            "The file is empty.".to_owned()
        } else if start.trim_start().starts_with("(component")
            || start.trim_start().starts_with("(module")
        {
            "This is WebAssembly text. Upload the binary form: `wasm-tools parse x.wat -o x.wasm`."
                .to_owned()
        } else {
            "This is not WebAssembly: a component begins with the bytes 00 61 73 6d.".to_owned()
        });
    }
    match bytes.first_chunk::<8>() {
        Some(&COMPONENT) => Ok(()),
        Some(&MODULE) => refuse(
            "This is a core module, not a component. Build it for `wasm32-wasip2`, or make a component of it: \
             `jco new core.wasm --wasi-reactor -o x.wasm`.",
        ),
        None => refuse("The file ends too early; was it uploaded whole?"),
        Some(_) => refuse("This is WebAssembly of an unknown version."),
    }
}

/// The names of the imports and exports of the component itself, without nested ones.
fn names(bytes: &[u8]) -> Result<(Vec<String>, Vec<String>), PluginRefusal> {
    let malformed = |error: wasmparser::BinaryReaderError| caps::malformed(&error);
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(kept_name(import.map_err(malformed)?.name.name)?);
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(kept_name(export.map_err(malformed)?.name.name)?);
                }
            }
            _ => {}
        }
        if imports.len() > NAMES_MAX || exports.len() > NAMES_MAX {
            return refuse(format!(
                "The component imports or exports more than {NAMES_MAX} things."
            ));
        }
    }
    Ok((imports, exports))
}

fn kept_name(name: &str) -> Result<String, PluginRefusal> {
    if name.len() > NAME_BYTES_MAX {
        return refuse(format!(
            "An import or export has a name of {} bytes, and {NAME_BYTES_MAX} are allowed: `{}…`.",
            name.len(),
            shown(name)
        ));
    }
    Ok(name.to_owned())
}

fn check_import(name: &str) -> Result<(), PluginRefusal> {
    if let Some((interface, _)) = ours(name)? {
        if OURS.contains(&interface) {
            return Ok(());
        }
        return refuse(format!(
            "The plugin imports `{}`, which is an export of plugins. A host offers {} only.",
            shown(name),
            line_text("host", None)
        ));
    }
    let wasi = name
        .strip_prefix("wasi:")
        .and_then(|rest| rest.split_once('/'));
    match wasi {
        Some((package, rest)) if WASI.contains(&package) => {
            let version = rest.split_once('@').map_or("", |(_, version)| version);
            if version.starts_with("0.2.") {
                Ok(())
            } else {
                refuse(format!(
                    "The plugin imports `{}`; only WASI 0.2 is supported.",
                    shown(name)
                ))
            }
        }
        _ => refuse(format!(
            "The plugin imports `{}`, which plugins cannot use. It may import WASI 0.2 (without any access) and {}.",
            shown(name),
            line_text("host", Some("log"))
        )),
    }
}

/// The interface and its version, if a name is of Boxoffice's package.
fn ours(name: &str) -> Result<Option<(&str, String)>, PluginRefusal> {
    let Some(rest) = name
        .strip_prefix(PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return Ok(None);
    };
    let here = boxoffice_wit::version();
    let Some((interface, version)) = rest.split_once('@') else {
        return refuse(format!(
            "`{}` has no version. Build against `package {PACKAGE}@{here};`.",
            shown(name)
        ));
    };
    let line = |version: &str| {
        let mut parts = version.split('.');
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
        Some((number(parts.next())?, number(parts.next())?))
    };
    if line(version) == line(here) {
        return Ok(Some((interface, version.to_owned())));
    }
    let what_to_do = if line(version) > line(here) {
        "Build it for this version, or ask the operator for a newer host."
    } else {
        "Build it again for this version: take the folder `wit`, and the library or the bindings beside it, from a new \
         project of `boxoffice plugin new`."
    };
    refuse(format!(
        "The plugin was built for version {} of the contract (`{}`), and this host speaks {here} \
         (`package {PACKAGE}@{here};`). {what_to_do}",
        shown(version),
        shown(name),
    ))
}

fn exports_nothing_of_ours(exports: &[String]) -> PluginRefusal {
    let found = if exports.is_empty() {
        "nothing".to_owned()
    } else {
        let names: Vec<String> = exports
            .iter()
            .take(5)
            .map(|name| format!("`{}`", shown(name)))
            .collect();
        names.join(", ")
    };
    PluginRefusal(format!(
        "The component is built for another world: it exports {found}. A plugin exports `{PACKAGE}/{POLICY}@{version}` \
         ({}) or `{PACKAGE}/{TEMPLATE}@{version}` ({}), or both.",
        line_text(POLICY, None),
        line_text(TEMPLATE, None),
        version = boxoffice_wit::version(),
    ))
}

fn line_text(interface: &str, item: Option<&str>) -> String {
    line_of(interface, item).map_or_else(String::new, |line| line.to_string())
}

fn refuse<T>(reason: impl Into<String>) -> Result<T, PluginRefusal> {
    Err(PluginRefusal(reason.into()))
}
