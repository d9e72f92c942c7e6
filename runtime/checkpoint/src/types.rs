//! The types of functions in a module that is rewritten.

use wasm_encoder::{
    BlockType,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{FuncType, ValType};

/// The types of a module, to which those of blocks and added functions are appended.
#[derive(Debug, Clone)]
pub(crate) struct Types {
    /// How many there were before.
    first: usize,
    /// Those that were appended.
    pub(crate) added: Vec<FuncType>,
}

impl Types {
    /// Those of a module that has so many.
    pub(crate) const fn beyond(first: usize) -> Self {
        Self {
            first,
            added: Vec::new(),
        }
    }

    /// The number of a function type.
    pub(crate) fn number(&mut self, params: &[ValType], results: &[ValType]) -> u32 {
        let ty = FuncType::new(params.iter().copied(), results.iter().copied());
        let position = self.added.iter().position(|added| *added == ty);
        let position = position.unwrap_or_else(|| {
            self.added.push(ty);
            self.added.len() - 1
        });
        u32::try_from(self.first + position).unwrap_or(u32::MAX)
    }

    /// A block with these results.
    pub(crate) fn block(&mut self, results: &[ValType]) -> BlockType {
        match results {
            [] => BlockType::Empty,
            [result] => match RoundtripReencoder.val_type(*result) {
                Ok(result) => BlockType::Result(result),
                Err(_) => BlockType::FunctionType(self.number(&[], results)),
            },
            _ => BlockType::FunctionType(self.number(&[], results)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_is_added_once_after_those_that_were_there() {
        let mut types = Types::beyond(7);
        let (one, other) = ([ValType::I32], [ValType::I64, ValType::F32]);
        assert_eq!(types.number(&one, &other), 7);
        assert_eq!(types.number(&other, &one), 8);
        assert_eq!(types.number(&one, &other), 7);
        assert_eq!(types.added.len(), 2);
    }

    #[test]
    fn only_blocks_of_several_results_need_a_type() {
        let mut types = Types::beyond(0);
        assert!(matches!(types.block(&[]), BlockType::Empty));
        let one = types.block(&[ValType::F64]);
        assert!(matches!(one, BlockType::Result(wasm_encoder::ValType::F64)));
        assert!(types.added.is_empty());
        let two = types.block(&[ValType::I32, ValType::I32]);
        assert!(matches!(two, BlockType::FunctionType(0)));
    }
}
