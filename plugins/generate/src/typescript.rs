//! The contract as TypeScript types: a module for each interface of the WIT, named as JavaScript imports it.
//!
//! Called by main. Shapes are those of componentize-qjs: `option` is `T | null`, a variant is an object with `tag` and `val`, and a
//! function with a `result` returns its `ok` or throws its `err`.

use std::{error::Error, fmt::Write as _, path::Path};

use wit_parser::{Docs, Function, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeOwner};

/// The first lines of the file.
const HEAD: &str = "// Made of boxoffice.wit by `cargo run -p generate` in plugins/: change that file, not this one.\n";

/// Writes the types of every interface of a package.
///
/// # Errors
/// What is wrong with the WIT, or what in it has no shape here yet.
pub(crate) fn types(wit: &Path) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut resolve = Resolve::default();
    let package = resolve.push_path(wit)?.0;
    let mut text = HEAD.to_owned();
    for interface in resolve.packages[package].interfaces.values() {
        module(&mut text, &resolve, *interface)?;
    }
    Ok(text.into_bytes())
}

fn module(text: &mut String, resolve: &Resolve, id: InterfaceId) -> Result<(), Box<dyn Error>> {
    let interface = &resolve.interfaces[id];
    let name = resolve.id_of(id).ok_or("an interface without a name")?;
    text.push('\n');
    docs(text, "", &interface.docs);
    writeln!(text, "declare module {name:?} {{")?;
    for (name, id) in &interface.types {
        let definition = &resolve.types[*id];
        docs(text, "  ", &definition.docs);
        declaration(text, resolve, &pascal(name), definition)?;
    }
    for function in interface.functions.values() {
        docs(text, "  ", &function.docs);
        writeln!(text, "  {}", signature(resolve, function)?)?;
    }
    text.push_str("}\n");
    Ok(())
}

fn declaration(
    text: &mut String,
    resolve: &Resolve,
    name: &str,
    definition: &TypeDef,
) -> Result<(), Box<dyn Error>> {
    match &definition.kind {
        TypeDefKind::Record(record) => {
            writeln!(text, "  export interface {name} {{")?;
            for field in &record.fields {
                docs(text, "    ", &field.docs);
                writeln!(text, "    {}: {};", camel(&field.name), shape(resolve, &field.ty)?)?;
            }
            text.push_str("  }\n");
        }
        TypeDefKind::Variant(variant) => {
            writeln!(text, "  export type {name} =")?;
            for case in &variant.cases {
                docs(text, "    ", &case.docs);
                let value = match &case.ty {
                    Some(value) => format!("; val: {}", shape(resolve, value)?),
                    None => String::new(),
                };
                writeln!(text, "    | {{ tag: {:?}{value} }}", case.name)?;
            }
            end_with_semicolon(text);
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<String> = cases.cases.iter().map(|case| format!("{:?}", case.name)).collect();
            writeln!(text, "  export type {name} = {};", cases.join(" | "))?;
        }
        TypeDefKind::Type(Type::Id(id)) => {
            let TypeOwner::Interface(owner) = resolve.types[*id].owner else {
                return Err(format!("{name}: only types of interfaces are used").into());
            };
            let module = resolve.id_of(owner).ok_or("an interface without a name")?;
            let there = pascal(resolve.types[*id].name.as_deref().unwrap_or_default());
            writeln!(text, "  export type {name} = import({module:?}).{there};")?;
        }
        other => return Err(format!("{name}: no shape for a {} yet", other.as_str()).into()),
    }
    Ok(())
}

fn signature(resolve: &Resolve, function: &Function) -> Result<String, Box<dyn Error>> {
    let mut parameters = Vec::new();
    for parameter in &function.params {
        parameters.push(format!("{}: {}", camel(&parameter.name), shape(resolve, &parameter.ty)?));
    }
    let result = match &function.result {
        None => "void".to_owned(),
        Some(result) => returned(resolve, result)?,
    };
    let (name, parameters) = (camel(&function.name), parameters.join(", "));
    Ok(format!("export function {name}({parameters}): {result};"))
}

/// What a function returns: the `ok` of a `result`, whose `err` it throws.
fn returned(resolve: &Resolve, result: &Type) -> Result<String, Box<dyn Error>> {
    if let Type::Id(id) = result
        && let TypeDefKind::Result(result) = &resolve.types[*id].kind
    {
        return match &result.ok {
            Some(ok) => shape(resolve, ok),
            None => Ok("void".to_owned()),
        };
    }
    shape(resolve, result)
}

fn shape(resolve: &Resolve, of: &Type) -> Result<String, Box<dyn Error>> {
    Ok(match of {
        Type::Bool => "boolean".to_owned(),
        Type::U8 | Type::U16 | Type::U32 | Type::S8 | Type::S16 | Type::S32 | Type::F32 | Type::F64 => {
            "number".to_owned()
        }
        Type::String | Type::Char => "string".to_owned(),
        Type::Id(id) => match (&resolve.types[*id].name, &resolve.types[*id].kind) {
            (Some(name), _) => pascal(name),
            (None, TypeDefKind::List(item)) => format!("Array<{}>", shape(resolve, item)?),
            (None, TypeDefKind::Option(value)) => format!("{} | null", shape(resolve, value)?),
            (None, other) => return Err(format!("no shape for a {} yet", other.as_str()).into()),
        },
        // One JavaScript engine has a BigInt for 64 bits, another a number: the contract has none.
        Type::U64 | Type::S64 | Type::ErrorContext => return Err(format!("no shape for {of:?}").into()),
    })
}

fn docs(text: &mut String, indent: &str, docs: &Docs) {
    let Some(contents) = &docs.contents else {
        return;
    };
    let lines: Vec<&str> = contents.trim().lines().collect();
    match lines[..] {
        [line] => text.push_str(&format!("{indent}/** {line} */\n")),
        _ => {
            text.push_str(&format!("{indent}/**\n"));
            for line in lines {
                text.push_str(format!("{indent} * {line}").trim_end());
                text.push('\n');
            }
            text.push_str(&format!("{indent} */\n"));
        }
    }
}

fn end_with_semicolon(text: &mut String) {
    text.truncate(text.trim_end().len());
    text.push_str(";\n");
}

fn pascal(name: &str) -> String {
    let words = name.split('-').map(|word| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    words.collect()
}

fn camel(name: &str) -> String {
    let pascal = pascal(name);
    let mut letters = pascal.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(letters).collect()
}
