//! What comes before everything else in a rewritten component.

use super::scan::Counts;
use crate::{meter, plan};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, CanonicalOption, CodeSection, Component,
    ComponentAliasSection, ComponentImportSection, ComponentTypeRef, ComponentTypeSection,
    ComponentValType, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, InstanceSection, Instruction, MemorySection, Module, ModuleArg, ModuleSection,
    PrimitiveValType, StartSection, TypeSection, ValType,
};

/// Component functions by their numbers.
const ATTACH: u32 = 0;
pub(super) const DROP: u32 = 1;
pub(super) const ASK: u32 = 2;
pub(super) const RESTORE: u32 = 3;
pub(super) const EXPOSE: u32 = 4;
/// The type `func()`.
pub(super) const FUNC: u32 = 6;
/// The core instances of the meter's memory, and of the module that passes it to the host.
pub(super) const PAGE_INSTANCE: u32 = 0;
pub(super) const ATTACH_INSTANCE: u32 = 2;
/// The export by which the memory is passed again.
pub(super) const ATTACH_EXPORT: &str = "attach";

/// What the prelude uses up of each kind of number.
pub(super) const fn counts(stops: bool) -> Counts {
    Counts {
        types: 7,
        functions: if stops { 5 } else { 1 },
        modules: 2,
        core_instances: 3,
        core_functions: 2,
        core_memories: 1,
    }
}

pub(super) fn emit(component: &mut Component, stops: bool) {
    let number = |ty| ComponentValType::Primitive(ty);
    let (u32, u64) = (number(PrimitiveValType::U32), number(PrimitiveValType::U64));
    let bytes = ComponentValType::Type(0);
    let mut types = ComponentTypeSection::new();
    types.defined_type().list(number(PrimitiveValType::U8));
    types
        .function()
        .params([("memory", bytes)])
        .result(Some(bytes));
    types.function().params([("handle", u32)]).result(None);
    types
        .function()
        .params([("memory", u32), ("what", u32)])
        .result(Some(u64));
    types
        .function()
        .params([("memory", u32)])
        .result(Some(bytes));
    types
        .function()
        .params([("memory", u32), ("bytes", bytes)])
        .result(None);
    let none: [(&str, ComponentValType); 0] = [];
    types.function().params(none).result(None);
    let mut imports = ComponentImportSection::new();
    imports.import(meter::ATTACH_IMPORT, ComponentTypeRef::Func(1));
    if stops {
        for (name, ty) in [
            (meter::DROP_IMPORT, 2),
            (meter::ASK_IMPORT, 3),
            (meter::RESTORE_IMPORT, 4),
            (meter::EXPOSE_IMPORT, 5),
        ] {
            imports.import(name, ComponentTypeRef::Func(ty));
        }
    }
    component.section(&types).section(&imports);
    component.section(&ModuleSection(&page_module()));
    component.section(&ModuleSection(&attach_module()));
    instances(component);
}

fn instances(component: &mut Component) {
    let mut page = InstanceSection::new();
    page.instantiate(0, std::iter::empty::<(&str, ModuleArg)>());
    let mut aliases = ComponentAliasSection::new();
    for (kind, name) in [
        (ExportKind::Memory, meter::PAGE),
        (ExportKind::Func, "place"),
    ] {
        aliases.alias(Alias::CoreInstanceExport {
            instance: PAGE_INSTANCE,
            kind,
            name,
        });
    }
    let mut functions = CanonicalFunctionSection::new();
    functions.lower(
        ATTACH,
        [CanonicalOption::Memory(0), CanonicalOption::Realloc(0)],
    );
    let mut attach = InstanceSection::new();
    attach.export_items([(meter::ATTACH_IMPORT, ExportKind::Func, 1)]);
    attach.instantiate(
        1,
        [
            (meter::IMPORT_MODULE, ModuleArg::Instance(PAGE_INSTANCE)),
            ("host", ModuleArg::Instance(1)),
        ],
    );
    component.section(&page).section(&aliases);
    component.section(&functions).section(&attach);
}

/// A module that has the memory, and has all that the host returns put at its beginning.
fn page_module() -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut memories = MemorySection::new();
    memories.memory(plan::page_type());
    let mut exports = ExportSection::new();
    exports.export(meter::PAGE, ExportKind::Memory, 0);
    exports.export("place", ExportKind::Func, 0);
    let mut place = Function::new([]);
    place.instruction(&Instruction::I32Const(0));
    place.instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&place);
    let mut module = Module::new();
    module
        .section(&types)
        .section(&functions)
        .section(&memories);
    module.section(&exports).section(&code);
    module
}

/// A module that passes the memory to the host, at the start and whenever it is told to.
fn attach_module() -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 3], []);
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    let page = EntityType::Memory(plan::page_type());
    imports.import(meter::IMPORT_MODULE, meter::PAGE, page);
    imports.import("host", meter::ATTACH_IMPORT, EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(1);
    let mut exports = ExportSection::new();
    exports.export(ATTACH_EXPORT, ExportKind::Func, 1);
    let mut attach = Function::new([]);
    let scratch = i32::try_from(meter::SCRATCH).unwrap_or_default();
    for instruction in [
        Instruction::I32Const(0),
        Instruction::I32Const(meter::MEMORY_BYTES.cast_signed()),
        // Where the host says what it returned.
        Instruction::I32Const(scratch),
        Instruction::Call(0),
        Instruction::End,
    ] {
        attach.instruction(&instruction);
    }
    let mut code = CodeSection::new();
    code.function(&attach);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    module.section(&exports);
    module
        .section(&StartSection { function_index: 1 })
        .section(&code);
    module
}
