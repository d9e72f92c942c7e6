//! Fuel, stack, and what happens at a site.

use super::{Emitter, Kind};
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
            self.emit([I::I32Const(0), I::LocalGet(stack), I::I32Store(at)]);
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

    /// Takes a slice of the fuel that the guest has until it must stop, unless it was told to stop. This is
    /// the only place that looks whether it was, and where the hot code need not.
    pub(super) fn refill(&mut self) {
        let (fuel, slice) = (self.fuel, self.slice);
        let (left, room) = (self.at(meter::FUEL_LEFT, 3), self.at(meter::ROOM, 3));
        self.load_long(meter::STOP);
        self.emit([I::I64Eqz, I::If(BlockType::Empty)]);
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
        self.emit([I::I64LtS, I::Select, I::LocalSet(slice)]);
        self.emit([I::I32Const(0)]);
        self.load_long(meter::ROOM);
        self.emit([I::LocalGet(slice), I::I64Sub, I::I64Store(room)]);
        // What the page says is what was left at the last call: it stays so.
        self.emit([I::I32Const(0)]);
        self.load_long(meter::FUEL_LEFT);
        self.emit([I::LocalGet(slice), I::I64Add, I::I64Store(left)]);
        self.emit([
            I::LocalGet(fuel),
            I::LocalGet(slice),
            I::I64Add,
            I::LocalSet(fuel),
            I::End,
        ]);
    }

    /// Pushes whether the stack does not suffice.
    pub(super) fn stack_lacks(&mut self) {
        let (stack, needed) = (self.stack, saturated(self.context.function.stack_needed));
        self.emit([I::LocalGet(stack), I::I32Const(needed), I::I32LtS]);
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
        let (stack, own) = (self.stack, saturated(self.context.function.stack));
        self.load_word(meter::STACK_LEFT);
        let at = self.at(meter::STACK_LEFT, 2);
        self.emit([
            I::LocalSet(stack),
            I::I32Const(0),
            I::LocalGet(stack),
            I::I32Const(own),
            I::I32Sub,
            I::I32Store(at),
        ]);
        self.fuel_lacks();
        self.stack_lacks();
        self.emit([I::I32Or]);
        self.if_unlikely();
        if let Kind::Stop { again } = self.context.kind {
            self.if_resuming();
            self.emit([again.map_or(I::Unreachable, I::ReturnCall)]);
            self.end();
        }
        self.refill();
        self.fuel_lacks();
        self.stack_lacks();
        self.emit([I::I32Or]);
        self.if_unlikely();
        if self.stops {
            self.stop_here(0, true)?;
        } else {
            self.strike();
        }
        self.end();
        self.end();
        Ok(())
    }

    /// What a function does first that goes on from a frame: the one that made way for it has taken note
    /// of the stack.
    pub(super) fn begin_again(&mut self) -> Result<(), Refused> {
        let (stack, own) = (self.stack, saturated(self.context.function.stack));
        let sites = u32::try_from(self.body.sites.len()).unwrap_or(u32::MAX);
        let body = self.body;
        self.load_word(meter::STACK_LEFT);
        self.emit([I::I32Const(own), I::I32Add, I::LocalSet(stack)]);
        let passed = self.new_label();
        self.block(passed, BlockType::Empty);
        self.find_frame();
        self.dispatch(&body.nodes, 0..sites, 0, passed)?;
        self.end();
        Ok(())
    }

    /// At a site where fuel or stack lack, or the guest was told to stop: ends it, or stops it unless a
    /// call is open that must return to the host first.
    pub(super) fn stop_here(&mut self, site: SiteIndex, is_entry: bool) -> Result<(), Refused> {
        let fuel = self.fuel;
        self.emit([I::LocalGet(fuel)]);
        self.load_long(meter::ROOM);
        self.emit([I::I64Add]);
        self.load_long(meter::RESERVE);
        self.emit([I::I64Add, I::I64Const(0), I::I64LtS]);
        if is_entry {
            self.stack_lacks();
            self.emit([I::I32Or]);
        }
        self.if_unlikely();
        self.strike();
        self.end();
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
        Ok(())
    }
}

/// Bytes of stack as an operand. No stack has more than this.
fn saturated(bytes: u64) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_larger_than_any_stack_saturate() {
        assert_eq!(saturated(7), 7);
        assert_eq!(saturated(u64::MAX), i32::MAX);
    }
}
