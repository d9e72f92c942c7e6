//! What has to be known of a whole module before any of its functions is rewritten.

use crate::{Refused, cost};
use std::collections::BTreeSet;
use wasmparser::{
    CompositeInnerType, FuncType, FuncValidator, FuncValidatorAllocations, FunctionBody, Operator,
    Parser, Payload, TypeRef, ValType, ValidPayload, Validator, ValidatorResources, WasmFeatures,
};

/// Everything that is handled. Threads and relaxed operators can give several results; what is missing
/// besides are exceptions, garbage collection and `externref`, 64-bit memories and stack switching.
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
    .union(WasmFeatures::COMPONENT_MODEL);

/// A module, seen as a whole.
#[derive(Debug, Default)]
pub(crate) struct Analysis {
    pub(crate) types: Vec<FuncType>,
    /// The type of each function, imported ones first.
    pub(crate) function_types: Vec<u32>,
    pub(crate) imported_functions: u32,
    pub(crate) imported_memories: u32,
    pub(crate) memories: u32,
    /// The functions that are not imported.
    pub(crate) functions: Vec<Function>,
    pub(crate) start: Option<u32>,
}

/// What matters of a function's body.
#[derive(Debug, Default)]
pub(crate) struct Function {
    /// Whether it may go on for long: it has a loop, or calls a function of which that is not excluded.
    /// It then has a site where it begins.
    pub(crate) has_site: bool,
    /// Bytes of stack that it occupies itself.
    pub(crate) stack: u64,
    /// Bytes of stack that must be left when it begins: its own and those of the calls that no site is in.
    pub(crate) stack_needed: u64,
    callees: BTreeSet<u32>,
}

impl Analysis {
    /// Validates a module and looks at it. `may_run_long` says whether an imported function is part of
    /// the guest.
    pub(crate) fn of(module: &[u8], may_run_long: &dyn Fn(u32) -> bool) -> Result<Self, Refused> {
        let mut analysis = Self::default();
        let mut validator = Validator::new_with_features(FEATURES);
        let mut allocations = FuncValidatorAllocations::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            if let ValidPayload::Func(function, body) = validator.payload(&payload)? {
                let mut validator = function.into_validator(allocations);
                let function = analysis.function(&mut validator, &body)?;
                analysis.functions.push(function);
                allocations = validator.into_allocations();
            }
            analysis.section(payload)?;
        }
        analysis.propagate(may_run_long);
        Ok(analysis)
    }

    fn section(&mut self, payload: Payload<'_>) -> Result<(), Refused> {
        match payload {
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
            Payload::StartSection { func, .. } => self.start = Some(func),
            _ => {}
        }
        Ok(())
    }

    /// Validates a body and looks at it.
    fn function(
        &self,
        validator: &mut FuncValidator<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<Function, Refused> {
        let mut function = Function::default();
        validator.read_locals(&mut body.get_binary_reader())?;
        let locals =
            (0..validator.len_locals()).filter_map(|local| validator.get_local_type(local));
        let mut stack = locals.map(cost::stack).sum::<u64>() + cost::FRAME_BYTES;
        let (mut height, mut vectors) = (0, false);
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            match &operator {
                Operator::Loop { .. }
                | Operator::CallIndirect { .. }
                | Operator::ReturnCallIndirect { .. } => function.has_site = true,
                Operator::Call { function_index } | Operator::ReturnCall { function_index } => {
                    function.callees.insert(*function_index);
                }
                _ => {}
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

    /// Decides which functions have a site: all but those that come to an end by themselves, since they
    /// have no loop and call only such functions.
    fn propagate(&mut self, may_run_long: &dyn Fn(u32) -> bool) {
        let imported = self.imported_functions;
        for function in &mut self.functions {
            let long = |callee: &u32| *callee < imported && may_run_long(*callee);
            function.has_site |= function.callees.iter().any(long);
        }
        let order = self.callees_first();
        for (index, is_recursive) in order {
            let needed = self.functions.get(index).map(|function| {
                let callees = function.callees.iter();
                let inner = callees.filter_map(|callee| self.defined(*callee));
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

    fn defined(&self, function: u32) -> Option<&Function> {
        let index = function.checked_sub(self.imported_functions)?;
        self.functions.get(usize::try_from(index).ok()?)
    }

    /// The functions in an order in which each comes after those that it calls, and whether it calls
    /// one that was not finished before it: itself, or one that leads back to it.
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
            // Functions that are being looked at, each with the callees that are left and whether it
            // calls one of those beneath it.
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
