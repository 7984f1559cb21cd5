//! A source file as the rules see it: its tokens, imports and functions, found by `syn`. Unit tests and layer probes are no
//! part of the program.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::{
    Attribute, FnArg, Item, Signature, UseTree, Visibility,
    spanned::Spanned as _,
    visit::{self, Visit},
};

/// A file and what rules look at. A file that is not Rust has its text only.
#[derive(Default)]
pub(super) struct SourceFile {
    /// Its path from the root of the workspace, with `/`.
    pub(super) path: String,
    /// The text as it stands.
    pub(super) text: String,
    pub(super) tokens: Vec<Token>,
    /// What is imported or re-exported.
    pub(super) uses: Vec<PathAt>,
    pub(super) functions: Vec<Function>,
    /// Modules that are declared: line, name, whether they are public.
    pub(super) modules: Vec<(usize, String, bool)>,
}

/// A word, a sign or a literal.
pub(super) struct Token {
    pub(super) line: usize,
    pub(super) text: String,
    /// Whether it is part of the program: no unit test, no layer probe.
    pub(super) is_program: bool,
    is_use: bool,
}

/// A path, and the line that names it.
pub(super) struct PathAt {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
}

/// A function of the program.
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    /// Lines from its name to its end.
    pub(super) lines: usize,
    /// Without `self`.
    pub(super) parameters: usize,
}

impl SourceFile {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut file = Self {
            path: path.to_owned(),
            text: text.to_owned(),
            ..Self::default()
        };
        if !path.ends_with(".rs") {
            return file;
        }
        let parsed = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut found = Finder::default();
        // A file of unit tests is behind `#[cfg(test)] mod tests;` as a whole.
        let is_test =
            path.contains("/src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"));
        match is_test {
            true => found.left_out.push((0, usize::MAX)),
            false => found.visit_file(&parsed),
        }
        let tokens: TokenStream = text.parse().expect("it was parsed");
        flatten(tokens, &mut file.tokens);
        for token in &mut file.tokens {
            let is_in = |ranges: &[(usize, usize)]| {
                let mut ranges = ranges.iter();
                ranges.any(|(first, last)| (*first..=*last).contains(&token.line))
            };
            token.is_program = !is_in(&found.left_out);
            token.is_use = is_in(&found.use_lines);
        }
        file.uses = found.uses;
        file.functions = found.functions;
        file.modules = found.modules;
        file
    }

    /// Whether it is a Rust file below this folder.
    pub(super) fn is_in(&self, folder: &str) -> bool {
        self.path.ends_with(".rs") && self.path.starts_with(folder)
    }

    /// The lines of the program in which this sequence of tokens begins.
    pub(super) fn lines_with(&self, sequence: &[&str]) -> Vec<usize> {
        self.places_of(sequence)
            .filter(|token| token.is_program)
            .map(|token| token.line)
            .collect()
    }

    /// The lines, of unit tests too, in which this sequence of tokens begins.
    pub(super) fn all_lines_with(&self, sequence: &[&str]) -> Vec<usize> {
        self.places_of(sequence).map(|token| token.line).collect()
    }

    fn places_of(&self, sequence: &[&str]) -> impl Iterator<Item = &Token> {
        let windows = self.tokens.windows(sequence.len());
        let found = windows.filter(move |tokens| {
            let mut pairs = tokens.iter().zip(sequence);
            pairs.all(|(token, text)| token.text == *text)
        });
        found.map(|tokens| &tokens[0])
    }

    /// Paths of two parts and more in the program, outside of imports.
    pub(super) fn paths(&self) -> Vec<PathAt> {
        let text = |index: usize| self.tokens.get(index).map_or("", |token| &token.text);
        let mut paths = Vec::new();
        let mut index = 0;
        while index < self.tokens.len() {
            let (first, token) = (index, &self.tokens[index]);
            index += 1;
            // A single colon is before a type: `x: crate::A`.
            let is_inside = match first {
                0 => false,
                1 => text(0) == "$",
                _ => text(first - 1) == "$" || (text(first - 1) == ":" && text(first - 2) == ":"),
            };
            // `pub(in crate::modules)` says who may call, not who is called.
            let is_visibility = first > 1 && text(first - 1) == "in" && text(first - 2) == "(";
            if !token.is_program || token.is_use || !is_word(&token.text) || is_inside {
                continue;
            }
            let mut path = vec![token.text.clone()];
            while text(index) == ":" && text(index + 1) == ":" && is_word(text(index + 2)) {
                path.push(text(index + 2).to_owned());
                index += 3;
            }
            if path.len() > 1 && !is_visibility {
                paths.push(PathAt {
                    line: token.line,
                    path,
                });
            }
        }
        paths
    }

    /// Paths that begin with `crate`, `super` or `self`, resolved to begin with `crate`: line and path.
    pub(super) fn crate_paths(&self) -> Vec<(usize, String)> {
        let here = self.module_path();
        let paths = self.paths();
        let all = self.uses.iter().chain(&paths);
        all.filter_map(|at| Some((at.line, resolved(&here, &at.path)?.join("::"))))
            .collect()
    }

    /// The module this file is, as a path from `crate`.
    pub(super) fn module_path(&self) -> Vec<String> {
        let inner = self
            .path
            .split_once("/src/")
            .map_or(self.path.as_str(), |(_, inner)| inner);
        let parts = inner.trim_end_matches(".rs").split('/');
        let parts = parts.filter(|part| !["mod", "lib", "main"].contains(part));
        std::iter::once("crate")
            .chain(parts)
            .map(str::to_owned)
            .collect()
    }
}

