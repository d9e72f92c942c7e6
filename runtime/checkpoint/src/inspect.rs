//! What a program is, for humans.

use crate::{Ability, Obstacle, Refused, check_proposals, instrument_component, instrument_module};
use wasmparser::{CompositeInnerType, Encoding, Export, ExternalKind, Parser, Payload, TypeRef};

/// A program.
#[derive(Debug)]
pub struct Inspection {
    /// Whether it is a component rather than a core module.
    pub is_component: bool,
    /// What it imports: interfaces of a component, functions of a module.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Its core modules, in order.
    pub modules: Vec<ModuleInfo>,
    /// Whether its fuel can be counted, and whether it can be stopped.
    pub admission: Admission,
}

/// A core module.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModuleInfo {
    /// Its size.
    pub bytes: usize,
    /// Functions that are its own.
    pub functions: u32,
    /// Memories that are its own.
    pub memories: u32,
    /// Places where the guest can be stopped within it, or while it calls.
    pub sites: usize,
}

/// What can be done with a program.
#[derive(Debug)]
pub enum Admission {
    /// It can be stopped and resumed.
    Stops {
        /// Bytes after it was rewritten for that.
        bytes: usize,
    },
    /// It is counted, but cannot be stopped.
    Counts(Obstacle),
    /// It is neither, but runs all the same: wasmtime counts.
    Refused(Refused),
    /// It does not run, for want of proposals.
    NotOffered(Refused),
}

/// What a program wants from where it runs, and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// What it imports: interfaces of a component, functions of a module.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// What a core module exports as `_start`, if it does.
    pub start: Option<Start>,
}

/// What is called `_start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A function that takes and returns nothing.
    Command,
    /// A function that takes or returns something.
    Typed,
    /// No function.
    Other,
}

/// Inspects a component or core module without reading its code, so it is fast for programs of any size.
///
/// # Errors
///
/// [`Refused`] when it is neither, or malformed as far as it is looked at.
pub fn outline(program: &[u8]) -> Result<Outline, Refused> {
    let Inspection {
        is_component,
        imports,
        exports,
        ..
    } = sections(program)?;
    Ok(Outline {
        imports,
        exports,
        start: if is_component { None } else { start(program)? },
    })
}

/// What a core module exports as `_start`. Its types and functions come before its exports.
fn start(module: &[u8]) -> Result<Option<Start>, Refused> {
    let (mut is_typed, mut functions) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(types) => {
                for group in types {
                    let types = group?.into_types();
                    is_typed.extend(types.map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => {
                            !ty.params().is_empty() || !ty.results().is_empty()
                        }
                        // No function has such a type.
                        _ => false,
                    }));
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import?.ty {
                        functions.push(ty);
                    }
                }
            }
            Payload::FunctionSection(types) => {
                for ty in types {
                    functions.push(ty?);
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.name == "_start" {
                        return Ok(Some(kind_of_start(&export, &functions, &is_typed)));
                    }
                }
                return Ok(None);
            }
            _ => {}
        }
    }
    Ok(None)
}

/// What an export is, of a module whose `functions` have these types, some of which take or return something.
fn kind_of_start(export: &Export<'_>, functions: &[u32], is_typed: &[bool]) -> Start {
    if export.kind != ExternalKind::Func {
        return Start::Other;
    }
    let function = usize::try_from(export.index).ok();
    let ty = function.and_then(|function| functions.get(function));
    let ty = ty.and_then(|ty| usize::try_from(*ty).ok());
    // If something is missing, the program is malformed, which reading its code reports.
    match ty.and_then(|ty| is_typed.get(ty)) {
        Some(true) => Start::Typed,
        _ => Start::Command,
    }
}

/// Looks at a component or core module, and all that is in it.
///
/// # Errors
///
/// [`Refused`] when it is neither, or malformed.
pub fn inspect(program: &[u8]) -> Result<Inspection, Refused> {
    let mut inspection = sections(program)?;
    let rewritten = if inspection.is_component {
        instrument_component(program, Ability::Stop)
    } else {
        instrument_module(program, Ability::Stop)
    };
    inspection.admission = match rewritten {
        Err(refused) => match check_proposals(program) {
            Ok(()) => Admission::Refused(refused),
            Err(needed @ Refused::Proposals { .. }) => Admission::NotOffered(needed),
            Err(malformed) => return Err(malformed),
        },
        Ok(program) => match program.sites {
            Err(obstacle) => Admission::Counts(obstacle),
            Ok(sites) => {
                for (module, sites) in inspection.modules.iter_mut().zip(&sites.modules) {
                    module.sites = sites.len();
                }
                Admission::Stops {
                    bytes: program.wasm.len(),
                }
            }
        },
    };
    Ok(inspection)
}

