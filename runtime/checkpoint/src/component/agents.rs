//! The end of a component that can be stopped. For each memory of the guest there is an *agent*, which shows the memory
//! to the host or fills it from the host. A *conductor* saves all globals and memories, or restores them when a guest
//! is resumed.

use super::{
    prelude,
    scan::{Counts, Scan},
};
use crate::{
    meter::{self, Ask},
    plan,
};
use wasm_encoder::{
    Alias, BlockType, CanonicalFunctionSection, CanonicalOption, CodeSection, Component,
    ComponentAliasSection, ComponentExportKind, ComponentExportSection, ConstExpr, EntityType,
    ExportKind, ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection,
    InstanceSection, Instruction as I, MemArg, MemoryType, Module, ModuleArg, ModuleSection,
    StartSection, TypeSection, ValType,
};

/// Adds everything to `component`, whose other parts use the indices up to `used`. `memories` says how many memories
/// each module has of its own.
pub(super) fn emit(component: &mut Component, scan: &Scan, memories: &[u32], used: Counts) {
    let mut agents = Agents {
        component,
        used,
        conducted: Vec::new(),
    };
    let mut number = 0;
    for (module, memories) in (0..).zip(memories) {
        let Some(instance) = scan.instance_of(module) else {
            continue;
        };
        let instance = instance + prelude::counts(true).core_instances;
        agents.globals(instance);
        for memory in 0..*memories {
            agents.memory(instance, memory, number);
            number += 1;
        }
    }
    agents.conductor();
}

/// What the conductor calls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Capture,
    Resume,
}

struct Agents<'a> {
    component: &'a mut Component,
    used: Counts,
    /// Core functions, in the order in which they are called.
    conducted: Vec<(When, u32)>,
}

impl Agents<'_> {
    /// Makes a core function of an export.
    fn function(&mut self, instance: u32, name: &str) -> u32 {
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::CoreInstanceExport {
            instance,
            kind: ExportKind::Func,
            name,
        });
        self.component.section(&aliases);
        self.used.core_functions += 1;
        self.used.core_functions - 1
    }

    fn module(&mut self, module: &Module) -> u32 {
        self.component.section(&ModuleSection(module));
        self.used.modules += 1;
        self.used.modules - 1
    }

    fn instance(&mut self, module: u32, args: &[(&str, u32)]) -> u32 {
        let mut instances = InstanceSection::new();
        let args = args
            .iter()
            .map(|(name, instance)| (*name, ModuleArg::Instance(*instance)));
        instances.instantiate(module, args.collect::<Vec<_>>());
        self.component.section(&instances);
        self.used.core_instances += 1;
        self.used.core_instances - 1
    }

    fn bag(&mut self, items: &[(&str, ExportKind, u32)]) -> u32 {
        let mut instances = InstanceSection::new();
        instances.export_items(items.iter().copied());
        self.component.section(&instances);
        self.used.core_instances += 1;
        self.used.core_instances - 1
    }

    fn lower<const N: usize>(&mut self, function: u32, options: [CanonicalOption; N]) -> u32 {
        let mut functions = CanonicalFunctionSection::new();
        functions.lower(function, options);
        self.component.section(&functions);
        self.used.core_functions += 1;
        self.used.core_functions - 1
    }

    /// Has the globals of an instance copied.
    fn globals(&mut self, instance: u32) {
        let save = self.function(instance, plan::SAVE_EXPORT);
        let load = self.function(instance, plan::LOAD_EXPORT);
        self.conducted.push((When::Capture, save));
        self.conducted.push((When::Resume, load));
    }

    /// Adds an agent for a memory of an instance.
    fn memory(&mut self, instance: u32, memory: u32, number: u32) {
        let name = plan::memory_export(memory);
        let mut aliases = ComponentAliasSection::new();
        aliases.alias(Alias::CoreInstanceExport {
            instance,
            kind: ExportKind::Memory,
            name: &name,
        });
        self.component.section(&aliases);
        let memory = self.used.core_memories;
        self.used.core_memories += 1;

        let placer = self.module(&placer());
        let placer = self.instance(placer, &[]);
        let place = self.function(placer, "place");
        let ask = self.lower(prelude::ASK, []);
        let restore = self.lower(
            prelude::RESTORE,
            [
                CanonicalOption::Memory(memory),
                CanonicalOption::Realloc(place),
            ],
        );
        let expose = self.lower(prelude::EXPOSE, [CanonicalOption::Memory(memory)]);
        let host = self.bag(&[
            ("ask", ExportKind::Func, ask),
            ("restore", ExportKind::Func, restore),
            ("expose", ExportKind::Func, expose),
            ("memory", ExportKind::Memory, memory),
        ]);
        let agent = self.module(&agent(number));
        let agent = self.instance(agent, &[("host", host), ("placer", placer)]);
        let capture = self.function(agent, "capture");
        let resume = self.function(agent, "resume");
        self.conducted.push((When::Capture, capture));
        self.conducted.push((When::Resume, resume));
    }

    fn conductor(mut self) {
        let conducted = std::mem::take(&mut self.conducted);
        let names: Vec<_> = (0..conducted.len())
            .map(|number| number.to_string())
            .collect();
        let items = names.iter().zip(&conducted);
        let items: Vec<_> = items
            .map(|(name, (_, function))| (name.as_str(), ExportKind::Func, *function))
            .collect();
        let bag = self.bag(&items);
        let conductor = self.module(&conductor(&conducted, &names));
        let args = [
            (meter::IMPORT_MODULE, prelude::PAGE_INSTANCE),
            ("conducted", bag),
        ];
        let conductor = self.instance(conductor, &args);
        for (instance, core, name) in [
            (conductor, "capture", meter::CAPTURE_EXPORT),
            (
                prelude::ATTACH_INSTANCE,
                prelude::ATTACH_EXPORT,
                meter::ARM_EXPORT,
            ),
        ] {
            let function = self.function(instance, core);
            let mut functions = CanonicalFunctionSection::new();
            functions.lift(function, prelude::FUNC, []);
            let mut exports = ComponentExportSection::new();
            exports.export(name, ComponentExportKind::Func, self.used.functions, None);
            self.component.section(&functions).section(&exports);
            // The one that was lifted, and the one that was exported.
            self.used.functions += 2;
        }
    }
}

