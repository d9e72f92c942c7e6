//! Fuel, stack, and what happens at a site.

use super::Emitter;
use crate::{Refused, meter, tree::SiteIndex};
use wasm_encoder::{BlockType, Instruction as I, reencode::Reencode};

impl<R: Reencode<Error = Refused>> Emitter<'_, '_, R> {
    pub(super) fn read_fuel(&mut self) {
        let fuel = self.fuel;
        self.load_long(meter::FUEL_LEFT);
        self.emit([I::LocalSet(fuel)]);
    }

    pub(super) fn write_fuel(&mut self) {
        let (fuel, at) = (self.fuel, self.at(meter::FUEL_LEFT, 3));
        self.emit([I::I32Const(0), I::LocalGet(fuel), I::I64Store(at)]);
    }

    /// Gives back the stack that the function occupied.
    pub(super) fn release_stack(&mut self) {
        if self.body.has_entry {
            let (stack, at) = (self.stack, self.at(meter::STACK_LEFT, 2));
            self.emit([I::I32Const(0), I::LocalGet(stack), I::I64Store32(at)]);
        }
    }

    /// Takes the stack that the function occupies, when a callee has not returned its own.
    pub(super) fn take_stack(&mut self) {
        if self.body.has_entry {
            let (stack, own) = (self.stack, saturated(self.context.function.stack));
            let at = self.at(meter::STACK_LEFT, 2);
            self.emit([
                I::I32Const(0),
                I::LocalGet(stack),
                I::I64Const(own),
                I::I64Sub,
                I::I64Store32(at),
            ]);
        }
    }

    pub(super) fn flush(&mut self) {
        if self.cost > 0 {
            let (fuel, cost) = (self.fuel, i64::try_from(self.cost).unwrap_or(i64::MAX));
            self.emit([
                I::LocalGet(fuel),
                I::I64Const(cost),
                I::I64Sub,
                I::LocalSet(fuel),
            ]);
            self.cost = 0;
        }
    }

    /// Pushes whether there is no fuel left.
    pub(super) fn fuel_lacks(&mut self) {
        self.emit([I::LocalGet(self.fuel), I::I64Const(0), I::I64LtS]);
    }

    /// Takes a slice of the fuel that the guest has until it must stop, unless it was told to stop. Only this code
    /// checks that, so the hot code need not.
    pub(super) fn refill(&mut self) {
        let (fuel, slice) = (self.fuel, self.slice);
        let (left, room) = (self.at(meter::FUEL_LEFT, 3), self.at(meter::ROOM, 3));
        // So much that nothing lacks afterwards, if there is so much.
        self.emit([
            I::I64Const(meter::SLICE),
            I::LocalGet(fuel),
            I::I64Sub,
            I::LocalTee(slice),
        ]);
        self.load_long(meter::ROOM);
        self.emit([I::LocalGet(slice)]);
        self.load_long(meter::ROOM);
        self.emit([I::I64LtS, I::Select, I::I64Const(0)]);
        self.load_long(meter::STOP);
        self.emit([I::I64Eqz, I::Select, I::LocalSet(slice)]);
        self.emit([I::I32Const(0)]);
        self.load_long(meter::ROOM);
        self.emit([I::LocalGet(slice), I::I64Sub, I::I64Store(room)]);
        // The page still gives the same fuel at the last call: the slice only moves from one word to the other.
        self.emit([I::I32Const(0)]);
        self.load_long(meter::FUEL_LEFT);
        self.emit([I::LocalGet(slice), I::I64Add, I::I64Store(left)]);
        self.emit([
            I::LocalGet(fuel),
            I::LocalGet(slice),
            I::I64Add,
            I::LocalSet(fuel),
        ]);
    }

    /// Pushes whether the stack does not suffice.
    pub(super) fn stack_lacks(&mut self) {
        let (stack, needed) = (self.stack, saturated(self.context.function.stack_needed));
        self.emit([I::LocalGet(stack), I::I64Const(needed), I::I64LtS]);
    }

    /// Ends the guest.
    pub(super) fn strike(&mut self) {
        self.write_fuel();
        let at = self.at(meter::STRUCK, 2);
        self.emit([
            I::I32Const(0),
            I::I32Const(1),
            I::I32Store(at),
            I::Unreachable,
        ]);
    }

