//! What has to be known of a whole module before any of its functions is rewritten.

use crate::{Obstacle, Refused, cost};
use std::collections::BTreeSet;
use wasmparser::{
    CompositeInnerType, Encoding, FuncType, FuncValidator, FuncValidatorAllocations, FunctionBody,
    Operator, Parser, Payload, TypeRef, ValType, ValidPayload, Validator, ValidatorResources,
    WasmFeatures,
};

/// The features that the pass can instrument. For other offered ones (`proposals`), wasmtime counts the fuel.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::MULTI_MEMORY)
    .union(WasmFeatures::EXTENDED_CONST)
    .union(WasmFeatures::EXCEPTIONS)
    .union(WasmFeatures::COMPONENT_MODEL);

/// A module, seen as a whole.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    pub(crate) types: Vec<FuncType>,
    /// The type of each tag.
    tags: Vec<u32>,
    /// The type of each function, imported ones first.
    pub(crate) function_types: Vec<u32>,
    pub(crate) imported_functions: u32,
    pub(crate) imported_memories: u32,
    pub(crate) memories: u32,
    /// The functions that are not imported.
    pub(crate) functions: Vec<Function>,
    pub(crate) start: Option<u32>,
    /// Of each imported function, whether it is part of the guest.
    guest_imports: Vec<bool>,
    /// Why a guest that contains this cannot be stopped, if it cannot.
    pub(crate) obstacle: Option<Obstacle>,
}

/// What matters of a function's body.
#[derive(Debug, Default)]
pub(crate) struct Function {
    /// Whether it may run for long: it has a loop, or calls a function that may, as far as is known. It then has a site
    /// at its beginning.
    pub(crate) has_site: bool,
    /// Bytes of stack that it occupies itself.
    pub(crate) stack: u64,
    /// Bytes of stack that must be left when it begins: its own and those of the calls that no site is in.
    pub(crate) stack_needed: u64,
    callees: BTreeSet<u32>,
    /// Those of them that take its place.
    tail_callees: BTreeSet<u32>,
}