/// What the sections of a program say.
fn sections(program: &[u8]) -> Result<Inspection, Refused> {
    let mut inspection = Inspection {
        is_component: false,
        imports: Vec::new(),
        exports: Vec::new(),
        modules: Vec::new(),
        admission: Admission::Refused(Refused::Shape("not looked at")),
    };
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(program) {
        let payload = payload?;
        match &payload {
            Payload::Version { encoding, .. } if depth == 0 => {
                inspection.is_component = *encoding == Encoding::Component;
                if !inspection.is_component {
                    inspection.modules.push(ModuleInfo {
                        bytes: program.len(),
                        ..ModuleInfo::default()
                    });
                }
            }
            Payload::ModuleSection {
                unchecked_range, ..
            } => {
                depth += 1;
                inspection.modules.push(ModuleInfo {
                    bytes: unchecked_range.len(),
                    ..ModuleInfo::default()
                });
                continue;
            }
            Payload::ComponentSection { .. } => {
                depth += 1;
                continue;
            }
            Payload::End(_) => {
                depth = depth.saturating_sub(1);
                continue;
            }
            _ => {}
        }
        inspection.section(payload, depth)?;
    }
    Ok(inspection)
}

impl Inspection {
    fn section(&mut self, payload: Payload<'_>, depth: u32) -> Result<(), Refused> {
        let module = self.modules.last_mut();
        match payload {
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                for export in exports {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::ImportSection(imports) if !self.is_component => {
                for import in imports.into_imports() {
                    let import = import?;
                    self.imports
                        .push(format!("{}.{}", import.module, import.name));
                }
            }
            Payload::ExportSection(exports) if !self.is_component => {
                for export in exports {
                    self.exports.push(export?.name.to_owned());
                }
            }
            Payload::FunctionSection(functions) => {
                if let Some(module) = module {
                    module.functions = functions.count();
                }
            }
            Payload::MemorySection(memories) => {
                if let Some(module) = module {
                    module.memories = memories.count();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(text: &str) -> Admission {
        inspect(&wat::parse_str(text).unwrap()).unwrap().admission
    }

    #[test]
    fn what_is_in_the_way_is_named_with_its_place() {
        let reason = |text| match admission(text) {
            Admission::Counts(obstacle) => obstacle.to_string(),
            other => panic!("{other:?}"),
        };
        let table =
            "(module (table 2 funcref) (func) (func (table.set (i32.const 0) (ref.null func))))";
        assert_eq!(reason(table), "module 0, function 1: table.set");
        let tail = "(module (func (loop (br 0))) (func (return_call 0)))";
        assert_eq!(reason(tail), "module 0, function 1: return_call");
        let data = "(module (memory 1) (data \"x\") (func (data.drop 0)))";
        assert_eq!(reason(data), "module 0, function 0: data.drop");
        let reference = "(module (func (local funcref) (ref.null func) (local.set 0) \
                         (loop (drop (local.get 0)) (br 0))))";
        assert!(
            reason(reference).contains("a reference"),
            "{}",
            reason(reference)
        );
        let global = "(module (global (mut funcref) (ref.null func)))";
        assert!(reason(global).contains("global"), "{}", reason(global));
    }

    #[test]
    fn vectors_are_kept_and_exceptions_are_counted() {
        let vector = "(module (memory 1) (func (local v128) (loop (v128.store (i32.const 0) (local.get 0)) (br 0))))";
        assert!(matches!(admission(vector), Admission::Stops { .. }));
        let exceptions = "(module (tag) (func (block (try_table (catch_all 0)))))";
        assert!(matches!(admission(exceptions), Admission::Counts(_)));
        let wide = "(module (memory i64 1))";
        assert!(matches!(admission(wide), Admission::Refused(_)));
        let shared = "(module (memory 1 1 shared))";
        assert!(matches!(admission(shared), Admission::NotOffered(_)));
    }

    #[test]
    fn what_is_called_start_is_told_by_its_kind() {
        let start = |text: &str| outline(&wat::parse_str(text).unwrap()).unwrap().start;
        let command = "(module (func (export \"_start\")))";
        assert_eq!(start(command), Some(Start::Command));
        let typed = "(module (func (export \"_start\") (param i32)))";
        assert_eq!(start(typed), Some(Start::Typed));
        let imported = "(module (import \"a\" \"b\" (func $f (result i32))) (func)
            (export \"_start\" (func $f)))";
        assert_eq!(start(imported), Some(Start::Typed));
        let memory = "(module (memory (export \"_start\") 1))";
        assert_eq!(start(memory), Some(Start::Other));
        assert_eq!(start("(module (func (export \"main\")))"), None);
    }
}
