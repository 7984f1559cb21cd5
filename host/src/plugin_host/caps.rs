//! Limits on the structure of a component, counted in one pass before the validator reads it.
//!
//! The validator and the compiler need more than linear time for some structures: nested components, many instances of a module
//! with many imports, instances of instances. This pass reads each section once, and stops at
//! the first exceeded limit. Called by `inspect`. Calls wasmparser; runs nothing.

use std::collections::HashMap;

use boxoffice_engine::ports::PluginRefusal;
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentAliasSectionReader, ComponentExportSectionReader,
    ComponentExternalKind, ComponentImportSectionReader, ComponentInstance,
    ComponentInstanceSectionReader, ComponentOuterAliasKind, ComponentTypeRef, Instance,
    InstanceSectionReader, Parser, Payload,
};

/// Nesting of modules and components. Toolchains write two levels, compositions one more for each step.
const DEPTH_MAX: usize = 16;
/// Each count: its name, and its maximum over all nested components. The largest
/// component of a known toolchain (CPython, 18 MB) is below a tenth of most.
const COUNTS: [(&str, u64); 13] = [
    ("components", 500),
    ("core modules", 500),
    ("core instances", 2_000),
    ("component instances", 2_000),
    ("types", 20_000),
    ("aliases", 20_000),
    ("imports", 50_000),
    ("exports", 50_000),
    ("functions", 200_000),
    ("canonical functions", 10_000),
    ("data segments", 50_000),
    ("element segments", 50_000),
    ("globals, tables, memories and tags", 50_000),
];
/// Imports and exports of one component; one interface is one of them.
const COMPONENT_NAMES_MAX: u64 = 2_000;
/// Core instances times the imports and exports of the largest module: each instance is checked name by name.
const CORE_NAMES_CHECKED_MAX: u64 = 2_000_000;
/// The same for components, whose names cost more: types are compared as well.
const NAMES_CHECKED_MAX: u64 = 100_000;
/// All instances, with those of nested components multiplied. A host's pool has
/// room for 64 core instances.
const INSTANCES_MADE_MAX: u64 = 5_000;

#[derive(Clone, Copy)]
enum Count {
    Components,
    Modules,
    CoreInstances,
    Instances,
    Types,
    Aliases,
    Imports,
    Exports,
    Functions,
    Canonical,
    Data,
    Elements,
    Others,
}

/// Counts the parts of a component.
///
/// # Errors
/// The first exceeded limit, or that it cannot be parsed.
pub(super) fn check(bytes: &[u8]) -> Result<(), PluginRefusal> {
    let mut caps = Caps::default();
    for payload in Parser::new(0).parse_all(bytes) {
        caps.take(payload.map_err(|error| malformed(&error))?)?;
    }
    Ok(())
}

/// The error for a malformed file.
pub(super) fn malformed(error: &BinaryReaderError) -> PluginRefusal {
    let what = if error.message().contains("unexpected end") {
        "The file ends too early; was it uploaded whole?"
    } else {
        "The component is malformed."
    };
    PluginRefusal(format!(
        "{what} At byte {}: {}.",
        error.offset(),
        shown(error.message())
    ))
}

/// Most characters of an uploaded file's text that are shown.
const SHOWN_CHARACTERS_MAX: usize = 360;

/// A tenant's text: one line, truncated.
pub(super) fn shown(text: &str) -> String {
    text.lines()
        .next()
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control())
        .take(SHOWN_CHARACTERS_MAX)
        .collect()
}

#[derive(Default)]
struct Caps {
    counts: [u64; COUNTS.len()],
    /// The open modules and components at this position, the outermost first.
    open: Vec<Open>,
    module_names_max: u64,
    component_names_max: u64,
    /// The heaviest component so far, used for one that cannot be resolved.
    weight_max: u64,
}

/// A module or component that is being read.
#[derive(Default)]
struct Open {
    names: u64,
    /// Instances that one instance of it makes, itself included.
    weight: u64,
    /// The weights of the components that it can make instances of, by index.
    components: HashMap<u32, u64>,
    components_known: u32,
    is_component: bool,
}

impl Caps {
    fn take(&mut self, payload: Payload<'_>) -> Result<(), PluginRefusal> {
        match payload {
            Payload::Version { .. } if self.open.is_empty() => self.enter(true),
            Payload::ModuleSection { .. } => {
                self.add(Count::Modules, 1)?;
                self.enter(false)
            }
            Payload::ComponentSection { .. } => {
                self.add(Count::Components, 1)?;
                self.enter(true)
            }
            Payload::End(_) => self.leave(),
            Payload::ImportSection(section) => self.names(Count::Imports, section.count()),
            Payload::ExportSection(section) => self.names(Count::Exports, section.count()),
            Payload::ComponentImportSection(section) => self.component_imports(section),
            Payload::ComponentExportSection(section) => self.component_exports(section),
            Payload::InstanceSection(section) => self.core_instances(section),
            Payload::ComponentInstanceSection(section) => self.component_instances(section),
            Payload::ComponentAliasSection(section) => self.component_aliases(section),
            Payload::TypeSection(section) => self.add(Count::Types, section.count()),
            Payload::CoreTypeSection(section) => self.add(Count::Types, section.count()),
            Payload::ComponentTypeSection(section) => self.add(Count::Types, section.count()),
            Payload::ComponentCanonicalSection(section) => {
                self.add(Count::Canonical, section.count())
            }
            Payload::FunctionSection(section) => self.add(Count::Functions, section.count()),
            Payload::DataSection(section) => self.add(Count::Data, section.count()),
            Payload::ElementSection(section) => self.add(Count::Elements, section.count()),
            Payload::TableSection(section) => self.add(Count::Others, section.count()),
            Payload::MemorySection(section) => self.add(Count::Others, section.count()),
            Payload::GlobalSection(section) => self.add(Count::Others, section.count()),
            Payload::TagSection(section) => self.add(Count::Others, section.count()),
            _ => Ok(()),
        }
    }

