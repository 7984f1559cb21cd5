//! Goal: no import circles: a file can be read with those that it names, and they do not name it in turn.
//!
//! Method: the files of a crate are the nodes of a graph; imports and paths are its edges. Re-exports are followed to the
//! file that defines a name. A file may name the modules that it lies in: a module is split over its folder.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::source::{PathAt, SourceFile, resolved};

type Module = Vec<String>;

/// The files of one crate by their module.
struct Crate<'a> {
    files: BTreeMap<Module, &'a SourceFile>,
    /// What each module imports: the name it has there, and its path from `crate`.
    imports: BTreeMap<Module, Vec<(String, Module)>>,
}

impl<'a> Crate<'a> {
    fn new(files: impl Iterator<Item = &'a SourceFile>) -> Self {
        let files: BTreeMap<Module, &SourceFile> =
            files.map(|file| (file.module_path(), file)).collect();
        let mut made = Self {
            files,
            imports: BTreeMap::new(),
        };
        for (module, file) in &made.files {
            let imports = file.uses.iter().filter_map(|at| {
                let path = made.absolute(module, at)?;
                Some((path.last()?.clone(), path))
            });
            made.imports.insert(module.clone(), imports.collect());
        }
        made
    }

    /// A path from `crate`; `None` for one that leads to another crate.
    fn absolute(&self, module: &Module, at: &PathAt) -> Option<Module> {
        if let Some(path) = resolved(module, &at.path) {
            return Some(path);
        }
        let child = [module.as_slice(), &at.path[..1]].concat();
        let path = || [module.as_slice(), &at.path].concat();
        self.files.contains_key(&child).then(path)
    }

    /// The module that defines what a path from `crate` names. `seen` are imports that were followed.
    fn defined_in(&self, path: &Module, seen: &mut BTreeSet<Module>) -> Option<Module> {
        let count = (1..=path.len())
            .rev()
            .find(|count| self.files.contains_key(&path[..*count]))?;
        let (module, rest) = path.split_at(count);
        let Some(name) = rest.first().filter(|name| *name != "*") else {
            return Some(module.to_vec());
        };
        let imports = &self.imports[module];
        let named = imports.iter().filter(|(own, _)| own == name);
        for (_, target) in named {
            if seen.insert([module, std::slice::from_ref(name)].concat()) {
                return self.defined_in(&[target, &rest[1..]].concat(), seen);
            }
        }
        if !self.files[module].declares(name) {
            for (_, target) in imports.iter().filter(|(own, _)| own == "*") {
                let inner = [&target[..target.len() - 1], rest].concat();
                if let Some(found) = self.defined_in(&inner, seen)
                    && self.files[&found].declares(name)
                {
                    return Some(found);
                }
            }
        }
        Some(module.to_vec())
    }

    fn edges(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut edges: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (module, file) in &self.files {
            let imported = self.imports[module].iter().map(|(_, path)| path.clone());
            let named = file.paths();
            let named = named.iter().filter_map(|at| {
                // A path may begin with a module that is imported.
                let import = self.imports[module]
                    .iter()
                    .find(|(own, _)| *own == at.path[0]);
                match import {
                    Some((_, path)) => Some([path.as_slice(), &at.path[1..]].concat()),
                    None => self.absolute(module, at),
                }
            });
            for path in imported.chain(named) {
                let Some(target) = self.defined_in(&path, &mut BTreeSet::new()) else {
                    continue;
                };
                if !module.starts_with(&target) {
                    let targets = edges.entry(&file.path).or_default();
                    targets.insert(&self.files[&target].path);
                }
            }
        }
        edges
    }

    /// Each circle once, as the paths of its files; the shortest through each import.
    fn circles(&self) -> BTreeSet<Vec<&str>> {
        let edges = self.edges();
        let mut found = BTreeSet::new();
        for (from, targets) in &edges {
            for to in targets {
                if let Some(mut circle) = way(&edges, to, from) {
                    let (first, _) = (circle.iter().enumerate())
                        .min_by_key(|(_, path)| **path)
                        .expect("it has two files");
                    circle.rotate_left(first);
                    found.insert(circle);
                }
            }
        }
        found
    }
}

/// The shortest way between two files, both included.
fn way<'a>(
    edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    from: &'a str,
    to: &'a str,
) -> Option<Vec<&'a str>> {
    let mut before = BTreeMap::from([(from, from)]);
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        if at == to {
            let mut way = vec![to];
            while way[way.len() - 1] != from {
                way.push(before[way[way.len() - 1]]);
            }
            way.reverse();
            return Some(way);
        }
        for next in edges.get(at).into_iter().flatten() {
            if !before.contains_key(next) {
                before.insert(next, at);
                queue.push_back(next);
            }
        }
    }
    None
}

impl SourceFile {
    /// Whether the file defines an item of this name.
    fn declares(&self, name: &str) -> bool {
        const WORDS: [&str; 8] = [
            "struct", "enum", "trait", "fn", "type", "const", "static", "mod",
        ];
        let mut pairs = self.tokens.windows(2);
        pairs.any(|pair| WORDS.contains(&pair[0].text.as_str()) && pair[1].text == name)
    }
}

#[test]
fn no_file_imports_what_imports_it() {
    let files = super::workspace_files();
    let mut found = Vec::new();
    for folder in ["engine/src/", "host/src/", "nats/src/"] {
        let own = files.iter().filter(|file| file.is_in(folder));
        let made = Crate::new(own.filter(|file| file.tokens.iter().any(|one| one.is_program)));
        assert!(made.edges().len() > 5, "{folder} names nothing");
        found.extend(
            made.circles()
                .iter()
                .map(|circle| format!("{} -> {}", circle.join(" -> "), circle[0])),
        );
    }
    assert!(
        found.is_empty(),
        "{} import circles; move what both need to a leaf:\n{}",
        found.len(),
        found.join("\n")
    );
}

#[test]
fn a_circle_is_named_with_its_files() {
    let files = [
        (
            "engine/src/lib.rs",
            "pub use b::B;\nmod a;\nmod b;\nmod c;\n",
        ),
        // Through a re-export, and with a path instead of an import.
        (
            "engine/src/a/mod.rs",
            "use crate::B;\nmod d;\npub struct A;\n",
        ),
        (
            "engine/src/b.rs",
            "pub struct B;\nfn f() { crate::c::g() }\n",
        ),
        ("engine/src/c.rs", "use super::a::A;\npub fn g() {}\n"),
        // A part of its module may name it.
        ("engine/src/a/d.rs", "use super::A;\n"),
    ];
    let files = files.map(|(path, text)| SourceFile::new(path, text));
    let made = Crate::new(files.iter());
    let circle = ["engine/src/a/mod.rs", "engine/src/b.rs", "engine/src/c.rs"];
    assert_eq!(made.circles(), BTreeSet::from([circle.to_vec()]));
}
