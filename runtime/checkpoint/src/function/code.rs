//! The code itself, with the blocks around it.

use super::Emitter;
use crate::{
    Refused, cost, meter,
    tree::{Block, Call, Frame, If, Label, Loop, Node, Try},
};
use wasm_encoder::{Catch, Instruction as I, reencode::Reencode};
use wasmparser::{Operator, ValType};

impl<R: Reencode<Error = Refused>> Emitter<'_, '_, R> {
    /// Whether a block has to begin where the region does.
    pub(super) fn has_pads(&self, frame: &Frame) -> bool {
        self.resumes && !frame.sites.is_empty()
    }

    /// Copies the operands above `base` into their slots, if the function can be stopped.
    pub(super) fn copy_away(&mut self, base: usize, operands: &[ValType]) -> Result<(), Refused> {
        if self.stops {
            self.put_away(base, operands)?;
            self.take_out(base, operands)?;
        }
        Ok(())
    }

    /// Where the operands begin that are on the stack within a block, rather than only in their slots.
    pub(super) fn base_within(&self, frame: &Frame, base: usize) -> usize {
        if self.stops && !frame.sites.is_empty() {
            frame.beneath()
        } else {
            base
        }
    }

    /// Begins all blocks that contain pads of `nodes`, and the pads themselves.
    pub(super) fn open_region(&mut self, nodes: &[Node<'_>]) {
        let mut blocks = Vec::new();
        self.blocks_of(nodes, &mut blocks);
        for (label, results) in blocks.into_iter().rev() {
            let ty = self.types.block(&results);
            self.block(label, ty);
        }
    }

    /// The blocks of a region in the order in which they end, each with its results.
    pub(super) fn blocks_of(&self, nodes: &[Node<'_>], blocks: &mut Vec<(Label, Vec<ValType>)>) {
        for node in nodes {
            match node {
                Node::Call(call) => blocks.push((call.pad, Vec::new())),
                Node::Loop(again) => blocks.push((again.pad, Vec::new())),
                Node::Block(block) if self.has_pads(&block.frame) => {
                    self.blocks_of(&block.body, blocks);
                    blocks.push((block.frame.label, block.frame.results.clone()));
                }
                Node::If(branch) if self.has_pads(&branch.frame) => {
                    self.blocks_of(&branch.then, blocks);
                    blocks.push((branch.otherwise, Vec::new()));
                    self.blocks_of(branch.or_else.as_deref().unwrap_or_default(), blocks);
                    blocks.push((branch.frame.label, branch.frame.results.clone()));
                }
                _ => {}
            }
        }
    }

    /// Emits nodes. Operands beneath `base` are in their slots, those above on the stack.
    pub(super) fn sequence(&mut self, nodes: &[Node<'_>], base: usize) -> Result<(), Refused> {
        for node in nodes {
            match node {
                Node::Plain(operator) => self.plain(operator)?,
                Node::Br(label) => {
                    self.pay(1);
                    self.branch(*label);
                }
                Node::BrIf { label, is_plain } => self.branch_if(*label, *is_plain),
                Node::BrTable(labels, default) => {
                    self.pay(1);
                    let depths: Vec<_> = labels.iter().map(|label| self.depth(*label)).collect();
                    let default = self.depth(*default);
                    self.emit([I::BrTable(depths.into(), default)]);
                }
                Node::Return => {
                    self.pay(1);
                    self.branch(0);
                }
                Node::Call(call) => self.call(call, base)?,
                Node::Block(block) => self.nested(block, base)?,
                Node::If(branch) => self.either(branch, base)?,
                Node::Loop(again) => self.again(again, base)?,
                Node::Try(block) => self.catching(block, base)?,
            }
        }
        Ok(())
    }

    /// Charges for what comes next and for all before.
    pub(super) fn pay(&mut self, cost: u64) {
        self.cost += cost;
        self.flush();
    }

    /// Pending cost is charged on the path of the branch if possible, or else together with the next operators, so that
    /// neither path has more than one charge.
    fn branch_if(&mut self, label: Label, is_plain: bool) {
        if !is_plain {
            self.pay(1);
            let depth = self.depth(label);
            self.emit([I::BrIf(depth)]);
            return;
        }
        self.cost += 1;
        let cost = self.cost;
        self.begin_if();
        self.flush();
        self.branch(label);
        self.end();
        self.cost = cost;
    }

    pub(super) fn plain(&mut self, operator: &Operator<'_>) -> Result<(), Refused> {
        self.cost += cost::fixed(operator);
        match operator {
            Operator::Unreachable => {
                self.cost = 0;
                self.operator(operator)
            }
            Operator::Throw { .. } | Operator::ThrowRef => {
                self.flush();
                self.write_fuel();
                self.operator(operator)
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } => {
                self.flush();
                self.write_fuel();
                self.operator(operator)?;
                self.read_fuel();
                Ok(())
            }
            Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. } => {
                self.flush();
                self.write_fuel();
                self.release_stack();
                self.operator(operator)
            }
            Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. } => {
                self.charge_length(cost::BYTES_PER_UNIT_LOG2);
                self.operator(operator)
            }
            Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableInit { .. } => {
                self.charge_length(0);
                self.operator(operator)
            }
            Operator::MemoryGrow { .. } => self.grow(operator, cost::UNITS_PER_PAGE_LOG2),
            Operator::TableGrow { .. } => self.grow(operator, 0),
            _ => self.operator(operator),
        }
    }

    pub(super) fn call(&mut self, call: &Call<'_>, base: usize) -> Result<(), Refused> {
        self.pay(cost::fixed(&call.operator));
        self.write_fuel();
        self.put_away(base, &call.operands)?;
        if self.resumes {
            self.end();
        }
        self.take_out(base, &call.operands)?;
        self.operator(&call.operator)?;
        self.read_fuel();
        let fuel = self.fuel;
        // The first comparison is with a number that fits an instruction.
        self.emit([I::LocalGet(fuel), I::I64Const(i32::MIN.into()), I::I64LtS]);
        self.if_unlikely();
        self.emit([I::LocalGet(fuel), I::I64Const(meter::LEAST_FUEL), I::I64LtS]);
        self.if_unlikely();
        self.push_frame(call.site)?;
        self.branch(self.unwind);
        self.end();
        self.end();
        Ok(())
    }

    pub(super) fn nested(&mut self, block: &Block<'_>, base: usize) -> Result<(), Refused> {
        let frame = &block.frame;
        if !self.has_pads(frame) {
            let within = self.base_within(frame, base);
            if !frame.sites.is_empty() {
                self.copy_away(base, &frame.operands)?;
            }
            self.operator(&Operator::Block { blockty: frame.ty })?;
            self.opened(frame.label);
            self.sequence(&block.body, within)?;
            self.flush();
            self.end();
            return Ok(());
        }
        self.put_away(base, &frame.operands)?;
        self.take_out(frame.beneath(), &frame.operands)?;
        self.sequence(&block.body, frame.beneath())?;
        self.flush();
        self.end();
        self.join(frame, base)
    }

    /// A block that catches exceptions. When one arrives, fuel is as at the throw, and the stack is this function's
    /// again, so each handler gets a landing of its own.
    pub(super) fn catching(&mut self, block: &Try<'_>, base: usize) -> Result<(), Refused> {
        let Try {
            frame, handlers, ..
        } = block;
        self.cost += cost::clauses(handlers.len());
        let ty = self.reencode.block_type(frame.ty)?;
        let done = self.new_label();
        self.block(done, ty);
        let landings: Vec<_> = handlers.iter().map(|_| self.new_label()).collect();
        for (landing, handler) in landings.iter().zip(handlers).rev() {
            let values = self.types.block(&handler.values);
            self.block(*landing, values);
        }
        let mut catches = Vec::new();
        for (landing, handler) in landings.iter().zip(handlers) {
            let mut catch = self.reencode.catch(handler.catch)?;
            match &mut catch {
                Catch::One { label, .. }
                | Catch::OneRef { label, .. }
                | Catch::All { label }
                | Catch::AllRef { label } => *label = self.depth(*landing),
            }
            catches.push(catch);
        }
        self.emit([I::TryTable(ty, catches.into())]);
        self.opened(frame.label);
        self.sequence(&block.body, base)?;
        self.flush();
        self.end();
        self.branch(done);
        for handler in handlers {
            self.end();
            self.read_fuel();
            self.take_stack();
            self.branch(handler.label);
        }
        self.end();
        Ok(())
    }

    /// After the end of a block that began with the region: restores the operands beneath it.
    pub(super) fn join(&mut self, frame: &Frame, base: usize) -> Result<(), Refused> {
        let after = frame.after();
        self.put_away(frame.beneath(), &after)?;
        self.take_out(base, &after)
    }

    pub(super) fn either(&mut self, branch: &If<'_>, base: usize) -> Result<(), Refused> {
        let frame = &branch.frame;
        if !self.has_pads(frame) {
            self.cost += 1;
            let cost = self.cost;
            let within = self.base_within(frame, base);
            if self.stops && !frame.sites.is_empty() {
                let condition = self.length;
                self.emit([I::LocalSet(condition)]);
                self.copy_away(base, &frame.operands)?;
                self.emit([I::LocalGet(condition)]);
            }
            self.operator(&Operator::If { blockty: frame.ty })?;
            self.opened(frame.label);
            self.sequence(&branch.then, within)?;
            self.flush();
            self.emit([I::Else]);
            self.cost = cost;
            let nodes = branch.or_else.as_deref().unwrap_or_default();
            self.sequence(nodes, within)?;
            self.flush();
            self.end();
            return Ok(());
        }
        self.pay(1);
        let condition = self.length;
        self.emit([I::LocalSet(condition)]);
        self.put_away(base, &frame.operands)?;
        let otherwise = self.depth(branch.otherwise);
        self.emit([I::LocalGet(condition), I::I32Eqz, I::BrIf(otherwise)]);
        self.take_out(frame.beneath(), &frame.operands)?;
        self.sequence(&branch.then, frame.beneath())?;
        self.flush();
        self.branch(frame.label);
        self.end();
        self.take_out(frame.beneath(), &frame.operands)?;
        let nodes = branch.or_else.as_deref().unwrap_or_default();
        self.sequence(nodes, frame.beneath())?;
        self.flush();
        self.end();
        self.join(frame, base)
    }

    pub(super) fn again(&mut self, again: &Loop<'_>, base: usize) -> Result<(), Refused> {
        let frame = &again.frame;
        self.flush();
        if self.resumes {
            // Those beneath stay in their slots until the loop has ended.
            self.put_away(base, &frame.operands)?;
            self.end();
            self.take_out(frame.beneath(), &frame.operands)?;
        } else {
            self.copy_away(base, &frame.operands)?;
        }
        self.operator(&Operator::Loop { blockty: frame.ty })?;
        self.opened(frame.label);
        if self.stops {
            self.put_away(frame.beneath(), &frame.operands)?;
        }
        if self.resumes {
            self.open_region(&again.body);
        }
        self.fuel_lacks();
        let passed = self.if_unlikely();
        if self.resumes {
            self.dispatch_if_resuming(again, passed)?;
        }
        self.refill();
        self.fuel_lacks();
        self.stop_here(again.site, false)?;
        self.end();
        if self.stops {
            self.take_out(frame.beneath(), &frame.operands)?;
        }
        let within = self.base_within(frame, base);
        self.sequence(&again.body, within)?;
        self.flush();
        self.end();
        if self.resumes {
            self.join(frame, base)?;
        }
        Ok(())
    }
}