    fn component_imports(
        &mut self,
        section: ComponentImportSectionReader<'_>,
    ) -> Result<(), PluginRefusal> {
        self.names(Count::Imports, section.count())?;
        for import in section {
            let import = import.map_err(|error| malformed(&error))?;
            if matches!(import.ty, ComponentTypeRef::Component(_)) {
                self.unknown_component();
            }
        }
        Ok(())
    }

    fn component_exports(
        &mut self,
        section: ComponentExportSectionReader<'_>,
    ) -> Result<(), PluginRefusal> {
        self.names(Count::Exports, section.count())?;
        for export in section {
            let export = export.map_err(|error| malformed(&error))?;
            if export.kind == ComponentExternalKind::Component {
                let weight = self.weight_of(0, export.index);
                self.define(weight);
            }
        }
        Ok(())
    }

    fn core_instances(&mut self, section: InstanceSectionReader<'_>) -> Result<(), PluginRefusal> {
        self.add(Count::CoreInstances, section.count())?;
        for instance in section {
            let instance = instance.map_err(|error| malformed(&error))?;
            if matches!(instance, Instance::Instantiate { .. }) {
                self.weigh(1)?;
            }
        }
        self.core_names_checked()
    }

    fn component_instances(
        &mut self,
        section: ComponentInstanceSectionReader<'_>,
    ) -> Result<(), PluginRefusal> {
        self.add(Count::Instances, section.count())?;
        for instance in section {
            let instance = instance.map_err(|error| malformed(&error))?;
            if let ComponentInstance::Instantiate {
                component_index, ..
            } = instance
            {
                self.weigh(self.weight_of(0, component_index))?;
            }
        }
        self.names_checked()
    }

    fn component_aliases(
        &mut self,
        section: ComponentAliasSectionReader<'_>,
    ) -> Result<(), PluginRefusal> {
        self.add(Count::Aliases, section.count())?;
        for alias in section {
            match alias.map_err(|error| malformed(&error))? {
                ComponentAlias::InstanceExport {
                    kind: ComponentExternalKind::Component,
                    ..
                } => self.unknown_component(),
                ComponentAlias::Outer {
                    kind: ComponentOuterAliasKind::Component,
                    count,
                    index,
                } => {
                    let weight = self.weight_of(count as usize, index);
                    self.define(weight);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn enter(&mut self, is_component: bool) -> Result<(), PluginRefusal> {
        self.open.push(Open {
            weight: 1,
            is_component,
            ..Open::default()
        });
        bounded(
            "levels of nesting",
            self.open.len() as u64 - 1,
            DEPTH_MAX as u64,
        )
    }

    fn leave(&mut self) -> Result<(), PluginRefusal> {
        let Some(closed) = self.open.pop() else {
            return Ok(());
        };
        if closed.is_component {
            self.component_names_max = self.component_names_max.max(closed.names);
            self.weight_max = self.weight_max.max(closed.weight);
            self.define(closed.weight);
        } else {
            self.module_names_max = self.module_names_max.max(closed.names);
        }
        self.core_names_checked()?;
        self.names_checked()
    }

    fn add(&mut self, count: Count, more: u32) -> Result<(), PluginRefusal> {
        let (name, most) = COUNTS[count as usize];
        let own = &mut self.counts[count as usize];
        *own += u64::from(more);
        bounded(name, *own, most)
    }

    fn names(&mut self, count: Count, more: u32) -> Result<(), PluginRefusal> {
        self.add(count, more)?;
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        open.names += u64::from(more);
        if open.is_component {
            return bounded(
                "imports and exports of one component",
                open.names,
                COMPONENT_NAMES_MAX,
            );
        }
        Ok(())
    }

    /// The weight of a component by its index, so many levels further out.
    fn weight_of(&self, levels: usize, index: u32) -> u64 {
        let open = self.open.iter().rev().nth(levels);
        let known = open.and_then(|open| open.components.get(&index)).copied();
        known.unwrap_or(self.weight_max.max(1))
    }

    fn unknown_component(&mut self) {
        let weight = self.weight_max.max(1);
        self.define(weight);
    }

    /// The innermost open component knows one more component.
    fn define(&mut self, weight: u64) {
        if let Some(open) = self.open.last_mut() {
            open.components.insert(open.components_known, weight);
            open.components_known += 1;
        }
    }

    fn weigh(&mut self, more: u64) -> Result<(), PluginRefusal> {
        let Some(open) = self.open.last_mut() else {
            return Ok(());
        };
        open.weight = open.weight.saturating_add(more);
        bounded(
            "instances, those that nested components make included",
            open.weight,
            INSTANCES_MADE_MAX,
        )
    }

    fn core_names_checked(&self) -> Result<(), PluginRefusal> {
        bounded(
            "names to check (core instances times the imports and exports of the largest module)",
            self.counts[Count::CoreInstances as usize].saturating_mul(self.module_names_max),
            CORE_NAMES_CHECKED_MAX,
        )
    }

    fn names_checked(&self) -> Result<(), PluginRefusal> {
        bounded(
            "names to check (component instances times the imports and exports of the largest nested component)",
            self.counts[Count::Instances as usize].saturating_mul(self.component_names_max),
            NAMES_CHECKED_MAX,
        )
    }
}

fn bounded(what: &str, count: u64, most: u64) -> Result<(), PluginRefusal> {
    if count <= most {
        return Ok(());
    }
    Err(PluginRefusal(format!(
        "The component has {count} or more {what}, and {most} are allowed."
    )))
}
