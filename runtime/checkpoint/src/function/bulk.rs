//! Operators that cost by what they move.

use super::Emitter;
use crate::Refused;
use wasm_encoder::{Instruction as I, reencode::Reencode};
use wasmparser::Operator;

impl<R: Reencode<Error = Refused>> Emitter<'_, '_, R> {
    /// Charges for the length on top of the stack.
    pub(super) fn charge_length(&mut self, log2: u32) {
        let (fuel, length) = (self.fuel, self.length);
        self.emit([I::LocalTee(length), I::LocalGet(fuel), I::LocalGet(length)]);
        self.units(log2, I::I64ShrU);
        self.emit([I::I64Sub, I::LocalSet(fuel)]);
    }

    /// Makes units of the 32-bit number on top of the stack.
    pub(super) fn units(&mut self, log2: u32, shift: I<'_>) {
        self.emit([I::I64ExtendI32U]);
        if log2 > 0 {
            self.emit([I::I64Const(log2.into()), shift]);
        }
    }

    /// Grows a memory or table by the number on top of the stack, and charges for it if that succeeds.
    pub(super) fn grow(&mut self, operator: &Operator<'_>, log2: u32) -> Result<(), Refused> {
        let (fuel, length, result) = (self.fuel, self.length, self.result);
        self.emit([I::LocalTee(length)]);
        self.operator(operator)?;
        self.emit([I::LocalTee(result), I::LocalGet(fuel), I::LocalGet(length)]);
        self.units(log2, I::I64Shl);
        self.emit([
            I::I64Const(0),
            I::LocalGet(result),
            I::I32Const(-1),
            I::I32Ne,
            I::Select,
            I::I64Sub,
            I::LocalSet(fuel),
        ]);
        Ok(())
    }
}
