//! Rewriting one core module.

use crate::{
    Refused,
    analysis::Analysis,
    function::{self, Context},
    meter,
};
use wasm_encoder::{
    BlockType, CodeSection, DataCountSection, DataSection, ElementSection, EntityType, ExportKind,
    ExportSection, FunctionSection, GlobalSection, ImportSection, MemorySection, MemoryType,
    Module, TableSection, TypeSection,
    reencode::{Error, Reencode},
};
use wasmparser::{FuncType, Parser, Payload};

/// The export by which the host runs what was the start function of a module that has a meter of its
/// own, once it has set the meter.
pub const START_EXPORT: &str = "mc:start";

/// Where the meter's page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// Imported from [`meter::IMPORT_MODULE`].
    Imported,
    /// The module's own, exported as [`meter::PAGE`].
    Own,
}

/// Rewrites a core module that is run by itself: it has a meter of its own, exported as
/// [`meter::PAGE`], and its start function is exported as [`START_EXPORT`] instead of being run.
///
/// # Errors
///
/// [`Refused`].
pub fn instrument_module(module: &[u8]) -> Result<Vec<u8>, Refused> {
    instrument(module, Page::Own, &|_| false)
}

/// The most that a page can be, and is.
const PAGE_TYPE: MemoryType = MemoryType {
    minimum: 1,
    maximum: Some(1),
    memory64: false,
    shared: false,
    page_size_log2: None,
};

pub(crate) const fn page_type() -> MemoryType {
    PAGE_TYPE
}

/// Rewrites a core module. `may_run_long` says of an imported function whether it is part of the guest.
pub(crate) fn instrument(
    module: &[u8],
    page: Page,
    may_run_long: &dyn Fn(u32) -> bool,
) -> Result<Vec<u8>, Refused> {
    let analysis = Analysis::of(module, may_run_long)?;
    let mut renumber = Renumber {
        imported_memories: analysis.imported_memories,
        shift: u32::from(page == Page::Imported),
    };
    let mut sections = Sections::default();
    let mut pass = Pass::new(&analysis, page);
    for payload in Parser::new(0).parse_all(module) {
        sections.add(&mut renumber, &mut pass, payload?)?;
    }
    Ok(sections.assemble(&analysis, &pass))
}

/// Numbers memories anew: the meter comes after those that are imported.
struct Renumber {
    imported_memories: u32,
    shift: u32,
}

impl Reencode for Renumber {
    type Error = Refused;

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error<Refused>> {
        Ok(if memory < self.imported_memories {
            memory
        } else {
            memory + self.shift
        })
    }
}

/// What is needed to rewrite the functions one after the other.
struct Pass<'a> {
    analysis: &'a Analysis,
    page: Page,
    /// The number of the meter's memory.
    meter: u32,
    /// Types that were added: of functions with several results, for the blocks around their bodies.
    added_types: Vec<FuncType>,
    /// Which function comes next.
    next: usize,
}

impl<'a> Pass<'a> {
    fn new(analysis: &'a Analysis, page: Page) -> Self {
        let meter = match page {
            Page::Imported => analysis.imported_memories,
            Page::Own => analysis.memories,
        };
        let mut added_types: Vec<FuncType> = Vec::new();
        for ty in &analysis.types {
            let results = FuncType::new([], ty.results().iter().copied());
            if ty.results().len() > 1 && !added_types.contains(&results) {
                added_types.push(results);
            }
        }
        Self {
            analysis,
            page,
            meter,
            added_types,
            next: 0,
        }
    }

    fn function(
        &mut self,
        renumber: &mut Renumber,
        body: &wasmparser::FunctionBody<'_>,
    ) -> Result<wasm_encoder::Function, Refused> {
        let unknown = Refused::Shape("more bodies than functions");
        let imported = usize::try_from(self.analysis.imported_functions).unwrap_or(usize::MAX);
        let types = &self.analysis.function_types;
        let ty = types.get(imported.saturating_add(self.next));
        let ty = ty.and_then(|ty| self.analysis.types.get(usize::try_from(*ty).ok()?));
        let ty = ty.ok_or_else(|| unknown.clone())?;
        let function = self.analysis.functions.get(self.next).ok_or(unknown)?;
        self.next += 1;
        let context = Context {
            meter: self.meter,
            parameters: u32::try_from(ty.params().len()).unwrap_or(u32::MAX),
            results: self.block(renumber, ty)?,
        };
        function::rewrite(renumber, context, function, body)
    }

    /// A block with the results of `ty`.
    fn block(&self, renumber: &mut Renumber, ty: &FuncType) -> Result<BlockType, Refused> {
        Ok(match ty.results() {
            [] => BlockType::Empty,
            [result] => BlockType::Result(renumber.val_type(*result)?),
            results => {
                let added = self
                    .added_types
                    .iter()
                    .position(|ty| ty.results() == results);
                let number = self.analysis.types.len() + added.unwrap_or_default();
                BlockType::FunctionType(u32::try_from(number).unwrap_or(u32::MAX))
            }
        })
    }
}

/// The sections of the new module, in no particular order.
#[derive(Default)]
struct Sections {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    data_count: Option<u32>,
    code: CodeSection,
    data: DataSection,
}

