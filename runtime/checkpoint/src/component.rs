//! Rewriting a component.
//!
//! In front of everything else comes a prelude: a core module with the meter's page, and one whose
//! start function passes the page to the host and takes the limits from it. The page is then one more
//! import of each core module of the component. All numbers that the prelude uses up move on.

use crate::{
    Refused,
    analysis::FEATURES,
    meter,
    module::{self, Page},
};
use std::collections::BTreeSet;
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component,
    ComponentAliasSection, ComponentImportSection, ComponentSectionId, ComponentTypeRef,
    ComponentTypeSection, ComponentValType, EntityType, ExportKind, ExportSection, Function,
    FunctionSection, ImportSection, InstanceSection, Instruction, MemorySection, Module, ModuleArg,
    ModuleSection, PrimitiveValType, RawSection, StartSection, TypeSection, ValType,
    reencode::{Error, Reencode, ReencodeComponent},
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ExternalKind, Instance, Parser, Payload, TypeRef, Validator,
};

/// What the prelude uses up of each kind of number.
const TYPES: u32 = 3;
const FUNCTIONS: u32 = 1;
const MODULES: u32 = 2;
const CORE_INSTANCES: u32 = 3;
const CORE_FUNCTIONS: u32 = 1;
const CORE_MEMORIES: u32 = 1;

/// Rewrites a component whose core modules then share a meter. It imports
/// [`meter::ATTACH_IMPORT`] besides what it imported before.
///
/// # Errors
///
/// [`Refused`].
pub fn instrument_component(component: &[u8]) -> Result<Vec<u8>, Refused> {
    // With their proposals the validator also refuses what could not be rewritten.
    Validator::new_with_features(FEATURES).validate_all(component)?;
    let scan = Scan::of(component)?;
    let mut out = Component::new();
    prelude(&mut out);
    let mut rewrite = Rewrite {
        scan: &scan,
        depth: 0,
        module: 0,
    };
    rewrite.parse_component(&mut out, Parser::new(0), component)?;
    Ok(out.finish())
}

fn prelude(component: &mut Component) {
    let mut types = ComponentTypeSection::new();
    types
        .defined_type()
        .list(ComponentValType::Primitive(PrimitiveValType::U8));
    types.defined_type().tuple([
        ComponentValType::Primitive(PrimitiveValType::S64),
        ComponentValType::Primitive(PrimitiveValType::U32),
    ]);
    types
        .function()
        .params([("page", ComponentValType::Type(0))])
        .result(Some(ComponentValType::Type(1)));
    let mut imports = ComponentImportSection::new();
    imports.import(meter::ATTACH_IMPORT, ComponentTypeRef::Func(2));
    component.section(&types).section(&imports);
    component.section(&ModuleSection(&page_module()));
    component.section(&ModuleSection(&attach_module()));

    let mut page = InstanceSection::new();
    page.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    let mut aliases = ComponentAliasSection::new();
    aliases.alias(Alias::CoreInstanceExport {
        instance: 0,
        kind: ExportKind::Memory,
        name: meter::PAGE,
    });
    let mut functions = CanonicalFunctionSection::new();
    functions.lower(0, [CanonicalOption::Memory(0)]);
    let mut attach = InstanceSection::new();
    attach.export_items([(meter::ATTACH_IMPORT, ExportKind::Func, 0)]);
    attach.instantiate(
        1,
        [
            (meter::IMPORT_MODULE, ModuleArg::Instance(0)),
            ("host", ModuleArg::Instance(1)),
        ],
    );
    component.section(&page).section(&aliases);
    component.section(&functions).section(&attach);
}

/// A module that has the page.
fn page_module() -> Module {
    let mut memories = MemorySection::new();
    memories.memory(module::page_type());
    let mut exports = ExportSection::new();
    exports.export(meter::PAGE, ExportKind::Memory, 0);
    let mut module = Module::new();
    module.section(&memories).section(&exports);
    module
}

/// A module that passes the page to the host, which writes the limits to its beginning.
fn attach_module() -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 3], []);
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    let page = EntityType::Memory(module::page_type());
    imports.import(meter::IMPORT_MODULE, meter::PAGE, page);
    imports.import("host", meter::ATTACH_IMPORT, EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(1);
    let mut start = Function::new([]);
    let length = i32::try_from(meter::BYTES).unwrap_or(i32::MAX);
    for instruction in [
        // The page from 0 on, and where the results go: to 0 too, where they are laid out as
        // `FUEL_LEFT` and `STACK_LEFT` are.
        Instruction::I32Const(0),
        Instruction::I32Const(length),
        Instruction::I32Const(0),
        Instruction::Call(0),
        Instruction::End,
    ] {
        start.instruction(&instruction);
    }
    let mut code = CodeSection::new();
    code.function(&start);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    module
        .section(&StartSection { function_index: 1 })
        .section(&code);
    module
}

/// Who provides a core function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Provider {
    Host,
    Guest,
}

/// A core instance.
#[derive(Debug)]
enum CoreInstance {
    /// Of a module of the component.
    Module,
    /// Made up of single functions, by name.
    Bag(Vec<(String, Provider)>),
}

/// What has to be known of a component before its modules are rewritten.
#[derive(Debug, Default)]
struct Scan {
    modules: Vec<Vec<(String, String)>>,
    core_functions: Vec<Provider>,
    core_instances: Vec<CoreInstance>,
    /// Imported functions that are part of the guest: module, and names as in the import.
    guest_imports: BTreeSet<(u32, String, String)>,
}

