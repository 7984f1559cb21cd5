//! Goal: what of the crates is public changes only on purpose: `docs/public-api.txt` lists it, and says the same.
//!
//! Method: the sources are parsed, re-exports are followed from each `lib.rs`, and what a platform can name is written
//! down, a line each. `BOXOFFICE_UPDATE_API=1` writes the list anew. What macros make is listed as their invocation.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use boxoffice_tests::workspace_root;
use quote::ToTokens;
use syn::{ImplItem, Item, ItemImpl, TraitItem, UseTree, Visibility};

const LIST: &str = "docs/public-api.txt";

#[test]
fn what_is_public_is_what_the_list_says() {
    let mut lines = BTreeSet::new();
    for (name, folder) in [
        ("boxoffice_engine", "engine"),
        ("boxoffice_host", "host"),
        ("boxoffice_nats", "nats"),
    ] {
        let made = Crate::read(&workspace_root().join(folder).join("src"));
        made.list(name, &[], &mut lines, &mut BTreeSet::new());
    }
    assert!(
        lines.contains("boxoffice_engine::app_modules::Bookings::book_tickets: async fn(&self, caller: &Caller, command: BookTickets) -> Result<Booking>"),
        "the best known use case is not found: {} lines",
        lines.len()
    );
    let made: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let path = workspace_root().join(LIST);
    if std::env::var_os("BOXOFFICE_UPDATE_API").is_some() {
        std::fs::write(&path, &made).expect("the list can be written");
    }
    let listed = std::fs::read_to_string(&path).unwrap_or_default();
    let listed: BTreeSet<String> = listed.lines().map(str::to_owned).collect();
    let new: Vec<_> = lines.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&lines).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "the public interface has changed. On purpose? Then write {LIST} anew (BOXOFFICE_UPDATE_API=1) and say it in CHANGELOG.md.\n\
         new: {new:#?}\ngone: {gone:#?}"
    );
}

/// A crate's modules by their path, and every implementation in it by the name of its type.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<Vec<String>, Vec<Item>>,
    implementations: BTreeMap<String, Vec<ItemImpl>>,
}

/// Names a module has that say where something stands.
type Names = BTreeSet<(Vec<String>, String)>;

impl Crate {
    fn read(source: &Path) -> Self {
        let mut made = Self::default();
        made.read_module(&source.join("lib.rs"), source.to_owned(), Vec::new());
        made
    }

    fn read_module(&mut self, file: &Path, folder: PathBuf, path: Vec<String>) {
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let parsed =
            syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        for item in &parsed.items {
            match item {
                Item::Mod(module) if module.content.is_none() && !is_conditional(&module.attrs) => {
                    let name = module.ident.to_string();
                    let inner = folder.join(&name);
                    let flat = folder.join(format!("{name}.rs"));
                    let file = if flat.exists() {
                        flat
                    } else {
                        inner.join("mod.rs")
                    };
                    let path = [path.clone(), vec![name]].concat();
                    self.read_module(&file, inner, path);
                }
                Item::Impl(implementation) => {
                    let of = last_name(&implementation.self_ty.to_token_stream().to_string());
                    let all = self.implementations.entry(of).or_default();
                    all.push(implementation.clone());
                }
                _ => {}
            }
        }
        self.modules.insert(path, parsed.items);
    }

    /// Lists what is public in the module at `path`, as seen under `shown`.
    fn list(&self, shown: &str, path: &[String], lines: &mut BTreeSet<String>, seen: &mut Names) {
        for item in &self.modules[path] {
            match item {
                Item::Mod(module) if is_public(&module.vis) => {
                    let name = module.ident.to_string();
                    let inner = [path.to_vec(), vec![name.clone()]].concat();
                    if self.modules.contains_key(&inner) {
                        self.list(&format!("{shown}::{name}"), &inner, lines, seen);
                    }
                }
                Item::Use(used) if is_public(&used.vis) => {
                    for leaf in leaves(&used.tree, Vec::new()) {
                        self.list_used(shown, path, &leaf, lines, seen);
                    }
                }
                _ => self.list_item(shown, item, lines),
            }
        }
    }

