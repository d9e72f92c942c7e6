//! Reduces a program to its imports. The result compiles in a moment, whatever the size of the program, and links where
//! the program does.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};
use wasm_encoder::{
    Component, ComponentAliasSection, ComponentSectionId, EntityType, GlobalType, ImportSection,
    MemoryType, Module, RawSection, RefType, TableType, TagKind, TagType, TypeSection, ValType,
    reencode::{ReencodeComponent, RoundtripReencoder},
};
use wasmparser::{
    ComponentAlias, ComponentAliasSectionReader, ComponentOuterAliasKind, ComponentType,
    ComponentTypeSectionReader, CompositeInnerType, FuncType, Import, Parser, Payload, TypeRef,
};

/// Most bytes of the reduced program, since it is compiled. For a component that imports all of WASI it has some 20
/// thousand.
const MAX_BYTES: usize = 1 << 20;
/// Most different imports of a reduced core module. WASI preview 1 has some 50, so a module with more than this many
/// imports has one of another type.
const MAX_IMPORTS: u32 = 1000;

/// The imports of a component or core module as a program of their own. None if the program is malformed, or has
/// excessive imports.
///
/// What a component imports after it has exported or instantiated something, as compilers never do, is not in it: its
/// type may be one that is not left.
#[must_use]
pub fn imports_only(program: &[u8]) -> Option<Vec<u8>> {
    let left = if Parser::is_component(program) {
        component(program)?
    } else {
        module(program)?
    };
    (left.len() <= MAX_BYTES).then_some(left)
}

/// Types, imports and aliases of them. Core modules, instances and functions are dropped, because no type depends on
/// them.
fn component(component: &[u8]) -> Option<Vec<u8>> {
    let mut out = Component::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(component) {
        match payload.ok()? {
            Payload::ModuleSection { .. } => depth += 1,
            Payload::ComponentSection { .. } => {
                // Its number is still used up.
                if depth == 0 {
                    out.section(&RawSection {
                        id: ComponentSectionId::Component.into(),
                        data: &Component::HEADER,
                    });
                }
                depth += 1;
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            Payload::ComponentTypeSection(types) => {
                if defines_resource(&types)? {
                    break;
                }
                out.section(&raw(ComponentSectionId::Type, component, types.range())?);
            }
            Payload::CoreTypeSection(types) => {
                out.section(&raw(
                    ComponentSectionId::CoreType,
                    component,
                    types.range(),
                )?);
            }
            Payload::ComponentImportSection(imports) => {
                out.section(&raw(
                    ComponentSectionId::Import,
                    component,
                    imports.range(),
                )?);
            }
            Payload::ComponentAliasSection(section) => {
                out.section(&aliases(section)?);
            }
            Payload::ComponentInstanceSection(_)
            | Payload::ComponentExportSection(_)
            | Payload::ComponentStartSection { .. } => break,
            _ => {}
        }
    }
    Some(out.finish())
}

/// A section as it is, of which `range` says where its contents are.
fn raw(id: ComponentSectionId, component: &[u8], range: Range<usize>) -> Option<RawSection<'_>> {
    Some(RawSection {
        id: id.into(),
        data: component.get(range)?,
    })
}

/// Whether one of the types is a resource of the component's own, which may need a core function.
fn defines_resource(types: &ComponentTypeSectionReader<'_>) -> Option<bool> {
    for ty in types.clone() {
        if matches!(ty.ok()?, ComponentType::Resource { .. }) {
            return Some(true);
        }
    }
    Some(false)
}

/// Those of a section that are not of core modules and their instances.
fn aliases(section: ComponentAliasSectionReader<'_>) -> Option<ComponentAliasSection> {
    let mut left = ComponentAliasSection::new();
    for alias in section {
        let alias = alias.ok()?;
        let is_core = matches!(
            alias,
            ComponentAlias::CoreInstanceExport { .. }
                | ComponentAlias::Outer {
                    kind: ComponentOuterAliasKind::CoreModule,
                    ..
                }
        );
        if !is_core {
            left.alias(RoundtripReencoder.component_alias(alias).ok()?);
        }
    }
    Some(left)
}

fn module(module: &[u8]) -> Option<Vec<u8>> {
    let mut functions = Vec::new();
    let mut left = Imports::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload.ok()? {
            Payload::TypeSection(types) => {
                for group in types {
                    let types = group.ok()?.into_types();
                    functions.extend(types.map(|ty| match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => Some(ty),
                        _ => None,
                    }));
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    left.add(&import.ok()?, &functions)?;
                }
                break;
            }
            _ => {}
        }
    }
    let mut out = Module::new();
    out.section(&left.types).section(&left.imports);
    Some(out.finish())
}

/// What a core module imports.
#[derive(Default)]
struct Imports<'a> {
    /// Of the types those that are used, each once.
    types: TypeSection,
    imports: ImportSection,
    /// Their new numbers, by the old ones and by what they are.
    numbers: HashMap<u32, u32>,
    known: HashMap<FuncType, u32>,
    /// The imports by their names, and the types of imported functions. Repeated imports are kept once.
    seen: HashSet<(&'a str, &'a str, Option<u32>)>,
}

