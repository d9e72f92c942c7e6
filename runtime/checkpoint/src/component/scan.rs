//! What has to be known of a component before its modules are rewritten.

use crate::{Obstacle, Refused, meter};
use std::collections::BTreeSet;
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ComponentExternalKind,
    ComponentOuterAliasKind, ComponentTypeRef, ExternalKind, Instance, Parser, Payload, TypeRef,
};

/// Most core modules of a component that can be stopped.
const MAX_MODULES: u32 = 64;

/// A function that a core module exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Export {
    pub(super) module: u32,
    pub(super) name: String,
}

/// Who provides a core function.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Provider {
    Host,
    /// A module of the component, if it is known which.
    Guest(Option<Export>),
}

/// A core instance.
#[derive(Debug)]
enum CoreInstance {
    /// Of a module of the component.
    Module(u32),
    /// Made up of single functions, by name.
    Bag(Vec<(String, Provider)>),
}

/// How many numbers of each kind a component uses up.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) types: u32,
    pub(super) functions: u32,
    pub(super) modules: u32,
    pub(super) core_instances: u32,
    pub(super) core_functions: u32,
    pub(super) core_memories: u32,
}

impl Counts {
    pub(super) const fn plus(self, other: Self) -> Self {
        Self {
            types: self.types + other.types,
            functions: self.functions + other.functions,
            modules: self.modules + other.modules,
            core_instances: self.core_instances + other.core_instances,
            core_functions: self.core_functions + other.core_functions,
            core_memories: self.core_memories + other.core_memories,
        }
    }
}

/// What there is in a component.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The functions that each module imports, by two names.
    modules: Vec<Vec<(String, String)>>,
    core_functions: Vec<Provider>,
    core_instances: Vec<CoreInstance>,
    /// Imported functions that are part of the guest: module, and names as in the import.
    guest_imports: BTreeSet<(u32, String, String)>,
    /// Exported functions that the host calls while it is called itself, by module.
    held: Vec<BTreeSet<String>>,
    pub(super) counts: Counts,
    /// Why a guest that is built so cannot be stopped.
    pub(super) obstacle: Option<Obstacle>,
}