    fn list_used(
        &self,
        shown: &str,
        path: &[String],
        leaf: &[String],
        lines: &mut BTreeSet<String>,
        seen: &mut Names,
    ) {
        let Some((module, name)) = self.resolved(path, leaf) else {
            lines.insert(format!("{shown}::{}: of another crate", leaf.join("::")));
            return;
        };
        if name == "*" {
            lines.insert(format!("{shown}::*: all of {}", module.join("::")));
            return;
        }
        for item in &self.modules[&module] {
            match item {
                Item::Use(used) => {
                    let leaves = leaves(&used.tree, Vec::new());
                    let through = leaves.iter().filter(|leaf| leaf.last() == Some(&name));
                    for leaf in through {
                        if seen.insert((module.clone(), format!("{shown}::{}", leaf.join("::")))) {
                            self.list_used(shown, &module, leaf, lines, seen);
                        }
                    }
                }
                // A macro may make any name.
                Item::Macro(_) => self.list_item(shown, item, lines),
                item if name_of(item).as_ref() == Some(&name) => self.list_item(shown, item, lines),
                _ => {}
            }
        }
    }

    /// Where a path leads that is used in a module: to a module of this crate and a name in it.
    fn resolved(&self, path: &[String], leaf: &[String]) -> Option<(Vec<String>, String)> {
        let (name, way) = leaf.split_last()?;
        let mut at = path.to_vec();
        for (index, step) in way.iter().enumerate() {
            match step.as_str() {
                "crate" => at = Vec::new(),
                "self" => {}
                "super" => drop(at.pop()),
                step => {
                    at.push(step.to_owned());
                    // From the crate's root, as in `use app_modules::LookupResult` of lib.rs.
                    if !self.modules.contains_key(&at) && index == 0 {
                        at = vec![step.to_owned()];
                    }
                }
            }
        }
        self.modules
            .contains_key(&at)
            .then(|| (at, name.to_owned()))
    }

    fn list_item(&self, shown: &str, item: &Item, lines: &mut BTreeSet<String>) {
        let mut add = |line: String| {
            lines.insert(format!("{shown}::{line}"));
        };
        match item {
            Item::Struct(made) if is_public(&made.vis) => {
                let name = &made.ident;
                add(format!("{name}: struct{}", tidy(&made.generics)));
                for field in made.fields.iter().filter(|field| is_public(&field.vis)) {
                    let of = field
                        .ident
                        .as_ref()
                        .map_or("0".to_owned(), ToString::to_string);
                    add(format!("{name}.{of}: {}", tidy(&field.ty)));
                }
                self.list_implementations(&name.to_string(), &mut add);
            }
            Item::Enum(made) if is_public(&made.vis) => {
                let name = &made.ident;
                add(format!("{name}: enum{}", tidy(&made.generics)));
                for variant in &made.variants {
                    let fields: Vec<_> = variant
                        .fields
                        .iter()
                        .map(|field| tidy(field_of(field)))
                        .collect();
                    let fields = if fields.is_empty() {
                        String::new()
                    } else {
                        format!("({})", fields.join(", "))
                    };
                    add(format!("{name}::{}{fields}: variant", variant.ident));
                }
                self.list_implementations(&name.to_string(), &mut add);
            }
            Item::Trait(made) if is_public(&made.vis) => {
                let name = &made.ident;
                let supertraits = tidy(&made.supertraits);
                add(format!("{name}: trait {supertraits}").trim_end().to_owned());
                for item in &made.items {
                    match item {
                        TraitItem::Fn(function) => {
                            let given = if function.default.is_some() {
                                " (has a default)"
                            } else {
                                ""
                            };
                            add(format!("{name}::{}{given}", signature(&function.sig)));
                        }
                        other => add(format!("{name}::{}", tidy(other))),
                    }
                }
            }
            Item::Fn(made) if is_public(&made.vis) => add(signature(&made.sig)),
            Item::Const(made) if is_public(&made.vis) => {
                add(format!("{}: const {}", made.ident, tidy(&made.ty)))
            }
            Item::Type(made) if is_public(&made.vis) => {
                add(format!("{}: type {}", made.ident, tidy(&made.ty)))
            }
            Item::Macro(made) if made.ident.is_none() => {
                let tokens: String = tidy(&made.mac.tokens)
                    .chars()
                    .filter(|c| *c != '#')
                    .take(2_000)
                    .collect();
                add(format!("{}!: {tokens}", tidy(&made.mac.path)));
            }
            _ => {}
        }
    }