impl Scan {
    fn of(component: &[u8]) -> Result<Self, Refused> {
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
                    depth += 1;
                }
                Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                _ if depth == 0 => scan.section(payload)?,
                _ => {}
            }
        }
        Ok(scan)
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), Refused> {
        match payload {
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    if matches!(import.ty, wasmparser::ComponentTypeRef::Module(_)) {
                        return Err(Refused::Shape("an imported core module"));
                    }
                    if import.name.name == meter::ATTACH_IMPORT {
                        return Err(Refused::Shape("an import with the meter's name"));
                    }
                }
            }
            Payload::ComponentAliasSection(aliases) => {
                for alias in aliases {
                    match alias? {
                        ComponentAlias::CoreInstanceExport {
                            kind: ExternalKind::Func,
                            instance_index,
                            name,
                        } => {
                            let provider = self.provider(instance_index, name);
                            self.core_functions.push(provider);
                        }
                        ComponentAlias::InstanceExport {
                            kind: wasmparser::ComponentExternalKind::Module,
                            ..
                        }
                        | ComponentAlias::Outer {
                            kind: wasmparser::ComponentOuterAliasKind::CoreModule,
                            ..
                        } => return Err(Refused::Shape("a core module by alias")),
                        _ => {}
                    }
                }
            }
            Payload::ComponentCanonicalSection(functions) => {
                for function in functions {
                    if !matches!(function?, CanonicalFunction::Lift { .. }) {
                        self.core_functions.push(Provider::Host);
                    }
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
            if provider == Some(Provider::Guest) {
                guest.push((module_index, module.clone(), name.clone()));
            }
        }
        if args.iter().any(|arg| arg.name == meter::IMPORT_MODULE) {
            return Err(Refused::Shape("an import with the meter's name"));
        }
        self.guest_imports.extend(guest);
        Ok(CoreInstance::Module)
    }

    fn core_function(&self, index: u32) -> Provider {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let provider = self.core_functions.get(index).copied();
        provider.unwrap_or(Provider::Guest)
    }

    /// Who provides the function `name` of a core instance.
    fn provider(&self, instance: u32, name: &str) -> Provider {
        let index = usize::try_from(instance).unwrap_or(usize::MAX);
        match self.core_instances.get(index) {
            Some(CoreInstance::Bag(functions)) => functions
                .iter()
                .find(|(function, _)| function == name)
                .map_or(Provider::Guest, |(_, provider)| *provider),
            Some(CoreInstance::Module) | None => Provider::Guest,
        }
    }

    /// Whether each function that a module imports is part of the guest.
    fn guest_functions(&self, module: u32) -> Vec<bool> {
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

/// Copies a component with numbers moved on, modules instrumented, and the meter passed to each.
struct Rewrite<'a> {
    scan: &'a Scan,
    /// How deep in nested components and types; the prelude's numbers are those of depth 0.
    depth: u32,
    /// Which module comes next.
    module: u32,
}

impl Rewrite<'_> {
    const fn moved(&self, number: u32, by: u32) -> u32 {
        if self.depth == 0 { number + by } else { number }
    }

    /// A number that a nested scope uses of the one `count` scopes further out.
    const fn outer(&self, count: u32, number: u32, by: u32) -> u32 {
        if count == self.depth {
            number + by
        } else {
            number
        }
    }
}

impl Reencode for Rewrite<'_> {
    type Error = Refused;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Refused>> {
        Ok(self.moved(function, CORE_FUNCTIONS))
    }

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error<Refused>> {
        Ok(self.moved(memory, CORE_MEMORIES))
    }
}

impl ReencodeComponent for Rewrite<'_> {
    fn push_depth(&mut self) {
        self.depth += 1;
    }

    fn pop_depth(&mut self) {
        self.depth -= 1;
    }

    fn component_type_index(&mut self, ty: u32) -> u32 {
        self.moved(ty, TYPES)
    }

    fn outer_component_type_index(&mut self, count: u32, ty: u32) -> u32 {
        self.outer(count, ty, TYPES)
    }

    fn component_func_index(&mut self, function: u32) -> u32 {
        self.moved(function, FUNCTIONS)
    }

    fn module_index(&mut self, module: u32) -> u32 {
        self.moved(module, MODULES)
    }

    fn outer_module_index(&mut self, count: u32, module: u32) -> u32 {
        self.outer(count, module, MODULES)
    }

    fn instance_index(&mut self, instance: u32) -> u32 {
        self.moved(instance, CORE_INSTANCES)
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        _: Parser,
        module: &[u8],
    ) -> Result<(), Error<Refused>> {
        let guest = self.scan.guest_functions(self.module);
        self.module += 1;
        let is_guest = |function: u32| {
            let index = usize::try_from(function).unwrap_or(usize::MAX);
            guest.get(index).copied().unwrap_or(true)
        };
        let module = module::instrument(module, Page::Imported, &is_guest);
        component.section(&RawSection {
            id: ComponentSectionId::CoreModule.into(),
            data: &module.map_err(Error::UserError)?,
        });
        Ok(())
    }

    fn parse_component_custom_section(
        &mut self,
        _: &mut Component,
        _: wasmparser::CustomSectionReader<'_>,
    ) -> Result<(), Error<Refused>> {
        Ok(())
    }

    fn parse_instance(
        &mut self,
        instances: &mut InstanceSection,
        instance: Instance<'_>,
    ) -> Result<(), Error<Refused>> {
        let Instance::Instantiate { module_index, args } = instance else {
            return wasm_encoder::reencode::component_utils::parse_instance(
                self, instances, instance,
            );
        };
        let mut new: Vec<_> = args
            .iter()
            .map(|arg| {
                (
                    arg.name,
                    ModuleArg::Instance(self.instance_index(arg.index)),
                )
            })
            .collect();
        new.push((meter::IMPORT_MODULE, ModuleArg::Instance(0)));
        instances.instantiate(self.module_index(module_index), new);
        Ok(())
    }
}
