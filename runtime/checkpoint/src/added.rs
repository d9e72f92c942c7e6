//! What a module has in addition when it can be stopped.

use crate::{Refused, meter, pass::Pass, plan::Page};
use wasm_encoder::{BlockType, CodeSection, Function, FunctionSection, Instruction as I, MemArg};
use wasmparser::ValType;

/// The mutable globals of a module, each with its offset in the meter's memory.
pub(crate) struct Globals {
    all: Vec<(u32, ValType, u32)>,
    pub(crate) end: u32,
}

/// Lays out globals from `offset` on, without gaps.
pub(crate) fn layout(globals: &[(u32, ValType)], mut offset: u32) -> Result<Globals, Refused> {
    let mut all = Vec::new();
    for (number, ty) in globals {
        all.push((*number, *ty, offset));
        offset = offset.saturating_add(match ty {
            ValType::V128 => 16,
            _ => 8,
        });
    }
    if offset > meter::FRAMES {
        return Err(Refused::Shape("more globals than are handled"));
    }
    Ok(Globals { all, end: offset })
}

/// Adds functions to a module.
pub(crate) struct Added<'a, 'b> {
    pass: &'a mut Pass<'b>,
}

impl<'a, 'b> Added<'a, 'b> {
    pub(crate) const fn new(pass: &'a mut Pass<'b>) -> Self {
        Self { pass }
    }

    pub(crate) fn may_stop(&self, function: u32) -> bool {
        self.pass.analysis.may_stop(function)
    }

    /// Where the globals of the module begin.
    pub(crate) const fn globals(&self) -> u32 {
        self.pass.plan.globals
    }

    /// The memories of the module's own, each by its number among them and its number in the new module.
    pub(crate) fn memories(&self) -> impl Iterator<Item = (u32, u32)> + use<> {
        let analysis = self.pass.analysis;
        let imported = analysis.imported_memories;
        // An imported meter comes between.
        let shift = u32::from(self.pass.plan.page == Page::Imported);
        (0..analysis.memories - imported).map(move |number| (number, imported + number + shift))
    }

    /// A function like `function`, within which the guest is not stopped.
    pub(crate) fn hold(
        &mut self,
        functions: &mut FunctionSection,
        code: &mut CodeSection,
        function: u32,
    ) -> Result<u32, Refused> {
        let missing = Refused::Shape("an export of no function");
        let signature = self.pass.analysis.type_of(function);
        let signature = signature.ok_or_else(|| missing.clone())?;
        let params = signature.params().len();
        let index = usize::try_from(function).unwrap_or(usize::MAX);
        let ty = self.pass.analysis.function_types.get(index);
        let ty = *ty.ok_or(missing)?;
        let mut body = Function::new([]);
        // In a guest that was stopped just now, the returned value means nothing and must not be freed.
        let fuel = MemArg {
            align: 3,
            ..self.at(meter::FUEL_LEFT)
        };
        for instruction in [
            I::I32Const(0),
            I::I64Load(fuel),
            I::I64Const(meter::LEAST_FUEL),
            I::I64LtS,
            I::If(BlockType::Empty),
        ] {
            body.instruction(&instruction);
        }
        for result in signature.results() {
            body.instruction(&crate::function::zero(*result)?);
        }
        body.instruction(&I::Return).instruction(&I::End);
        self.mode(&mut body, I::I32Add);
        for param in 0..params {
            body.instruction(&I::LocalGet(u32::try_from(param).unwrap_or(u32::MAX)));
        }
        body.instruction(&I::Call(function));
        self.mode(&mut body, I::I32Sub);
        body.instruction(&I::End);
        Ok(self.add(functions, code, ty, &body))
    }

    /// A start function like `function`, which does nothing in a guest that is resumed.
    pub(crate) fn hold_start(
        &mut self,
        functions: &mut FunctionSection,
        code: &mut CodeSection,
        function: u32,
    ) -> Result<u32, Refused> {
        let mut body = Function::new([]);
        let at = self.at(meter::MODE);
        for instruction in [
            I::I32Const(0),
            I::I32Load(at),
            I::I32Const(0),
            I::I32GeS,
            I::If(BlockType::Empty),
        ] {
            body.instruction(&instruction);
        }
        self.mode(&mut body, I::I32Add);
        body.instruction(&I::Call(function));
        self.mode(&mut body, I::I32Sub);
        body.instruction(&I::End).instruction(&I::End);
        let ty = self.pass.types.number(&[], &[]);
        Ok(self.add(functions, code, ty, &body))
    }

    /// A function that copies globals to the meter's memory, or back.
    pub(crate) fn copy(
        &mut self,
        functions: &mut FunctionSection,
        code: &mut CodeSection,
        globals: &Globals,
        is_save: bool,
    ) -> Result<u32, Refused> {
        let mut body = Function::new([]);
        for (global, ty, offset) in &globals.all {
            let at = MemArg {
                offset: u64::from(*offset),
                align: 0,
                memory_index: self.pass.meter,
            };
            body.instruction(&I::I32Const(0));
            if is_save {
                body.instruction(&I::GlobalGet(*global));
                body.instruction(&crate::function::store(*ty, at)?);
            } else {
                body.instruction(&crate::function::load(*ty, at)?);
                body.instruction(&I::GlobalSet(*global));
            }
        }
        body.instruction(&I::End);
        let ty = self.pass.types.number(&[], &[]);
        Ok(self.add(functions, code, ty, &body))
    }

    fn add(
        &mut self,
        functions: &mut FunctionSection,
        code: &mut CodeSection,
        ty: u32,
        body: &Function,
    ) -> u32 {
        functions.function(ty);
        code.function(body);
        self.pass.added += 1;
        self.pass.added - 1
    }

    const fn at(&self, offset: u64) -> MemArg {
        MemArg {
            offset,
            align: 2,
            memory_index: self.pass.meter,
        }
    }

    /// Changes by one how many calls are open that must return to the host.
    fn mode(&self, body: &mut Function, operator: I<'_>) {
        let at = self.at(meter::MODE);
        for instruction in [
            I::I32Const(0),
            I::I32Const(0),
            I::I32Load(at),
            I::I32Const(1),
            operator,
            I::I32Store(at),
        ] {
            body.instruction(&instruction);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globals_lie_one_after_the_other_and_never_over_frames() {
        let all = [(3, ValType::I32), (5, ValType::V128), (6, ValType::F64)];
        let globals = layout(&all, meter::GLOBALS).unwrap();
        let offsets: Vec<_> = globals.all.iter().map(|(_, _, offset)| *offset).collect();
        let begin = meter::GLOBALS;
        assert_eq!(offsets, [begin, begin + 8, begin + 24]);
        assert_eq!(globals.end, begin + 32);
        let room = usize::try_from((meter::FRAMES - begin) / 8).unwrap();
        let mut many = vec![(0, ValType::I64); room];
        assert!(layout(&many, begin).is_ok());
        many.push((0, ValType::I64));
        assert!(layout(&many, begin).is_err());
    }
}