    fn list_implementations(&self, name: &str, add: &mut impl FnMut(String)) {
        for made in self.implementations.get(name).into_iter().flatten() {
            if let Some((_, implemented, _)) = &made.trait_ {
                add(format!("{name}: impl {}", tidy(implemented)));
                continue;
            }
            for item in &made.items {
                match item {
                    ImplItem::Fn(function) if is_public(&function.vis) => {
                        add(format!("{name}::{}", signature(&function.sig)));
                    }
                    ImplItem::Const(constant) if is_public(&constant.vis) => {
                        add(format!(
                            "{name}::{}: const {}",
                            constant.ident,
                            tidy(&constant.ty)
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A name's type, with the name if it has one.
fn field_of(field: &syn::Field) -> impl ToTokens {
    let (name, of) = (&field.ident, &field.ty);
    match name {
        Some(name) => quote::quote!(#name: #of),
        None => quote::quote!(#of),
    }
}

fn signature(made: &syn::Signature) -> String {
    let is_async = if made.asyncness.is_some() {
        "async "
    } else {
        ""
    };
    let inputs: Vec<_> = made.inputs.iter().map(tidy).collect();
    format!(
        "{}: {is_async}fn{}({}){}",
        made.ident,
        tidy(&made.generics),
        inputs.join(", "),
        tidy(&made.output)
            .replacen("->", " -> ", 1)
            .replace("->  ", "-> ")
    )
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Struct(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Const(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

/// What a `use` names, each as a path; `*` for everything there.
fn leaves(tree: &UseTree, way: Vec<String>) -> Vec<Vec<String>> {
    let with = |name: String| [way.clone(), vec![name]].concat();
    match tree {
        UseTree::Path(path) => leaves(&path.tree, with(path.ident.to_string())),
        UseTree::Name(name) => vec![with(name.ident.to_string())],
        // Nothing public is renamed, and `as _` names nothing.
        UseTree::Rename(_) => Vec::new(),
        UseTree::Glob(_) => vec![with("*".to_owned())],
        UseTree::Group(group) => {
            let each = group.items.iter().map(|tree| leaves(tree, way.clone()));
            each.flatten().collect()
        }
    }
}

fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

/// Tests and layer probes, which no build of a platform has.
fn is_conditional(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let text = attribute.to_token_stream().to_string();
        attribute.path().is_ident("cfg") && (text.contains("test") || text.contains("layer_probe"))
    })
}

/// The name of a type without where it stands and what it is made for.
fn last_name(of: &str) -> String {
    let plain = of.split('<').next().unwrap_or_default();
    plain
        .rsplit("::")
        .next()
        .unwrap_or_default()
        .trim()
        .to_owned()
}

/// Tokens as people write them, near enough to be read.
fn tidy(tokens: impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    for (spaced, plain) in [
        (" :: ", "::"),
        (":: ", "::"),
        (" < ", "<"),
        (" > ", ">"),
        (" >", ">"),
        ("< ", "<"),
        (" ,", ","),
        (" :", ":"),
        ("& ", "&"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        ("[ ", "["),
        (" ]", "]"),
        (" ;", ";"),
        ("' ", "'"),
        ("! ", "!"),
    ] {
        text = text.replace(spaced, plain);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