impl<'a> Imports<'a> {
    fn add(&mut self, import: &Import<'a>, functions: &[Option<FuncType>]) -> Option<()> {
        if self.imports.len() >= MAX_IMPORTS {
            return Some(());
        }
        // WASI has functions only; the size of anything else does not matter.
        let ty = match import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                EntityType::Function(self.function(ty, functions)?)
            }
            TypeRef::Tag(tag) => EntityType::Tag(TagType {
                kind: TagKind::Exception,
                func_type_idx: self.function(tag.func_type_idx, functions)?,
            }),
            TypeRef::Table(_) => EntityType::Table(TableType {
                element_type: RefType::FUNCREF,
                table64: false,
                minimum: 0,
                maximum: None,
                shared: false,
            }),
            TypeRef::Memory(_) => EntityType::Memory(MemoryType {
                minimum: 0,
                maximum: None,
                memory64: false,
                shared: false,
                page_size_log2: None,
            }),
            TypeRef::Global(global) => EntityType::Global(GlobalType {
                val_type: value(global.content_type),
                mutable: global.mutable,
                shared: false,
            }),
        };
        let function = match ty {
            EntityType::Function(number) => Some(number),
            _ => None,
        };
        if self.seen.insert((import.module, import.name, function)) {
            self.imports.import(import.module, import.name, ty);
        }
        Some(())
    }

    /// The new number of a function's type.
    fn function(&mut self, number: u32, functions: &[Option<FuncType>]) -> Option<u32> {
        if let Some(known) = self.numbers.get(&number) {
            return Some(*known);
        }
        let index = usize::try_from(number).ok()?;
        let ty = functions.get(index)?.as_ref()?;
        if let Some(known) = self.known.get(ty) {
            self.numbers.insert(number, *known);
            return Some(*known);
        }
        let new = self.types.len();
        let values = |types: &[wasmparser::ValType]| -> Vec<_> {
            types.iter().copied().map(value).collect()
        };
        self.types
            .ty()
            .function(values(ty.params()), values(ty.results()));
        self.numbers.insert(number, new);
        self.known.insert(ty.clone(), new);
        Some(new)
    }
}

/// A type of values. One reference is like another: WASI has none.
const fn value(ty: wasmparser::ValType) -> ValType {
    match ty {
        wasmparser::ValType::I32 => ValType::I32,
        wasmparser::ValType::I64 => ValType::I64,
        wasmparser::ValType::F32 => ValType::F32,
        wasmparser::ValType::F64 => ValType::F64,
        wasmparser::ValType::V128 => ValType::V128,
        wasmparser::ValType::Ref(_) => ValType::FUNCREF,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Ability, instrument_component, outline};

    fn left(text: &str) -> Vec<u8> {
        let left = imports_only(&wat::parse_str(text).unwrap()).unwrap();
        let validated = wasmparser::Validator::new().validate_all(&left);
        assert_eq!(validated.err().map(|e| e.to_string()), None, "{text}");
        left
    }

    /// A component that imports on both sides of its code.
    const COMPONENT: &str = r#"(component
        (import "a:b/one" (instance $one
          (export "r" (type $r (sub resource)))
          (export "[method]r.f" (func (param "self" (borrow $r))))))
        (alias export $one "r" (type $r))
        (component $inner)
        (core module $m (memory (export "memory") 1) (func (export "f")))
        (core instance $i (instantiate $m))
        (alias core export $i "f" (core func $f))
        (func $lifted (canon lift (core func $f)))
        (import "a:b/two" (instance (alias outer 1 $r (type $r2))
          (export "s" (type $s (eq $r2))) (export "g" (func (param "r" (own $s)))))))"#;

    #[test]
    fn imports_are_left_and_code_is_not() {
        let of_component = left(COMPONENT);
        let imports = outline(&of_component).unwrap().imports;
        assert_eq!(imports, ["a:b/one", "a:b/two"]);
        assert!(!of_component.windows(6).any(|bytes| bytes == b"memory"));
        let of_module = left(
            r#"(module (type (func (param f32))) (import "w" "f" (func (param i64) (result i32)))
               (import "w" "m" (memory 3)) (import "w" "g" (global (mut i32))) (import "w" "t" (table 1 externref))
               (import "w" "e" (tag (param i32))) (func (export "_start") unreachable))"#,
        );
        let outline = outline(&of_module).unwrap();
        assert_eq!(outline.imports, ["w.f", "w.m", "w.g", "w.t", "w.e"]);
        assert_eq!(outline.exports, [""; 0]);
    }

    #[test]
    fn one_of_another_type_is_left_however_many_come_before_it() {
        let same = r#"(import "w" "f" (func (type $a))) (import "w" "f" (func (type $b)))"#;
        let of_module = left(&format!(
            r#"(module (type $a (func (result i32))) (type $b (func (result i32))) (type $c (func))
               {} (import "w" "f" (func (type $c))))"#,
            same.repeat(1_001)
        ));
        let outline = outline(&of_module).unwrap();
        assert_eq!(outline.imports, ["w.f", "w.f"]);
    }

    #[test]
    fn what_is_left_can_be_made_to_stop_like_the_whole() {
        let stops = instrument_component(&left(COMPONENT), Ability::Stop).unwrap();
        assert!(stops.sites.is_ok());
        let again = imports_only(&stops.wasm).unwrap();
        let imports = outline(&again).unwrap().imports;
        assert!(imports.iter().any(|name| name == "a:b/two"), "{imports:?}");
    }

    #[test]
    fn what_is_malformed_or_out_of_proportion_has_nothing_left() {
        assert_eq!(imports_only(b"\0asm\x01\0\0\0\x02\x7f"), None);
        assert_eq!(imports_only(b"\0asm\x0d\0\x01\0\x0a\x7f"), None);
        let types = "(type (func (param \"a-parameter-with-a-long-name\" string)))".repeat(40_000);
        let large = wat::parse_str(format!("(component {types})")).unwrap();
        assert_eq!(imports_only(&large), None);
    }
}