/// A module that says where in a memory the host puts what it returns.
fn placer() -> Module {
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 4], [ValType::I32]);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut globals = GlobalSection::new();
    globals.global(mutable(), &ConstExpr::i32_const(0));
    let mut exports = ExportSection::new();
    exports.export("place", ExportKind::Func, 0);
    exports.export("address", ExportKind::Global, 0);
    let mut code = CodeSection::new();
    code.function(&function([I::GlobalGet(0), I::End]));
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&globals);
    module.section(&exports).section(&code);
    module
}

const fn mutable() -> GlobalType {
    GlobalType {
        val_type: ValType::I32,
        mutable: true,
        shared: false,
    }
}

fn function<const N: usize>(instructions: [I<'_>; N]) -> Function {
    let mut function = Function::new([]);
    for instruction in &instructions {
        function.instruction(instruction);
    }
    function
}

/// What an agent imports of the host, by number.
const ASK: u32 = 0;
const RESTORE: u32 = 1;
const EXPOSE: u32 = 2;

/// A module that shows or fills the memory `number`.
fn agent(number: u32) -> Module {
    let number = I::I32Const(number.cast_signed());
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32; 2], [ValType::I64]);
    types.ty().function([ValType::I32; 2], []);
    types.ty().function([ValType::I32; 3], []);
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    for (name, ty) in [("ask", 0), ("restore", 1), ("expose", 2)] {
        imports.import("host", name, EntityType::Function(ty));
    }
    let memory = MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    imports.import("host", "memory", EntityType::Memory(memory));
    imports.import("placer", "address", EntityType::Global(mutable()));
    let mut functions = FunctionSection::new();
    functions.function(3).function(3);
    let mut exports = ExportSection::new();
    exports.export("capture", ExportKind::Func, 3);
    exports.export("resume", ExportKind::Func, 4);
    let mut code = CodeSection::new();
    code.function(&function([
        number.clone(),
        I::I32Const(0),
        I::MemorySize(0),
        I::I32Const(16),
        I::I32Shl,
        I::Call(EXPOSE),
        I::End,
    ]));
    code.function(&refilling(number));
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    module.section(&exports).section(&code);
    module
}

