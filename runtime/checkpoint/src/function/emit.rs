//! Single instructions, blocks and slots.

use super::Emitter;
use crate::{Refused, tree::Label};
use wasm_encoder::{BlockType, Encode, Instruction as I, MemArg, reencode::Reencode};
use wasmparser::{Operator, ValType};

impl<R: Reencode<Error = Refused>> Emitter<'_, '_, R> {
    pub(super) fn emit<const N: usize>(&mut self, instructions: [I<'_>; N]) {
        for instruction in &instructions {
            instruction.encode(&mut self.code);
        }
    }

    pub(super) fn operator(&mut self, operator: &Operator<'_>) -> Result<(), Refused> {
        let instruction = self.reencode.instruction(operator.clone())?;
        self.emit([instruction]);
        Ok(())
    }

    pub(super) fn new_label(&mut self) -> Label {
        self.positions.push(0);
        u32::try_from(self.positions.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes note that a block was opened.
    pub(super) fn opened(&mut self, label: Label) {
        let position = usize::try_from(label).ok();
        if let Some(place) = position.and_then(|index| self.positions.get_mut(index)) {
            *place = self.open;
        }
        self.open += 1;
    }

    pub(super) fn block(&mut self, label: Label, ty: BlockType) {
        self.emit([I::Block(ty)]);
        self.opened(label);
    }

    /// Begins a block that is followed by code that hardly ever runs. A branch that is never taken tells the compiler
    /// so.
    pub(super) fn block_unlikely(&mut self, label: Label) {
        self.block(label, BlockType::Empty);
        self.emit([I::I32Const(0)]);
        self.hints.push((self.code.len(), false));
        self.emit([I::BrIf(0)]);
    }

    /// Ends the block that was opened last.
    pub(super) fn end(&mut self) {
        self.emit([I::End]);
        self.open = self.open.saturating_sub(1);
    }

    /// How many blocks a branch to `label` leaves.
    pub(super) fn depth(&self, label: Label) -> u32 {
        let position = usize::try_from(label).ok();
        let position = position
            .and_then(|index| self.positions.get(index))
            .copied();
        let depth = self.open.saturating_sub(1 + position.unwrap_or_default());
        u32::try_from(depth).unwrap_or(u32::MAX)
    }

    pub(super) fn branch(&mut self, label: Label) {
        let depth = self.depth(label);
        self.emit([I::Br(depth)]);
    }

    /// Begins code that is hardly ever reached, if what is on the stack is not zero.
    pub(super) fn if_unlikely(&mut self) -> Label {
        self.hints.push((self.code.len(), false));
        self.begin_if()
    }

    /// Begins code that is reached if what is on the stack is not zero.
    pub(super) fn begin_if(&mut self) -> Label {
        self.emit([I::If(BlockType::Empty)]);
        let label = self.new_label();
        self.opened(label);
        label
    }

    /// Branches to `label` if the top of the stack is not zero. A hint tells the compiler that it nearly always does,
    /// so that the code after it moves out of the way: where this is used, both cases are rare.
    pub(super) fn branch_off(&mut self, label: Label) {
        let depth = self.depth(label);
        self.hints.push((self.code.len(), true));
        self.emit([I::BrIf(depth)]);
    }

    pub(super) const fn at(&self, offset: u64, align: u32) -> MemArg {
        MemArg {
            offset,
            align,
            memory_index: self.context.meter,
        }
    }

    /// Pushes a 64-bit word of the page.
    pub(super) fn load_long(&mut self, offset: u64) {
        let at = self.at(offset, 3);
        self.emit([I::I32Const(0), I::I64Load(at)]);
    }

    /// Pushes a 32-bit word of the page.
    pub(super) fn load_word(&mut self, offset: u64) {
        let at = self.at(offset, 2);
        self.emit([I::I32Const(0), I::I32Load(at)]);
    }

    pub(super) fn slot(&mut self, height: usize, ty: ValType) -> Result<u32, Refused> {
        if let Some(slot) = self.slots.get(&(height, ty)) {
            return Ok(*slot);
        }
        let slot = self.body.locals.len() + self.added.len();
        let slot = u32::try_from(slot).unwrap_or(u32::MAX);
        self.added.push(self.reencode.val_type(ty)?);
        self.slots.insert((height, ty), slot);
        Ok(slot)
    }

    /// Moves the operands above `base` from the stack to their slots.
    pub(super) fn put_away(&mut self, base: usize, operands: &[ValType]) -> Result<(), Refused> {
        for (height, ty) in operands.iter().enumerate().skip(base).rev() {
            let slot = self.slot(height, *ty)?;
            self.emit([I::LocalSet(slot)]);
        }
        Ok(())
    }

    /// Copies the operands above `base` from their slots to the stack.
    pub(super) fn take_out(&mut self, base: usize, operands: &[ValType]) -> Result<(), Refused> {
        for (height, ty) in operands.iter().enumerate().skip(base) {
            let slot = self.slot(height, *ty)?;
            self.emit([I::LocalGet(slot)]);
        }
        Ok(())
    }
}
