//! Rewriting one core module.

use crate::{
    Obstacle, Refused,
    added::{self, Added},
    analysis::{Analysis, FEATURES},
    meter,
    pass::{Pass, Renumber},
    plan::{
        Instrumented, LOAD_EXPORT, PREFIX, Page, Plan, SAVE_EXPORT, START_EXPORT, memory_export,
        page_type,
    },
};
use wasm_encoder::{
    CodeSection, DataCountSection, DataSection, ElementSection, EntityType, ExportKind,
    ExportSection, FunctionSection, GlobalSection, ImportSection, MemorySection, Module,
    TableSection, TagSection, TypeSection,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{ExternalKind, Parser, Payload, ValType, ValidPayload, Validator};

/// Rewrites a core module.
pub(crate) fn instrument(module: &[u8], plan: Plan<'_>) -> Result<Instrumented, Refused> {
    let analysis = Analysis::of(module, plan.is_guest)?;
    let obstacle = analysis.obstacle.clone();
    let obstacle = obstacle.map(|obstacle| obstacle.of_module(plan.number));
    let plan = match obstacle {
        Some(_) => plan.counting(),
        None => plan,
    };
    let mut pass = Pass::new(&analysis, plan);
    let mut renumber = Renumber {
        imported_memories: analysis.imported_memories,
        shift: u32::from(plan.page == Page::Imported),
    };
    let mut sections = Sections::default();
    let mut validator = Validator::new_with_features(FEATURES);
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
            let mut validator = function.into_validator(std::mem::take(&mut pass.allocations));
            let function = pass.function(&mut renumber, &mut validator, &body)?;
            sections.code.function(&function);
            pass.allocations = validator.into_allocations();
        } else {
            sections.add(&mut renumber, &pass, payload)?;
        }
        if let Some(obstacle) = pass.obstacle.take() {
            // What was found in a body: once more, without stopping.
            let counted = instrument(module, plan.counting())?;
            let obstacle = Some(obstacle);
            return Ok(Instrumented {
                obstacle,
                ..counted
            });
        }
    }
    sections.assemble(pass, obstacle)
}

/// The sections of the new module, in no particular order.
#[derive(Default)]
struct Sections {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    memories: MemorySection,
    tags: TagSection,
    globals: GlobalSection,
    /// Of those that the module defines: number and type of each that is mutable.
    mutable_globals: Vec<(u32, ValType)>,
    global_count: u32,
    exports: ExportSection,
    /// Exported functions that are exported in another form.
    held: Vec<(String, u32)>,
    elements: ElementSection,
    data_count: Option<u32>,
    code: CodeSection,
    data: DataSection,
}