impl Analysis {
    /// Validates a module and analyses it. `may_run_long` says whether an imported function is part of the guest.
    pub(crate) fn of(module: &[u8], may_run_long: &dyn Fn(u32) -> bool) -> Result<Self, Refused> {
        let mut analysis = Self::default();
        let mut validator = Validator::new_with_features(FEATURES);
        let mut allocations = FuncValidatorAllocations::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
                let mut validator = function.into_validator(allocations);
                let function = analysis.read(&mut validator, &body)?;
                analysis.functions.push(function);
                allocations = validator.into_allocations();
            }
            analysis.section(payload)?;
        }
        analysis.guest_imports = (0..analysis.imported_functions).map(may_run_long).collect();
        analysis.propagate();
        analysis.find_tail_calls();
        Ok(analysis)
    }

    /// A function that is not imported, by its number among all.
    pub(crate) fn function(&self, function: u32) -> Option<&Function> {
        let index = function.checked_sub(self.imported_functions)?;
        self.functions.get(usize::try_from(index).ok()?)
    }

    /// Whether the guest can be stopped while `function` runs.
    pub(crate) fn may_stop(&self, function: u32) -> bool {
        let imported = usize::try_from(function).ok();
        let imported = imported.and_then(|index| self.guest_imports.get(index).copied());
        imported.unwrap_or_else(|| self.function(function).is_some_and(|f| f.has_site))
    }

    pub(crate) fn type_at(&self, ty: u32) -> Option<&FuncType> {
        self.types.get(usize::try_from(ty).ok()?)
    }

    /// What an exception with this tag carries.
    pub(crate) fn carried(&self, tag: u32) -> Option<&[ValType]> {
        let ty = *self.tags.get(usize::try_from(tag).ok()?)?;
        Some(self.type_at(ty)?.params())
    }

    pub(crate) fn type_of(&self, function: u32) -> Option<&FuncType> {
        let index = usize::try_from(function).ok()?;
        self.type_at(*self.function_types.get(index)?)
    }

    /// Takes note of the first thing that keeps the guest from being stopped.
    fn obstacle(&mut self, function: Option<u32>, reason: impl Into<String>) {
        if self.obstacle.is_none() {
            self.obstacle = Some(Obstacle::new(function, reason));
        }
    }

    /// A function that took another's place on the stack could not be found there again.
    fn find_tail_calls(&mut self) {
        let found = (self.imported_functions..)
            .zip(&self.functions)
            .find(|(_, function)| {
                function
                    .tail_callees
                    .iter()
                    .any(|callee| self.may_stop(*callee))
            });
        if let Some((number, _)) = found {
            self.obstacle(Some(number), "return_call");
        }
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), Refused> {
        match payload {
            // Its modules would follow, and be taken for parts of one.
            Payload::Version {
                encoding: Encoding::Component,
                ..
            } => return Err(Refused::Shape("a component where a core module belongs")),
            Payload::TypeSection(types) => {
                for group in types {
                    for ty in group?.into_types() {
                        let CompositeInnerType::Func(ty) = ty.composite_type.inner else {
                            return Err(Refused::Shape("types that are no functions"));
                        };
                        self.types.push(ty);
                    }
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    match import?.ty {
                        TypeRef::Func(ty) => {
                            self.function_types.push(ty);
                            self.imported_functions += 1;
                        }
                        TypeRef::Memory(_) => {
                            self.imported_memories += 1;
                            self.memories += 1;
                        }
                        TypeRef::Table(_) | TypeRef::Global(_) => {}
                        TypeRef::Tag(_) | TypeRef::FuncExact(_) => {
                            return Err(Refused::Shape("imported tags"));
                        }
                    }
                }
            }
            Payload::FunctionSection(functions) => {
                for ty in functions {
                    self.function_types.push(ty?);
                }
            }
            Payload::MemorySection(memories) => self.memories += memories.count(),
            Payload::TagSection(tags) => {
                for tag in tags {
                    self.tags.push(tag?.func_type_idx);
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals {
                    let ty = global?.ty;
                    if ty.mutable && matches!(ty.content_type, ValType::Ref(_)) {
                        self.obstacle(None, "a mutable global that is a reference");
                    }
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            _ => {}
        }
        Ok(())
    }

    /// Validates a body and looks at it.
    fn read(
        &mut self,
        validator: &mut FuncValidator<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<Function, Refused> {
        let mut function = Function::default();
        let number = validator.index();
        validator.read_locals(&mut body.get_binary_reader())?;
        let locals =
            (0..validator.len_locals()).filter_map(|local| validator.get_local_type(local));
        let mut stack = locals.map(cost::stack).sum::<u64>() + cost::FRAME_BYTES;
        let (mut height, mut vectors) = (0, false);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            match &operator {
                Operator::Loop { .. } | Operator::CallIndirect { .. } => function.has_site = true,
                Operator::ReturnCallIndirect { .. } => {
                    function.has_site = true;
                    self.obstacle(Some(number), "return_call_indirect");
                }
                Operator::TryTable { .. } | Operator::Throw { .. } | Operator::ThrowRef => {
                    self.obstacle(Some(number), "exceptions");
                }
                Operator::Call { function_index } => {
                    function.callees.insert(*function_index);
                }
                Operator::ReturnCall { function_index } => {
                    function.callees.insert(*function_index);
                    function.tail_callees.insert(*function_index);
                }
                _ => {
                    if let Some(reason) = changes_what_is_not_kept(&operator) {
                        self.obstacle(Some(number), reason);
                    }
                }
            }
            validator.op(offset, &operator)?;
            height = height.max(validator.operand_stack_height());
            vectors |= matches!(validator.get_operand_type(0), Some(Some(ValType::V128)));
        }
        operators.finish()?;
        let value = if vectors { ValType::V128 } else { ValType::I64 };
        stack += u64::from(height) * cost::stack(value);
        (function.stack, function.stack_needed) = (stack, stack);
        Ok(function)
    }

    /// Decides which functions have a site: all but those that certainly end by themselves, because they have no loop
    /// and call only such functions.
    fn propagate(&mut self) {
        for function in &mut self.functions {
            let long = |callee: &u32| {
                let index = usize::try_from(*callee).unwrap_or(usize::MAX);
                self.guest_imports.get(index).copied().unwrap_or(false)
            };
            function.has_site |= function.callees.iter().any(long);
        }
        let order = self.callees_first();
        for (index, is_recursive) in order {
            let needed = self.functions.get(index).map(|function| {
                let callees = function.callees.iter();
                let inner = callees.filter_map(|callee| self.function(*callee));
                let long = is_recursive || inner.clone().any(|callee| callee.has_site);
                let below = inner
                    .filter(|callee| !callee.has_site)
                    .map(|callee| callee.stack_needed)
                    .max();
                (long, function.stack.saturating_add(below.unwrap_or(0)))
            });
            if let (Some((long, needed)), Some(function)) = (needed, self.functions.get_mut(index))
            {
                function.has_site |= long;
                function.stack_needed = needed;
            }
        }
    }

    /// The functions, each after those that it calls. Each has a mark that says whether it calls one that was not
    /// finished before it: itself, or one that leads back to it.
    fn callees_first(&self) -> Vec<(usize, bool)> {
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Mark {
            Unseen,
            Open,
            Done,
        }
        let mut marks = vec![Mark::Unseen; self.functions.len()];
        let mut order = Vec::with_capacity(self.functions.len());
        for root in 0..self.functions.len() {
            // The functions being visited, each with its remaining callees, and whether it calls one further down in
            // this list.
            let mut path: Vec<(usize, Vec<usize>, bool)> = Vec::new();
            let mut next = Some(root);
            loop {
                if let Some(index) = next.take()
                    && let Some(mark @ Mark::Unseen) = marks.get_mut(index)
                {
                    *mark = Mark::Open;
                    path.push((index, self.callees_of(index), false));
                }
                let Some((index, callees, recursive)) = path.last_mut() else {
                    break;
                };
                match callees.pop() {
                    Some(callee) => {
                        *recursive |= marks.get(callee) == Some(&Mark::Open);
                        next = Some(callee);
                    }
                    None => {
                        if let Some(mark) = marks.get_mut(*index) {
                            *mark = Mark::Done;
                        }
                        order.push((*index, *recursive));
                        path.pop();
                    }
                }
            }
        }
        order
    }

    fn callees_of(&self, index: usize) -> Vec<usize> {
        let callees = self.functions.get(index).into_iter();
        callees
            .flat_map(|function| &function.callees)
            .filter_map(|callee| callee.checked_sub(self.imported_functions))
            .filter_map(|callee| usize::try_from(callee).ok())
            .collect()
    }
}

/// Names an operator that changes state that cannot be read back: tables, and which segments were dropped.
const fn changes_what_is_not_kept(operator: &Operator<'_>) -> Option<&'static str> {
    Some(match operator {
        Operator::TableSet { .. } => "table.set",
        Operator::TableGrow { .. } => "table.grow",
        Operator::TableFill { .. } => "table.fill",
        Operator::TableCopy { .. } => "table.copy",
        Operator::TableInit { .. } => "table.init",
        Operator::ElemDrop { .. } => "elem.drop",
        Operator::DataDrop { .. } => "data.drop",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
