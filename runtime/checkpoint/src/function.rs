//! Rewriting one function.
//!
//! ```text
//! c := fuel_left;  s := stack_left                        ;; s only with a site
//! if c < 0 or stop or s < needed { fuel_left := c; struck := 1; unreachable }
//! stack_left := s - own
//! block
//!   <body>        ;; c -= cost  before each branch, join, call and site
//! end             ;; `return` leads here too
//! fuel_left := c;  stack_left := s
//! ```
//!
//! Around a call, `c` is written back before and read again after.

use crate::{Refused, analysis::Function, cost, meter};
use wasm_encoder::{BlockType, Instruction as I, MemArg, ValType, reencode::Reencode};
use wasmparser::{FunctionBody, Operator};

/// What surrounds the function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    /// The number of the meter's memory.
    pub(crate) meter: u32,
    /// Parameters of the function.
    pub(crate) parameters: u32,
    /// A block that gives what the function does.
    pub(crate) results: BlockType,
}

/// The rewritten function.
pub(crate) fn rewrite<R: Reencode<Error = Refused>>(
    reencode: &mut R,
    context: Context,
    function: &Function,
    body: &FunctionBody<'_>,
) -> Result<wasm_encoder::Function, Refused> {
    let mut locals = Vec::new();
    let mut count = context.parameters;
    for group in body.get_locals_reader()? {
        let (number, ty) = group?;
        locals.push((number, reencode.val_type(ty)?));
        count = count.saturating_add(number);
    }
    locals.extend([(1, ValType::I64), (3, ValType::I32)]);
    let mut emitter = Emitter {
        context,
        function,
        fuel: count,
        stack: count.saturating_add(1),
        length: count.saturating_add(2),
        result: count.saturating_add(3),
        out: wasm_encoder::Function::new(locals),
        cost: 0,
        sites: 0,
        depth: 0,
        dead: None,
    };
    emitter.begin();
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        emitter.operator(reencode, operators.read()?)?;
    }
    emitter.finish();
    Ok(emitter.out)
}

struct Emitter<'a> {
    context: Context,
    function: &'a Function,
    /// Locals: fuel that is left, stack that was left in the beginning, and two for bulk operators.
    fuel: u32,
    stack: u32,
    length: u32,
    result: u32,
    out: wasm_encoder::Function,
    /// Units that were not taken from the local yet.
    cost: u64,
    /// Sites that there are already.
    sites: u32,
    /// Blocks that are open within the body.
    depth: u32,
    /// In code that is never reached: blocks that were opened there.
    dead: Option<u32>,
}