/// A path from `crate`, with `super` and `self` followed; `None` for one that begins with another word.
pub(super) fn resolved(here: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut at: Vec<String> = here.to_vec();
    if !matches!(path.first()?.as_str(), "crate" | "super" | "self") {
        return None;
    }
    for part in path {
        match part.as_str() {
            "crate" => at = vec!["crate".to_owned()],
            "self" => {}
            "super" => drop(at.pop()),
            other => at.push(other.to_owned()),
        }
    }
    Some(at)
}

fn is_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && text.chars().all(|one| one.is_alphanumeric() || one == '_')
}

fn flatten(tokens: TokenStream, into: &mut Vec<Token>) {
    let add = |span: Span, text: String, into: &mut Vec<Token>| {
        into.push(Token {
            line: span.start().line,
            text,
            is_program: true,
            is_use: false,
        });
    };
    for tree in tokens {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    proc_macro2::Delimiter::Parenthesis => ("(", ")"),
                    proc_macro2::Delimiter::Brace => ("{", "}"),
                    proc_macro2::Delimiter::Bracket => ("[", "]"),
                    proc_macro2::Delimiter::None => ("", ""),
                };
                add(group.span_open(), open.to_owned(), into);
                flatten(group.stream(), into);
                add(group.span_close(), close.to_owned(), into);
            }
            other => add(other.span(), other.to_string(), into),
        }
    }
}

/// Walks over a file.
#[derive(Default)]
struct Finder {
    uses: Vec<PathAt>,
    functions: Vec<Function>,
    modules: Vec<(usize, String, bool)>,
    /// First and last line of what is no part of the program.
    left_out: Vec<(usize, usize)>,
    use_lines: Vec<(usize, usize)>,
}

impl Finder {
    fn function(&mut self, signature: &Signature, end: Span) {
        let line = signature.fn_token.span.start().line;
        let inputs = signature.inputs.iter();
        self.functions.push(Function {
            name: signature.ident.to_string(),
            line,
            lines: end.end().line + 1 - line,
            parameters: inputs
                .filter(|input| matches!(input, FnArg::Typed(_)))
                .count(),
        });
    }

    fn leaves(&mut self, tree: &UseTree, way: &[String]) {
        let with = |name: &syn::Ident| [way, &[name.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.leaves(&path.tree, &with(&path.ident)),
            UseTree::Name(syn::UseName { ident })
            | UseTree::Rename(syn::UseRename { ident, .. }) => {
                let path = with(ident);
                let line = ident.span().start().line;
                self.uses.push(PathAt { line, path });
            }
            UseTree::Glob(glob) => {
                let line = glob.span().start().line;
                let path = [way, &["*".to_owned()]].concat();
                self.uses.push(PathAt { line, path });
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.leaves(tree, way));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_item(&mut self, item: &'ast Item) {
        match is_left_out(attributes(item)) {
            true => self.left_out.push(lines_of(item.span())),
            false => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_lines.push(lines_of(item.span()));
        self.leaves(&item.tree, &[]);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let is_public = !matches!(item.vis, Visibility::Inherited);
        let line = item.mod_token.span.start().line;
        self.modules.push((line, item.ident.to_string(), is_public));
        visit::visit_item_mod(self, item);
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.sig, item.block.span());
        visit::visit_item_fn(self, item);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.sig, item.block.span());
        visit::visit_impl_item_fn(self, item);
    }
}

fn lines_of(span: Span) -> (usize, usize) {
    (span.start().line, span.end().line)
}

/// Whether something is a unit test or a layer probe.
fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let is_cfg = attribute.path().is_ident("cfg");
        let condition = attribute
            .meta
            .require_list()
            .map(|list| list.tokens.to_string());
        is_cfg
            && condition
                .is_ok_and(|condition| condition == "test" || condition.contains("layer_probe"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