impl Sections {
    fn add(
        &mut self,
        renumber: &mut Renumber,
        pass: &mut Pass<'_>,
        payload: Payload<'_>,
    ) -> Result<(), Refused> {
        match payload {
            Payload::TypeSection(types) => renumber.parse_type_section(&mut self.types, types)?,
            Payload::ImportSection(imports) => {
                renumber.parse_import_section(&mut self.imports, imports)?;
            }
            Payload::FunctionSection(functions) => {
                renumber.parse_function_section(&mut self.functions, functions)?;
            }
            Payload::TableSection(tables) => {
                renumber.parse_table_section(&mut self.tables, tables)?;
            }
            Payload::MemorySection(memories) => {
                renumber.parse_memory_section(&mut self.memories, memories)?;
            }
            Payload::GlobalSection(globals) => {
                renumber.parse_global_section(&mut self.globals, globals)?;
            }
            Payload::ExportSection(exports) => {
                renumber.parse_export_section(&mut self.exports, exports)?;
            }
            Payload::ElementSection(elements) => {
                renumber.parse_element_section(&mut self.elements, elements)?;
            }
            Payload::DataCountSection { count, .. } => self.data_count = Some(count),
            Payload::DataSection(data) => renumber.parse_data_section(&mut self.data, data)?,
            Payload::CodeSectionEntry(body) => {
                self.code.function(&pass.function(renumber, &body)?);
            }
            // Names and other notes are of no use to a machine.
            _ => {}
        }
        Ok(())
    }

    fn assemble(mut self, analysis: &Analysis, pass: &Pass<'_>) -> Vec<u8> {
        for ty in &pass.added_types {
            let results = ty.results().iter().filter_map(|ty| {
                wasm_encoder::reencode::RoundtripReencoder
                    .val_type(*ty)
                    .ok()
            });
            self.types.ty().function([], results.collect::<Vec<_>>());
        }
        let mut start = analysis.start;
        match pass.page {
            Page::Imported => {
                let page = EntityType::Memory(PAGE_TYPE);
                self.imports.import(meter::IMPORT_MODULE, meter::PAGE, page);
            }
            Page::Own => {
                self.memories.memory(PAGE_TYPE);
                self.exports
                    .export(meter::PAGE, ExportKind::Memory, pass.meter);
                if let Some(start) = start.take() {
                    self.exports.export(START_EXPORT, ExportKind::Func, start);
                }
            }
        }
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports);
        module.section(&self.functions).section(&self.tables);
        module.section(&self.memories).section(&self.globals);
        module.section(&self.exports);
        if let Some(function_index) = start {
            module.section(&wasm_encoder::StartSection { function_index });
        }
        module.section(&self.elements);
        if let Some(count) = self.data_count {
            module.section(&DataCountSection { count });
        }
        module.section(&self.code).section(&self.data);
        module.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(wasm: &[u8]) -> Result<(), wasmparser::BinaryReaderError> {
        wasmparser::Validator::new_with_features(crate::analysis::FEATURES)
            .validate_all(wasm)
            .map(drop)
    }

    fn instrumented(text: &str) -> Vec<u8> {
        let module = wat::parse_str(text).unwrap();
        for page in [Page::Own, Page::Imported] {
            let new = instrument(&module, page, &|_| false).unwrap();
            validate(&new).unwrap();
        }
        instrument_module(&module).unwrap()
    }

    #[test]
    fn every_kind_of_control_flow_stays_valid() {
        instrumented(
            r#"(module
              (import "a" "f" (func $f (param i32) (result i32)))
              (import "a" "m" (memory 1))
              (memory 2)
              (table 4 funcref)
              (elem (i32.const 0) $two $f)
              (func $two (param i64) (result i32 i64)
                (if (result i32 i64) (i64.eqz (local.get 0))
                  (then (return (i32.const 1) (i64.const 2)))
                  (else (i32.const 3) (i64.const 4) (br 0) (drop) (loop (br 0)))))
              (func (export "g") (param i32) (result i32)
                (local v128 f64)
                block
                  loop
                    local.get 0
                    i32.eqz
                    br_if 1
                    block
                      block
                        local.get 0
                        br_table 0 1 2 3
                      end
                      unreachable
                    end
                    i32.const 0
                    return
                  end
                end
                (memory.copy 0 1 (i32.const 0) (i32.const 0) (i32.const 9))
                (drop (memory.grow 1 (i32.const 1)))
                (drop (table.grow (ref.null func) (i32.const 1)))
                (call_indirect (param i32) (result i32) (local.get 0) (i32.const 1))
                drop
                (return_call $f (i32.const 1))))"#,
        );
    }

    #[test]
    fn start_function_waits_for_the_meter() {
        let new = instrumented("(module (func $s) (start $s) (memory 1))");
        let mut exports = Vec::new();
        for payload in Parser::new(0).parse_all(&new) {
            match payload.unwrap() {
                Payload::ExportSection(section) => {
                    exports.extend(section.into_iter().map(|e| e.unwrap().name.to_owned()));
                }
                Payload::StartSection { .. } => panic!("started by itself"),
                _ => {}
            }
        }
        assert_eq!(exports, [meter::PAGE, START_EXPORT]);
    }

    #[test]
    fn what_is_not_handled_is_refused() {
        for text in [
            "(module (memory i64 1))",
            "(module (memory 1 1 shared))",
            "(module (tag))",
            "(module (func (result v128) (i32x4.relaxed_trunc_f32x4_s (v128.const i64x2 0 0))))",
            "(module (type (struct)))",
        ] {
            let module = wat::parse_str(text).unwrap();
            assert!(instrument_module(&module).is_err(), "{text}");
        }
        assert!(instrument_module(b"\0asm").is_err());
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_refused_or_valid() {
        let module = wat::parse_str(
            "(module (memory 1) (func (export \"f\") (param i32) (result i32)
               (loop (br_if 0 (local.get 0))) (call 0 (local.get 0))))",
        )
        .unwrap();
        for length in 0..module.len() {
            let _ = instrument_module(&module[..length]);
        }
        for bit in 0..module.len() * 8 {
            let mut bad = module.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            if let Ok(new) = instrument_module(&bad) {
                validate(&new).unwrap();
            }
        }
    }
}
