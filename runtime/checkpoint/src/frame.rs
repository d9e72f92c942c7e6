//! How a function's state is laid out while it is stopped.
//!
//! A frame has, in this order and without gaps, little-endian: the live locals in the order of their
//! numbers, the operands from the bottom up, the table index of an indirect call, and the *word*, which
//! names the site.

use wasmparser::ValType;

/// Bits of a word that are the number of the site in its module. The bits above are the module.
pub(crate) const SITE_BITS: u32 = 24;
/// Bytes of a word.
pub(crate) const WORD_BYTES: u32 = 4;

/// A place where a function may be while it is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Site {
    /// The operands that are kept, from the bottom up.
    pub(crate) operands: Vec<ValType>,
    /// What is called there, if anything.
    pub(crate) callee: Option<Callee>,
    /// How many operands the call takes.
    pub(crate) arguments: usize,
    /// How deep in loops the site is.
    pub(crate) depth: usize,
    /// The types of the kept values, once known. They are never known if a reference is among the values.
    pub(crate) frame: Option<Frame>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Callee {
    Function(u32),
    /// Whatever the table has at the index on top of the stack, which is kept too.
    Indirect,
}

/// A stopped function's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its values, in their order.
    pub(crate) items: Vec<Item>,
    /// Its bytes, with the word.
    pub(crate) bytes: u32,
}

/// A value of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) ty: ValType,
    pub(crate) offset: u32,
    pub(crate) from: From,
    /// How deep in loops the region is that takes this value from the frame.
    pub(crate) owner: usize,
}

/// Where a value is while the function runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Local(u32),
    /// On the operand stack, counted from the bottom.
    Operand(usize),
}

impl Frame {
    /// The frame of a site. `live` has the locals that are read later, in ascending order, each with its
    /// owner. Nothing if a value is a reference, which has no bytes.
    pub(crate) fn of(site: &Site, live: &[(u32, usize)], locals: &[ValType]) -> Option<Self> {
        let live = live.iter().filter_map(|(local, owner)| {
            let ty = locals.get(usize::try_from(*local).ok()?)?;
            Some((*ty, From::Local(*local), *owner))
        });
        let operands = (0..).zip(&site.operands);
        let operands = operands.map(|(height, ty)| (*ty, From::Operand(height), site.depth));
        // The index is what is topmost when the call is made.
        let selector = site
            .selector()
            .map(|height| (ValType::I32, From::Operand(height), site.depth));
        let mut items = Vec::new();
        let mut bytes = 0_u32;
        for (ty, from, owner) in live.chain(operands).chain(selector) {
            items.push(Item {
                ty,
                offset: bytes,
                from,
                owner,
            });
            bytes = bytes.checked_add(size(ty)?)?;
        }
        Some(Self {
            items,
            bytes: bytes.checked_add(WORD_BYTES)?,
        })
    }

    /// The values that are taken by the region which is `owner` deep in loops.
    pub(crate) fn taken_by(&self, owner: usize) -> impl Iterator<Item = Item> {
        let items = self.items.iter().copied();
        items.filter(move |item| item.owner == owner)
    }
}

impl Site {
    /// Where the table index of an indirect call is on the operand stack.
    pub(crate) fn selector(&self) -> Option<usize> {
        match self.callee {
            Some(Callee::Indirect) => Some(self.operands.len() + self.arguments - 1),
            _ => None,
        }
    }
}

const fn size(ty: ValType) -> Option<u32> {
    match ty {
        ValType::I32 | ValType::F32 => Some(4),
        ValType::I64 | ValType::F64 => Some(8),
        ValType::V128 => Some(16),
        ValType::Ref(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::RefType;

    fn indirect_call(operands: Vec<ValType>) -> Site {
        Site {
            operands,
            callee: Some(Callee::Indirect),
            arguments: 1,
            depth: 2,
            frame: None,
        }
    }

    #[test]
    fn locals_operands_and_the_index_of_a_table_follow_without_gaps() {
        let site = indirect_call(vec![ValType::I64, ValType::V128]);
        let locals = [ValType::I32, ValType::F32, ValType::F64];
        let frame = Frame::of(&site, &[(0, 0), (2, 1)], &locals).unwrap();
        let item = |ty, offset, from, owner| Item {
            ty,
            offset,
            from,
            owner,
        };
        let items = [
            item(ValType::I32, 0, From::Local(0), 0),
            item(ValType::F64, 4, From::Local(2), 1),
            item(ValType::I64, 12, From::Operand(0), 2),
            item(ValType::V128, 20, From::Operand(1), 2),
            item(ValType::I32, 36, From::Operand(2), 2),
        ];
        assert_eq!(frame.items, items);
        assert_eq!(frame.bytes, 40 + WORD_BYTES);
        assert_eq!(frame.taken_by(2).count(), 3);
    }

    #[test]
    fn references_have_no_bytes_and_so_no_frame() {
        let reference = ValType::Ref(RefType::FUNCREF);
        let site = indirect_call(vec![reference]);
        assert_eq!(Frame::of(&site, &[], &[]), None);
        let site = indirect_call(Vec::new());
        assert_eq!(Frame::of(&site, &[(0, 0)], &[reference]), None);
        // One that is not read later is in nobody's way.
        assert!(Frame::of(&site, &[], &[reference]).is_some());
    }
}