/// A function that fills the memory `number` with what the host gives.
fn refilling(number: I<'_>) -> Function {
    let ask = |what: Ask| I::I32Const(what.number().cast_signed());
    let mut resume = Function::new([(1, ValType::I32), (1, ValType::I64)]);
    let (pages, address) = (0, 1);
    for instruction in [
        // Otherwise the module's own data would show where the memory had zeros.
        I::I32Const(0),
        I::I32Const(0),
        I::MemorySize(0),
        I::I32Const(16),
        I::I32Shl,
        I::MemoryFill(0),
        number.clone(),
        ask(Ask::Pages),
        I::Call(ASK),
        I::I32WrapI64,
        I::LocalTee(pages),
        I::MemorySize(0),
        I::I32LtU,
        I::If(BlockType::Empty),
        I::Unreachable,
        I::End,
        I::LocalGet(pages),
        I::MemorySize(0),
        I::I32Sub,
        I::MemoryGrow(0),
        I::I32Const(-1),
        I::I32Eq,
        I::If(BlockType::Empty),
        I::Unreachable,
        I::End,
        I::Block(BlockType::Empty),
        I::Loop(BlockType::Empty),
        number.clone(),
        ask(Ask::Address),
        I::Call(ASK),
        I::LocalTee(address),
        I::I64Const(-1),
        I::I64Eq,
        I::BrIf(1),
        I::LocalGet(address),
        I::I32WrapI64,
        I::GlobalSet(0),
        number.clone(),
        // Where the host says what it returned, to be mended below.
        I::I32Const(0),
        I::Call(RESTORE),
        I::Br(0),
        I::End,
        I::End,
        I::LocalGet(pages),
        I::If(BlockType::Empty),
        I::I32Const(0),
        number,
        ask(Ask::First),
        I::Call(ASK),
        I::I64Store(MemArg {
            offset: 0,
            align: 3,
            memory_index: 0,
        }),
        I::End,
        I::End,
    ] {
        resume.instruction(&instruction);
    }
    resume
}

/// A module that calls the functions of each kind one after the other.
fn conductor(conducted: &[(When, u32)], names: &[String]) -> Module {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    let page = EntityType::Memory(plan::page_type());
    imports.import(meter::IMPORT_MODULE, meter::PAGE, page);
    for name in names {
        imports.import("conducted", name, EntityType::Function(0));
    }
    let imported = u32::try_from(names.len()).unwrap_or(u32::MAX);
    let calls = |when: When| {
        let calls = (0..).zip(conducted);
        calls
            .filter(move |(_, (of, _))| *of == when)
            .map(|(number, _)| I::Call(number))
    };
    let mut functions = FunctionSection::new();
    functions.function(0).function(0);
    let mut exports = ExportSection::new();
    exports.export("capture", ExportKind::Func, imported);
    let mut capture = Function::new([]);
    for call in calls(When::Capture) {
        capture.instruction(&call);
    }
    capture.instruction(&I::End);
    let mut start = Function::new([]);
    for instruction in [
        I::I32Const(0),
        I::I32Load(MemArg {
            offset: meter::MODE,
            align: 2,
            memory_index: 0,
        }),
        I::I32Const(meter::RESUMING),
        I::I32Eq,
        I::If(BlockType::Empty),
    ] {
        start.instruction(&instruction);
    }
    for call in calls(When::Resume) {
        start.instruction(&call);
    }
    start.instruction(&I::End).instruction(&I::End);
    let mut code = CodeSection::new();
    code.function(&capture).function(&start);
    let mut module = Module::new();
    module.section(&types).section(&imports).section(&functions);
    module.section(&exports);
    module.section(&StartSection {
        function_index: imported + 1,
    });
    module.section(&code);
    module
}
