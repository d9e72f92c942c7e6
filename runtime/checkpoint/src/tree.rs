//! A function's body as a tree, with what is on the operand stack where that matters.

mod reader;

pub(crate) use reader::read;

use crate::frame::Site;
use std::ops::Range;
use wasmparser::{BlockType, Catch, Operator, ValType};

/// Where branches go. 0 is the function's own.
pub(crate) type Label = u32;
/// A site, by its number within the function.
pub(crate) type SiteIndex = u32;

/// A body, without the code that is never reached.
#[derive(Debug, Default)]
pub(crate) struct Body<'a> {
    /// The types of parameters and locals.
    pub(crate) locals: Vec<ValType>,
    pub(crate) nodes: Vec<Node<'a>>,
    /// In the order of the code.
    pub(crate) sites: Vec<Site>,
    /// Whether the first site is where the function begins.
    pub(crate) has_entry: bool,
    /// How many labels there are.
    pub(crate) labels: u32,
}

#[derive(Debug)]
pub(crate) enum Node<'a> {
    /// Neither a block nor a branch.
    Plain(Operator<'a>),
    Br(Label),
    BrIf {
        label: Label,
        /// Whether it leads forward, and takes no operands along.
        is_plain: bool,
    },
    BrTable(Vec<Label>, Label),
    Return,
    /// A call during which the function may be stopped.
    Call(Call<'a>),
    Block(Block<'a>),
    Loop(Loop<'a>),
    If(If<'a>),
    /// Never in a function that can be stopped.
    Try(Try<'a>),
}

#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) operator: Operator<'a>,
    pub(crate) site: SiteIndex,
    /// Ends where the call is.
    pub(crate) pad: Label,
    /// The whole operand stack, arguments included.
    pub(crate) operands: Vec<ValType>,
}

/// What blocks of all kinds have.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) label: Label,
    pub(crate) ty: BlockType,
    pub(crate) params: usize,
    pub(crate) results: Vec<ValType>,
    /// The whole operand stack where it begins, parameters included, a condition not.
    pub(crate) operands: Vec<ValType>,
    /// The sites within.
    pub(crate) sites: Range<SiteIndex>,
}

impl Frame {
    /// How many operands are beneath the block.
    pub(crate) fn beneath(&self) -> usize {
        self.operands.len().saturating_sub(self.params)
    }

    /// The operand stack where it ends.
    pub(crate) fn after(&self) -> Vec<ValType> {
        let beneath = self.operands.iter().take(self.beneath());
        beneath.chain(&self.results).copied().collect()
    }
}

#[derive(Debug)]
pub(crate) struct Block<'a> {
    pub(crate) frame: Frame,
    pub(crate) body: Vec<Node<'a>>,
}

#[derive(Debug)]
pub(crate) struct Loop<'a> {
    pub(crate) frame: Frame,
    /// Ends where the loop is.
    pub(crate) pad: Label,
    pub(crate) site: SiteIndex,
    pub(crate) body: Vec<Node<'a>>,
}

#[derive(Debug)]
pub(crate) struct If<'a> {
    pub(crate) frame: Frame,
    /// Ends where the other arm begins.
    pub(crate) otherwise: Label,
    pub(crate) then: Vec<Node<'a>>,
    pub(crate) or_else: Option<Vec<Node<'a>>>,
}

/// A block in which exceptions are caught.
#[derive(Debug)]
pub(crate) struct Try<'a> {
    pub(crate) frame: Frame,
    pub(crate) handlers: Vec<Handler>,
    pub(crate) body: Vec<Node<'a>>,
}

/// Where some exceptions go.
#[derive(Debug)]
pub(crate) struct Handler {
    /// Which ones. Its label is that of the original.
    pub(crate) catch: Catch,
    pub(crate) label: Label,
    /// What is on the operand stack there.
    pub(crate) values: Vec<ValType>,
}