    /// What a function does first.
    pub(super) fn begin(&mut self) -> Result<(), Refused> {
        self.read_fuel();
        if !self.body.has_entry {
            return Ok(());
        }
        if self.resumes {
            return self.begin_again();
        }
        let stack = self.stack;
        let (fuel, needed) = (self.fuel, saturated(self.context.function.stack_needed));
        let at = self.at(meter::STACK_LEFT, 2);
        self.emit([I::I32Const(0), I::I64Load32S(at), I::LocalSet(stack)]);
        self.take_stack();
        // Whether one of the two is lacking, which means that it is negative: this costs only one comparison.
        self.emit([
            I::LocalGet(fuel),
            I::LocalGet(stack),
            I::I64Const(needed),
            I::I64Sub,
            I::I64Or,
            I::I64Const(0),
            I::I64LtS,
        ]);
        self.if_unlikely();
        if self.second_form().is_some() {
            self.load_word(meter::MODE);
            self.emit([I::I32Const(0), I::I32LtS]);
            self.branch_off(self.remake);
        }
        self.refill();
        self.fuel_lacks();
        self.stack_lacks();
        self.emit([I::I32Or]);
        self.stop_here(0, true)?;
        self.end();
        Ok(())
    }

    /// The beginning of a function that resumes from a frame. The form that called it has accounted for the stack.
    pub(super) fn begin_again(&mut self) -> Result<(), Refused> {
        let (stack, own) = (self.stack, saturated(self.context.function.stack));
        let sites = u32::try_from(self.body.sites.len()).unwrap_or(u32::MAX);
        let body = self.body;
        let at = self.at(meter::STACK_LEFT, 2);
        self.emit([
            I::I32Const(0),
            I::I64Load32S(at),
            I::I64Const(own),
            I::I64Add,
            I::LocalSet(stack),
        ]);
        let passed = self.new_label();
        self.block(passed, BlockType::Empty);
        self.find_frame();
        self.dispatch(&body.nodes, 0..sites, 0, passed)?;
        self.end();
        Ok(())
    }

    /// If the top of the stack is not zero, fuel or stack is lacking at a site. Then this ends the guest if it must
    /// end, and otherwise stops it, unless an open call must return to the host first.
    pub(super) fn stop_here(&mut self, site: SiteIndex, is_entry: bool) -> Result<(), Refused> {
        if !self.stops {
            self.branch_off(self.strike);
            return Ok(());
        }
        let fuel = self.fuel;
        self.if_unlikely();
        self.emit([I::LocalGet(fuel)]);
        for rest in [meter::ROOM, meter::RESERVE] {
            self.load_long(rest);
            self.emit([I::I64Add]);
        }
        self.emit([I::I64Const(0), I::I64LtS]);
        if is_entry {
            self.stack_lacks();
            self.emit([I::I32Or]);
        }
        self.branch_off(self.strike);
        self.load_word(meter::MODE);
        self.emit([I::I32Eqz]);
        self.if_unlikely();
        let (kept, paid) = (self.at(meter::KEPT_FUEL, 3), self.at(meter::PAID_FUEL, 3));
        let left = self.at(meter::FUEL_LEFT, 3);
        self.emit([I::I32Const(0), I::LocalGet(fuel), I::I64Store(kept)]);
        self.emit([
            I::I32Const(0),
            I::I32Const(0),
            I::I64Load(left),
            I::I64Store(paid),
        ]);
        self.emit([
            I::I32Const(0),
            I::I64Const(meter::UNWINDING),
            I::I64Store(left),
        ]);
        self.push_frame(site)?;
        self.branch(self.unwind);
        self.end();
        self.end();
        Ok(())
    }
}

/// Bytes of stack as an operand. No stack has more than this.
fn saturated(bytes: u64) -> i64 {
    i32::try_from(bytes).unwrap_or(i32::MAX).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_larger_than_any_stack_saturate() {
        assert_eq!(saturated(7), 7);
        assert_eq!(saturated(u64::MAX), i64::from(i32::MAX));
    }
}