impl Emitter<'_> {
    fn emit<const N: usize>(&mut self, instructions: [I<'_>; N]) {
        for instruction in &instructions {
            self.out.instruction(instruction);
        }
    }

    const fn at(&self, offset: u64) -> MemArg {
        MemArg {
            offset,
            align: if offset == meter::FUEL_LEFT { 3 } else { 2 },
            memory_index: self.context.meter,
        }
    }

    fn begin(&mut self) {
        self.read_fuel();
        if self.function.has_site {
            let own = self.function.stack;
            let needed = self.function.stack_needed;
            let stack = self.stack;
            self.emit([
                I::I32Const(0),
                I::I32Load(self.at(meter::STACK_LEFT)),
                I::LocalTee(stack),
                I::I32Const(saturated(needed)),
                I::I32LtS,
            ]);
            self.must_end();
            self.emit([I::I32Or]);
            self.strike();
            self.emit([
                I::I32Const(0),
                I::LocalGet(stack),
                I::I32Const(saturated(own)),
                I::I32Sub,
                I::I32Store(self.at(meter::STACK_LEFT)),
            ]);
        }
        self.emit([I::Block(self.context.results)]);
    }

    /// Whether the guest must end at this site: for want of fuel, or because it was stopped.
    fn must_end(&mut self) {
        let (fuel, stop) = (self.fuel, meter::STOP + 8 * u64::from(self.sites));
        self.sites += 1;
        self.emit([
            I::I32Const(0),
            I::I64Load(MemArg {
                offset: stop,
                align: 3,
                memory_index: self.context.meter,
            }),
            I::LocalGet(fuel),
            I::I64Or,
            I::I64Const(0),
            I::I64LtS,
        ]);
    }

    /// Ends the guest if the value on the stack is not zero. No call is in here: a cold call makes the
    /// hot path around it slower than a cold trap does.
    fn strike(&mut self) {
        let fuel = self.fuel;
        self.emit([
            I::If(BlockType::Empty),
            I::I32Const(0),
            I::LocalGet(fuel),
            I::I64Store(self.at(meter::FUEL_LEFT)),
            I::I32Const(0),
            I::I32Const(1),
            I::I32Store(self.at(meter::STRUCK)),
            I::Unreachable,
            I::End,
        ]);
    }

    fn read_fuel(&mut self) {
        let fuel = self.fuel;
        self.emit([
            I::I32Const(0),
            I::I64Load(self.at(meter::FUEL_LEFT)),
            I::LocalSet(fuel),
        ]);
    }

    fn write_fuel(&mut self) {
        let fuel = self.fuel;
        self.emit([
            I::I32Const(0),
            I::LocalGet(fuel),
            I::I64Store(self.at(meter::FUEL_LEFT)),
        ]);
    }

    /// Gives back the stack that the function occupied.
    fn release_stack(&mut self) {
        if self.function.has_site {
            let stack = self.stack;
            self.emit([
                I::I32Const(0),
                I::LocalGet(stack),
                I::I32Store(self.at(meter::STACK_LEFT)),
            ]);
        }
    }

    fn flush(&mut self) {
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

    fn finish(&mut self) {
        self.write_fuel();
        self.release_stack();
        self.emit([I::End]);
    }

    fn operator<R: Reencode<Error = Refused>>(
        &mut self,
        reencode: &mut R,
        operator: Operator<'_>,
    ) -> Result<(), Refused> {
        if self.skip_dead(&operator) {
            let instruction = reencode.instruction(operator)?;
            self.emit([instruction]);
            return Ok(());
        }
        self.cost += cost::fixed(&operator);
        let instruction = reencode.instruction(operator.clone())?;
        match operator {
            Operator::Block { .. } => {
                self.depth += 1;
                self.emit([instruction]);
            }
            Operator::If { .. } => {
                self.depth += 1;
                self.flush();
                self.emit([instruction]);
            }
            Operator::Loop { .. } => {
                self.depth += 1;
                self.flush();
                if self.sites >= meter::STOP_WORDS {
                    return Err(Refused::Shape("more loops in a function than are handled"));
                }
                self.emit([instruction]);
                self.must_end();
                self.strike();
            }
            Operator::Else => {
                self.flush();
                self.emit([instruction]);
            }
            Operator::End => {
                self.flush();
                self.depth = self.depth.saturating_sub(1);
                self.emit([instruction]);
            }
            Operator::BrIf { .. } => {
                self.flush();
                self.emit([instruction]);
            }
            Operator::Br { .. } | Operator::BrTable { .. } => {
                self.flush();
                self.emit([instruction]);
                self.dead = Some(0);
            }
            Operator::Return => {
                self.flush();
                let depth = self.depth;
                self.emit([I::Br(depth)]);
                self.dead = Some(0);
            }
            Operator::Unreachable => {
                self.cost = 0;
                self.emit([instruction]);
                self.dead = Some(0);
            }
            Operator::Call { .. } | Operator::CallIndirect { .. } => {
                self.flush();
                self.write_fuel();
                self.emit([instruction]);
                self.read_fuel();
            }
            Operator::ReturnCall { .. } | Operator::ReturnCallIndirect { .. } => {
                self.flush();
                self.write_fuel();
                self.release_stack();
                self.emit([instruction]);
                self.dead = Some(0);
            }
            Operator::MemoryCopy { .. }
            | Operator::MemoryFill { .. }
            | Operator::MemoryInit { .. } => {
                self.charge_length(cost::BYTES_PER_UNIT_LOG2);
                self.emit([instruction]);
            }
            Operator::TableCopy { .. }
            | Operator::TableFill { .. }
            | Operator::TableInit { .. } => {
                self.charge_length(0);
                self.emit([instruction]);
            }
            Operator::MemoryGrow { .. } => self.grow(instruction, cost::UNITS_PER_PAGE_LOG2),
            Operator::TableGrow { .. } => self.grow(instruction, 0),
            _ => self.emit([instruction]),
        }
        Ok(())
    }

    /// Whether an operator is never reached, which costs nothing.
    fn skip_dead(&mut self, operator: &Operator<'_>) -> bool {
        let Some(opened) = self.dead else {
            return false;
        };
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                self.dead = Some(opened + 1);
            }
            Operator::End if opened > 0 => self.dead = Some(opened - 1),
            // Here code is reached again; what came before has been paid.
            Operator::End | Operator::Else if opened == 0 => {
                self.dead = None;
                return false;
            }
            _ => {}
        }
        true
    }

    /// Charges for the length on top of the stack.
    fn charge_length(&mut self, log2: u32) {
        let (fuel, length) = (self.fuel, self.length);
        self.emit([I::LocalTee(length), I::LocalGet(fuel), I::LocalGet(length)]);
        self.units(log2, I::I64ShrU);
        self.emit([I::I64Sub, I::LocalSet(fuel)]);
    }

    /// Makes units of the 32-bit number on top of the stack.
    fn units(&mut self, log2: u32, shift: I<'_>) {
        self.emit([I::I64ExtendI32U]);
        if log2 > 0 {
            self.emit([I::I64Const(log2.into()), shift]);
        }
    }

    /// Grows a memory or table by what is on top of the stack, and charges for it unless that fails.
    fn grow(&mut self, instruction: I<'_>, log2: u32) {
        let (fuel, length, result) = (self.fuel, self.length, self.result);
        self.emit([
            I::LocalTee(length),
            instruction,
            I::LocalTee(result),
            I::LocalGet(fuel),
            I::LocalGet(length),
        ]);
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
