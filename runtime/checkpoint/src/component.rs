//! Rewriting a component.
//!
//! In front of everything else comes a [prelude]: a core module with the meter's memory, and one that passes it to the
//! host. The memory is then one more import of each core module of the component. The indices of everything after the
//! prelude shift by what the prelude adds.
//!
//! If the guest can be stopped, [agents] follow after everything else, and resources become plain numbers: nobody can
//! read wasmtime's tables of handles, so there must be no handles in them. A core module cannot tell the difference.

mod agents;
mod prelude;
mod scan;

use crate::{
    Obstacle, Refused, Sites,
    analysis::FEATURES,
    meter, module,
    plan::{Ability, Page, Plan, Program},
};
use scan::{Counts, Scan};
use wasm_encoder::{
    Alias, CanonicalFunctionSection, Component, ComponentAliasSection, ComponentDefinedTypeEncoder,
    ComponentSectionId, InstanceSection, InstanceType, ModuleArg, PrimitiveValType, RawSection,
    reencode::{Error, Reencode, ReencodeComponent, component_utils},
};
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentAliasSectionReader, ComponentDefinedType, Instance,
    InstanceTypeDeclaration, Parser, Validator,
};

/// Rewrites a component, if possible so that it can be stopped.
pub(crate) fn instrument(component: &[u8], ability: Ability) -> Result<Program, Refused> {
    // With their proposals the validator also refuses what could not be rewritten.
    Validator::new_with_features(FEATURES).validate_all(component)?;
    let scan = Scan::of(component)?;
    let obstacle = match &scan.obstacle {
        Some(obstacle) => obstacle.clone(),
        None => {
            let (wasm, rewrite) = rewrite(component, &scan, ability)?;
            let obstacle = rewrite.obstacle.or_else(|| check(&wasm).err());
            match obstacle {
                Some(obstacle) => obstacle,
                None => {
                    return Ok(Program {
                        wasm,
                        sites: Ok(Sites {
                            globals_bytes: rewrite.globals - meter::GLOBALS,
                            ..rewrite.sites
                        }),
                    });
                }
            }
        }
    };
    let (wasm, _) = rewrite(component, &scan, Ability::Count)?;
    Ok(Program {
        wasm,
        sites: Err(obstacle),
    })
}

/// Whether the result is valid: some uses of resources have no equivalent with plain numbers.
fn check(component: &[u8]) -> Result<(), Obstacle> {
    let checked = Validator::new_with_features(FEATURES).validate_all(component);
    checked.map(drop).map_err(|error| {
        let reason = format!("resources in a form that is not handled: {error}");
        Obstacle::new(None, reason)
    })
}

fn rewrite<'a>(
    component: &[u8],
    scan: &'a Scan,
    ability: Ability,
) -> Result<(Vec<u8>, Rewrite<'a>), Refused> {
    let mut out = Component::new();
    let stops = ability >= Ability::Stop;
    prelude::emit(&mut out, stops);
    let mut rewrite = Rewrite {
        scan,
        moves: prelude::counts(stops),
        stops,
        ability,
        depth: 0,
        module: 0,
        globals: meter::GLOBALS,
        sites: Sites::default(),
        memories: Vec::new(),
        obstacle: None,
    };
    rewrite.parse_component(&mut out, Parser::new(0), component)?;
    if stops && rewrite.obstacle.is_none() {
        let used = scan.counts.plus(rewrite.moves);
        agents::emit(&mut out, scan, &rewrite.memories, used);
    }
    Ok((out.finish(), rewrite))
}

/// Copies a component with indices shifted, modules instrumented, and the meter passed to each.
struct Rewrite<'a> {
    scan: &'a Scan,
    /// By how much numbers move on.
    moves: Counts,
    /// Whether the guest is to be such that it can be stopped.
    stops: bool,
    ability: Ability,
    /// How deep in nested components and types; the prelude's numbers are those of depth 0.
    depth: u32,
    /// Which module comes next.
    module: u32,
    /// Where its globals are.
    globals: u32,
    sites: Sites,
    /// How many memories the modules so far have of their own.
    memories: Vec<u32>,
    obstacle: Option<Obstacle>,
}

impl Rewrite<'_> {
    const fn moved(&self, number: u32, by: u32) -> u32 {
        if self.depth == 0 { number + by } else { number }
    }

    fn plain_name(&self, name: &str) -> Option<String> {
        self.stops.then(|| plain_name(name)).flatten()
    }

    /// A number that a nested scope uses for something `count` scopes further out.
    const fn outer(&self, count: u32, number: u32, by: u32) -> u32 {
        if count == self.depth {
            number + by
        } else {
            number
        }
    }
}

/// The name for a function of a resource where resources are plain numbers: a name that promises nothing of the
/// function's parameters. Nothing if it is an ordinary name.
#[must_use]
pub fn plain_name(name: &str) -> Option<String> {
    let (kind, rest) = name.strip_prefix('[')?.split_once(']')?;
    Some(format!("{kind}-{}", rest.replace('.', "-")))
}