impl Scan {
    pub(super) fn of(component: &[u8]) -> Result<Self, Refused> {
        let mut scan = Self::default();
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            let payload = payload?;
            match &payload {
                Payload::ModuleSection {
                    parser: _,
                    unchecked_range,
                } => {
                    if depth > 0 {
                        return Err(Refused::Shape("a core module in a nested component"));
                    }
                    let bytes = component.get(unchecked_range.clone()).unwrap_or_default();
                    scan.modules.push(imported_functions(bytes)?);
                    scan.held.push(BTreeSet::new());
                    depth += 1;
                }
                Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth == 0 => scan.section(payload)?,
                _ => {}
            }
        }
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        scan.counts.modules = number(scan.modules.len());
        scan.counts.core_instances = number(scan.core_instances.len());
        scan.counts.core_functions = number(scan.core_functions.len());
        if scan.counts.modules > MAX_MODULES {
            scan.hinder("more core modules than are handled");
        }
        Ok(scan)
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), Refused> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    match import.ty {
                        ComponentTypeRef::Module(_) => {
                            return Err(Refused::Shape("an imported core module"));
                        }
                        ComponentTypeRef::Func(_) => self.counts.functions += 1,
                        ComponentTypeRef::Type(_) => self.counts.types += 1,
                        _ => {}
                    }
                    if import.name.name.starts_with(meter::NAMES) {
                        return Err(Refused::Shape("an import with the meter's name"));
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    self.alias(alias?)?;
                }
            }
            Payload::ComponentTypeSection(types) => self.counts.types += types.count(),
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    match export.kind {
                        ComponentExternalKind::Func => self.counts.functions += 1,
                        ComponentExternalKind::Type => self.counts.types += 1,
                        _ => {}
                    }
                    if export.name.name.starts_with(meter::NAMES) {
                        return Err(Refused::Shape("an export with the meter's name"));
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    self.canonical(&function?);
                }
            }
            Payload::InstanceSection(instances) => {
                for instance in instances {
                    let instance = self.instance(instance?)?;
                    self.core_instances.push(instance);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn alias(&mut self, alias: ComponentAlias<'_>) -> Result<(), Refused> {
        match alias {
            ComponentAlias::CoreInstanceExport {
                kind,
                instance_index,
                name,
            } => match kind {
                ExternalKind::Func => {
                    let provider = self.provider(instance_index, name);
                    self.core_functions.push(provider);
                }
                ExternalKind::Memory => self.counts.core_memories += 1,
                _ => {}
            },
            ComponentAlias::InstanceExport {
                kind: ComponentExternalKind::Module,
                ..
            }
            | ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::CoreModule,
                ..
            } => return Err(Refused::Shape("a core module by alias")),
            ComponentAlias::InstanceExport { kind, .. } => match kind {
                ComponentExternalKind::Func => self.counts.functions += 1,
                ComponentExternalKind::Type => self.counts.types += 1,
                _ => {}
            },
            ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::Type,
                ..
            } => self.counts.types += 1,
            ComponentAlias::Outer { .. } => {}
        }
        Ok(())
    }

    fn canonical(&mut self, function: &CanonicalFunction) {
        match function {
            CanonicalFunction::Lift { options, .. } => {
                self.counts.functions += 1;
                self.hold(options);
            }
            CanonicalFunction::Lower { options, .. } => {
                self.hold(options);
                self.core_functions.push(Provider::Host);
            }
            CanonicalFunction::ResourceDrop { .. } => self.core_functions.push(Provider::Host),
            CanonicalFunction::ResourceNew { .. } | CanonicalFunction::ResourceRep { .. } => {
                self.core_functions.push(Provider::Host);
                self.hinder("resources that the component defines itself");
            }
            _ => {
                self.core_functions.push(Provider::Host);
                self.hinder("a canonical function that is not known");
            }
        }
    }

    fn hinder(&mut self, reason: &str) {
        self.obstacle
            .get_or_insert_with(|| Obstacle::new(None, reason));
    }

    /// Takes note of the functions that the host calls to pass values.
    fn hold(&mut self, options: &[CanonicalOption]) {
        for option in options {
            let (CanonicalOption::Realloc(function) | CanonicalOption::PostReturn(function)) =
                option
            else {
                continue;
            };
            let export = match self.core_function(*function) {
                Provider::Guest(Some(export)) => export,
                _ => {
                    self.hinder("memory that is allocated by what is no export");
                    continue;
                }
            };
            let index = usize::try_from(export.module).unwrap_or(usize::MAX);
            if let Some(held) = self.held.get_mut(index) {
                held.insert(export.name);
            }
        }
    }

    /// The instance of a module, if it has one.
    pub(super) fn instance_of(&self, module: u32) -> Option<u32> {
        let mut instances = (0..).zip(&self.core_instances);
        let found = instances
            .find(|(_, instance)| matches!(instance, CoreInstance::Module(of) if *of == module));
        found.map(|(number, _)| number)
    }

    /// Exported functions of a module that the host calls while it is called itself.
    pub(super) fn held(&self, module: u32) -> &BTreeSet<String> {
        const NONE: &BTreeSet<String> = &BTreeSet::new();
        let index = usize::try_from(module).unwrap_or(usize::MAX);
        self.held.get(index).unwrap_or(NONE)
    }

    fn instance(&mut self, instance: Instance<'_>) -> Result<CoreInstance, Refused> {
        let (module_index, args) = match instance {
            Instance::FromExports(exports) => {
                let functions = exports
                    .iter()
                    .filter(|export| export.kind == ExternalKind::Func)
                    .map(|export| (export.name.to_owned(), self.core_function(export.index)));
                return Ok(CoreInstance::Bag(functions.collect()));
            }
            Instance::Instantiate { module_index, args } => (module_index, args),
        };
        let imports = usize::try_from(module_index)
            .ok()
            .and_then(|index| self.modules.get(index))
            .ok_or(Refused::Shape("an instance of no module"))?;
        let mut guest = Vec::new();
        for (module, name) in imports {
            let arg = args.iter().find(|arg| arg.name == module);
            let provider = arg.map(|arg| self.provider(arg.index, name));
            if matches!(provider, Some(Provider::Guest(_))) {
                guest.push((module_index, module.clone(), name.clone()));
            }
        }
        if args.iter().any(|arg| arg.name == meter::IMPORT_MODULE) {
            return Err(Refused::Shape("an import with the meter's name"));
        }
        self.guest_imports.extend(guest);
        if self.instance_of(module_index).is_some() {
            self.hinder("a module that is instantiated twice");
        }
        Ok(CoreInstance::Module(module_index))
    }

    fn core_function(&self, index: u32) -> Provider {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let provider = self.core_functions.get(index).cloned();
        provider.unwrap_or(Provider::Guest(None))
    }

    /// Who provides the function `name` of a core instance.
    fn provider(&self, instance: u32, name: &str) -> Provider {
        let index = usize::try_from(instance).unwrap_or(usize::MAX);
        match self.core_instances.get(index) {
            Some(CoreInstance::Bag(functions)) => functions
                .iter()
                .find(|(function, _)| function == name)
                .map_or(Provider::Guest(None), |(_, provider)| provider.clone()),
            Some(CoreInstance::Module(module)) => Provider::Guest(Some(Export {
                module: *module,
                name: name.to_owned(),
            })),
            None => Provider::Guest(None),
        }
    }

    /// Whether each function that a module imports is part of the guest.
    pub(super) fn guest_functions(&self, module: u32) -> Vec<bool> {
        let index = usize::try_from(module).unwrap_or(usize::MAX);
        let imports = self.modules.get(index).into_iter().flatten();
        imports
            .map(|(from, name)| {
                let key = (module, from.clone(), name.clone());
                self.guest_imports.contains(&key)
            })
            .collect()
    }
}

/// The functions that a core module imports, each by two names.
fn imported_functions(module: &[u8]) -> Result<Vec<(String, String)>, Refused> {
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload? {
            for import in imports.into_imports() {
                let import = import?;
                if matches!(import.ty, TypeRef::Func(_)) {
                    functions.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
        }
    }
    Ok(functions)
}