impl Sections {
    fn add(
        &mut self,
        renumber: &mut Renumber,
        pass: &Pass<'_>,
        payload: Payload<'_>,
    ) -> Result<(), Refused> {
        match payload {
            Payload::TypeSection(types) => renumber.parse_type_section(&mut self.types, types)?,
            Payload::ImportSection(imports) => {
                for import in imports.clone().into_imports() {
                    if matches!(import?.ty, wasmparser::TypeRef::Global(_)) {
                        self.global_count += 1;
                    }
                }
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
            Payload::TagSection(tags) => renumber.parse_tag_section(&mut self.tags, tags)?,
            Payload::GlobalSection(globals) => {
                for global in globals.clone() {
                    let ty = global?.ty;
                    if ty.mutable {
                        self.mutable_globals
                            .push((self.global_count, ty.content_type));
                    }
                    self.global_count += 1;
                }
                renumber.parse_global_section(&mut self.globals, globals)?;
            }
            Payload::ExportSection(exports) => self.exports(renumber, pass, exports)?,
            Payload::ElementSection(elements) => {
                renumber.parse_element_section(&mut self.elements, elements)?;
            }
            Payload::DataCountSection { count, .. } => self.data_count = Some(count),
            Payload::DataSection(data) => renumber.parse_data_section(&mut self.data, data)?,
            // Names and other notes are of no use to a machine.
            _ => {}
        }
        Ok(())
    }

    fn exports(
        &mut self,
        renumber: &mut Renumber,
        pass: &Pass<'_>,
        exports: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Refused> {
        for export in exports {
            let export = export?;
            if export.name.starts_with(PREFIX) {
                return Err(Refused::Shape("an export with a name of the meter's"));
            }
            if export.kind == ExternalKind::Func
                && pass.plan.stops()
                && pass.plan.held.contains(export.name)
                && pass.analysis.may_stop(export.index)
            {
                self.held.push((export.name.to_owned(), export.index));
            } else {
                renumber.parse_export(&mut self.exports, export)?;
            }
        }
        Ok(())
    }

    /// Adds what a module needs to be stopped. Returns where its globals end.
    fn add_all(&mut self, pass: &mut Pass<'_>, start: &mut Option<u32>) -> Result<u32, Refused> {
        for (results, rewritten) in std::mem::take(&mut pass.resuming) {
            self.functions.function(pass.types.number(&[], &results));
            self.code.function(&rewritten.function);
            pass.hints.function_hints(pass.added, rewritten.hints);
            pass.added += 1;
        }
        let mut added = Added::new(pass);
        for (name, function) in std::mem::take(&mut self.held) {
            let number = added.hold(&mut self.functions, &mut self.code, function)?;
            self.exports.export(&name, ExportKind::Func, number);
        }
        if let Some(function) = *start
            && added.may_stop(function)
        {
            *start = Some(added.hold_start(&mut self.functions, &mut self.code, function)?);
        }
        let globals = added::layout(&self.mutable_globals, added.globals())?;
        for (name, is_save) in [(SAVE_EXPORT, true), (LOAD_EXPORT, false)] {
            let number = added.copy(&mut self.functions, &mut self.code, &globals, is_save)?;
            self.exports.export(name, ExportKind::Func, number);
        }
        for (number, memory) in added.memories() {
            let name = memory_export(number);
            self.exports.export(&name, ExportKind::Memory, memory);
        }
        Ok(globals.end)
    }

    fn assemble(
        mut self,
        mut pass: Pass<'_>,
        obstacle: Option<Obstacle>,
    ) -> Result<Instrumented, Refused> {
        let mut start = pass.analysis.start;
        let globals_end = if pass.plan.stops() {
            self.add_all(&mut pass, &mut start)?
        } else {
            pass.plan.globals
        };
        match pass.plan.page {
            Page::Imported => {
                let page = EntityType::Memory(page_type());
                self.imports.import(meter::IMPORT_MODULE, meter::PAGE, page);
            }
            Page::Own => {
                self.memories.memory(page_type());
                self.exports
                    .export(meter::PAGE, ExportKind::Memory, pass.meter);
                if let Some(start) = start.take() {
                    self.exports.export(START_EXPORT, ExportKind::Func, start);
                }
            }
        }
        for ty in &pass.types.added {
            let types = |types: &[ValType]| {
                let types = types.iter().map(|ty| RoundtripReencoder.val_type(*ty));
                types.collect::<Result<Vec<_>, _>>()
            };
            let known = |_| Refused::Shape("a type that is not known");
            let params = types(ty.params()).map_err(known)?;
            self.types
                .ty()
                .function(params, types(ty.results()).map_err(known)?);
        }
        let mut module = Module::new();
        module.section(&self.types).section(&self.imports);
        module.section(&self.functions).section(&self.tables);
        module.section(&self.memories);
        if !self.tags.is_empty() {
            module.section(&self.tags);
        }
        module.section(&self.globals).section(&self.exports);
        if let Some(function_index) = start {
            module.section(&wasm_encoder::StartSection { function_index });
        }
        module.section(&self.elements);
        if let Some(count) = self.data_count {
            module.section(&DataCountSection { count });
        }
        module.section(&pass.hints);
        module.section(&self.code).section(&self.data);
        Ok(Instrumented {
            wasm: module.finish(),
            sites: pass.sites,
            memories: pass.analysis.memories - pass.analysis.imported_memories,
            imported: pass.analysis.imported_functions,
            globals_end,
            obstacle,
        })
    }
}

#[cfg(test)]
mod tests;