impl Reencode for Rewrite<'_> {
    type Error = Refused;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Refused>> {
        Ok(self.moved(function, self.moves.core_functions))
    }

    fn memory_index(&mut self, memory: u32) -> Result<u32, Error<Refused>> {
        Ok(self.moved(memory, self.moves.core_memories))
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
        self.moved(ty, self.moves.types)
    }

    fn outer_component_type_index(&mut self, count: u32, ty: u32) -> u32 {
        self.outer(count, ty, self.moves.types)
    }

    fn component_func_index(&mut self, function: u32) -> u32 {
        self.moved(function, self.moves.functions)
    }

    fn module_index(&mut self, module: u32) -> u32 {
        self.moved(module, self.moves.modules)
    }

    fn outer_module_index(&mut self, count: u32, module: u32) -> u32 {
        self.outer(count, module, self.moves.modules)
    }

    fn instance_index(&mut self, instance: u32) -> u32 {
        self.moved(instance, self.moves.core_instances)
    }

    fn parse_component_submodule(
        &mut self,
        component: &mut Component,
        _: Parser,
        module: &[u8],
    ) -> Result<(), Error<Refused>> {
        let number = self.module;
        self.module += 1;
        let guest = self.scan.guest_functions(number);
        let is_guest = |function: u32| {
            let index = usize::try_from(function).unwrap_or(usize::MAX);
            guest.get(index).copied().unwrap_or(true)
        };
        let plan = Plan {
            page: Page::Imported,
            number,
            is_guest: &is_guest,
            held: self.scan.held(number),
            globals: self.globals,
            ability: self.ability,
        };
        let module = module::instrument(module, plan).map_err(Error::UserError)?;
        component.section(&RawSection {
            id: ComponentSectionId::CoreModule.into(),
            data: &module.wasm,
        });
        self.globals = module.globals_end;
        self.sites.memories += module.memories;
        self.sites.modules.push(module.sites);
        self.sites.imported.push(module.imported);
        self.memories.push(module.memories);
        if let Some(obstacle) = module.obstacle {
            self.obstacle.get_or_insert(obstacle);
        }
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
            return component_utils::parse_instance(self, instances, instance);
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
        let page = ModuleArg::Instance(prelude::PAGE_INSTANCE);
        new.push((meter::IMPORT_MODULE, page));
        instances.instantiate(self.module_index(module_index), new);
        Ok(())
    }

    fn parse_component_defined_type(
        &mut self,
        encoder: ComponentDefinedTypeEncoder<'_>,
        ty: ComponentDefinedType<'_>,
    ) -> Result<(), Error<Refused>> {
        match ty {
            // One is signed, so that the host can tell which is which.
            ComponentDefinedType::Own(_) if self.stops => {
                encoder.primitive(PrimitiveValType::S32);
                Ok(())
            }
            ComponentDefinedType::Borrow(_) if self.stops => {
                encoder.primitive(PrimitiveValType::U32);
                Ok(())
            }
            ty => component_utils::parse_component_defined_type(self, encoder, ty),
        }
    }

    fn parse_component_instance_type_declaration(
        &mut self,
        instance: &mut InstanceType,
        declaration: InstanceTypeDeclaration<'_>,
    ) -> Result<(), Error<Refused>> {
        if let InstanceTypeDeclaration::Export { name, ty } = &declaration
            && let Some(name) = self.plain_name(name.name)
        {
            let ty = self.component_type_ref(*ty)?;
            instance.export(name.as_str(), ty);
            return Ok(());
        }
        component_utils::parse_component_instance_type_declaration(self, instance, declaration)
    }

    fn parse_component_alias_section(
        &mut self,
        aliases: &mut ComponentAliasSection,
        section: ComponentAliasSectionReader<'_>,
    ) -> Result<(), Error<Refused>> {
        for alias in section {
            let alias = alias?;
            if let ComponentAlias::InstanceExport {
                kind,
                instance_index,
                name,
            } = alias
                && let Some(name) = self.plain_name(name)
            {
                let instance = self.component_instance_index(instance_index);
                aliases.alias(Alias::InstanceExport {
                    instance,
                    kind: kind.into(),
                    name: &name,
                });
                continue;
            }
            let alias = self.component_alias(alias)?;
            aliases.alias(alias);
        }
        Ok(())
    }

    fn parse_component_canonical(
        &mut self,
        functions: &mut CanonicalFunctionSection,
        function: CanonicalFunction,
    ) -> Result<(), Error<Refused>> {
        match function {
            CanonicalFunction::ResourceDrop { .. } if self.stops => {
                functions.lower(prelude::DROP, []);
                Ok(())
            }
            function => component_utils::parse_component_canonical(self, functions, function),
        }
    }
}

#[cfg(test)]
mod tests;
