//! What operators cost: version 1 of the table.
//!
//! | operators | units |
//! |---|---|
//! | `nop`, `block`, `loop`, `else`, `end` | 0 |
//! | `try_table` | 1 for every clause by which it catches |
//! | `throw`, `throw_ref` | [`THROW_UNITS`] |
//! | `memory.copy`, `memory.fill`, `memory.init` | 1, and 1 for every [`BYTES_PER_UNIT`] bytes |
//! | `table.copy`, `table.fill`, `table.init` | 1, and 1 for every element |
//! | `memory.grow` | 1, and [`UNITS_PER_PAGE`] for every page if it succeeds |
//! | `table.grow` | 1, and 1 for every element if it succeeds |
//! | any other | 1 |
//!
//! A function occupies [`FRAME_BYTES`] of stack, and 8 bytes for each parameter, each local and each value on its
//! operand stack at its deepest; vectors take 16.

use wasmparser::{Operator, ValType};

/// Bytes that a bulk operator moves for one unit.
pub const BYTES_PER_UNIT: u64 = 1 << BYTES_PER_UNIT_LOG2;
pub(crate) const BYTES_PER_UNIT_LOG2: u32 = 4;
/// Units for a page that memory grows by.
pub const UNITS_PER_PAGE: u64 = 1 << UNITS_PER_PAGE_LOG2;
pub(crate) const UNITS_PER_PAGE_LOG2: u32 = 12;
/// Units for throwing an exception: the host allocates it and searches for its handler. The calls and `try_table` have
/// paid for the frames that it passes.
pub const THROW_UNITS: u64 = 1024;
/// Bytes of stack for a call, apart from its values.
pub const FRAME_BYTES: u64 = 32;

/// Units that an operator costs whatever its operands are.
pub(crate) const fn fixed(operator: &Operator<'_>) -> u64 {
    match operator {
        Operator::Nop
        | Operator::Block { .. }
        | Operator::Loop { .. }
        | Operator::TryTable { .. }
        | Operator::Else
        | Operator::End => 0,
        Operator::Throw { .. } | Operator::ThrowRef => THROW_UNITS,
        _ => 1,
    }
}

/// Units for a block that catches by so many clauses.
pub(crate) fn clauses(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Bytes of stack for a value.
pub(crate) const fn stack(value: ValType) -> u64 {
    match value {
        ValType::V128 => 16,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every position depends on it, and so does every outcome that ends for want of fuel.
    #[test]
    fn operators_cost_what_version_1_of_the_table_says() {
        let costs = |operator: Operator<'_>| fixed(&operator);
        assert_eq!(costs(Operator::Nop), 0);
        assert_eq!(costs(Operator::Else), 0);
        assert_eq!(costs(Operator::End), 0);
        assert_eq!(costs(Operator::I32Add), 1);
        assert_eq!(costs(Operator::MemoryGrow { mem: 0 }), 1);
        assert_eq!(costs(Operator::Throw { tag_index: 0 }), 1024);
        assert_eq!((BYTES_PER_UNIT, UNITS_PER_PAGE), (16, 4096));
        assert_eq!((FRAME_BYTES, stack(ValType::V128)), (32, 16));
        assert_eq!((stack(ValType::I32), stack(ValType::I64)), (8, 8));
    }
}
