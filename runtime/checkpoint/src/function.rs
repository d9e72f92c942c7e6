//! Rewriting one function.
//!
//! ```text
//! block $remake
//!   block $strike
//!     block $unwind
//!       block $body
//!         c := fuel_left;  s := stack_left;  stack_left := s - own      ;; s only with a site
//!         if c < 0 or s < needed                                        ;; a site
//!           if resuming                          br $remake
//!           if not told to stop                  c += a slice of room
//!           if c < 0 or s < needed
//!             if no fuel at all, or s < needed   br $strike
//!             if not held                        kept_fuel := c;  fuel_left := UNWINDING;  <push a frame>;  br $unwind
//!           end
//!         end
//!         <body>        ;; c -= cost  at the latest before each join, call and site
//!       end             ;; `return` leads here too
//!       fuel_left := c;  stack_left := s
//!       return
//!     end
//!     <zeros>           ;; nobody looks at them
//!     return
//!   end
//!   fuel_left := c;  struck := 1;  unreachable
//! end
//! <make way for the function below>
//! ```
//!
//! Hints tell the compiler which branches are hardly ever taken. It moves only the target of such a branch out of the
//! way, not the code after an `if` inside. So no code follows such an `if`; branches to the end of the function replace
//! it.
//!
//! Around a call, `c` is written back before and read again after; if it then says that the callee is
//! unwinding, this function does the same.
//!
//! A program that is resumed has each function twice. Only the first form calls the second, when there is a frame to
//! resume from. The second has the same body and so the same sites, but begins with a branch to a *pad*: the loop or
//! call that the frame names. A repeated call needs no arguments, since the callee takes its own frame. Calls lead to
//! the first form of functions, so that the second runs no longer than it must: compilers make slower code of it, as it
//! can be entered in many places.
//!
//! What makes it possible to branch into the middle of a body is that a block may begin anywhere before: all blocks
//! that contain sites begin where the function or the loop around them does. Their operands are then kept in separate
//! locals, *slots*, which cost nothing, as compilers see only values.
//!
//! A function and each of its loops are the *regions* to which such branches lead, from the outermost inwards. The
//! innermost region that changes a local takes it from the frame. So the compiler sees no second value where the local
//! does not change, and no value lives longer than before.

mod bulk;
mod code;
mod emit;
mod frames;
mod fuel;
mod instructions;

pub(crate) use instructions::{load, store, zero};

use crate::{
    Refused, analysis,
    tree::{Body, Label},
    types::Types,
};
use std::collections::HashMap;
use wasm_encoder::{
    BlockType, BranchHint, Instruction as I, ValType as EncodedType, reencode::Reencode,
};
use wasmparser::ValType;

/// Most bytes that validators take of a function's body, and most locals, parameters included.
const MAX_BODY_BYTES: usize = 7_654_321;
const MAX_LOCALS: usize = 50_000;
/// If one form of a function takes less than this fraction of these limits, the other form is not measured. The form
/// that resumes from a frame has more code for each site, and for each local needed there, but not this many times as
/// much.
const ROOM: usize = 100;

/// What is made of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FunctionForm {
    /// It counts.
    Count,
    /// It can be stopped too. To resume, it calls another function instead, if there is one.
    Stop { again: Option<u32> },
    /// It goes on from a frame, and is otherwise as the one that can be stopped.
    Resume,
}

/// What surrounds the function.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) kind: FunctionForm,
    pub(crate) function: &'a analysis::Function,
    /// The number of the meter's memory.
    pub(crate) meter: u32,
    /// How many of the locals are parameters.
    pub(crate) params: usize,
    /// What the function returns.
    pub(crate) results: &'a [ValType],
    /// The word of its first site.
    pub(crate) first_word: u32,
}

/// The rewritten function, and which of its branches are hardly ever taken.
pub(crate) struct Rewritten {
    pub(crate) function: wasm_encoder::Function,
    pub(crate) hints: Vec<BranchHint>,
    /// How many locals it has, parameters included.
    locals: usize,
}

impl Rewritten {
    /// Whether no validator takes it.
    pub(crate) fn is_too_large(&self) -> bool {
        self.function.byte_len() > MAX_BODY_BYTES || self.locals > MAX_LOCALS
    }

    /// Whether it could be too large in another form.
    pub(crate) fn is_large(&self) -> bool {
        self.function.byte_len() > MAX_BODY_BYTES / ROOM || self.locals > MAX_LOCALS / ROOM
    }
}

/// Rewrites a function.
pub(crate) fn rewrite<R: Reencode<Error = Refused>>(
    reencode: &mut R,
    types: &mut Types,
    context: Context<'_>,
    body: &Body<'_>,
) -> Result<Rewritten, Refused> {
    let own = u32::try_from(body.locals.len()).unwrap_or(u32::MAX);
    let mut emitter = Emitter {
        stops: context.kind != FunctionForm::Count && body.has_entry,
        resumes: context.kind == FunctionForm::Resume,
        context,
        body,
        reencode,
        types,
        fuel: own,
        stack: own.saturating_add(1),
        length: own.saturating_add(2),
        result: own.saturating_add(3),
        frame: own.saturating_add(4),
        state: own.saturating_add(5),
        slice: own.saturating_add(6),
        added: vec![
            EncodedType::I64,
            EncodedType::I64,
            EncodedType::I32,
            EncodedType::I32,
            EncodedType::I32,
            EncodedType::I32,
            EncodedType::I64,
        ],
        slots: HashMap::new(),
        code: Vec::new(),
        hints: Vec::new(),
        positions: vec![0; usize::try_from(body.labels).unwrap_or_default()],
        open: 0,
        unwind: 0,
        strike: 0,
        remake: 0,
        cost: 0,
    };
    emitter.function()?;
    emitter.finish()
}

struct Emitter<'a, 'b, R> {
    context: Context<'a>,
    body: &'a Body<'b>,
    /// Whether the function can be stopped.
    stops: bool,
    /// Whether it can go on from a frame.
    resumes: bool,
    reencode: &'a mut R,
    types: &'a mut Types,
    /// Locals: fuel that is left, stack that was left in the beginning, two for bulk operators, where a
    /// frame ends and which site it is of, and fuel that is taken.
    fuel: u32,
    stack: u32,
    length: u32,
    result: u32,
    frame: u32,
    state: u32,
    slice: u32,
    /// Types of the locals that were added.
    added: Vec<EncodedType>,
    /// Locals that keep operands, by height and type.
    slots: HashMap<(usize, ValType), u32>,
    code: Vec<u8>,
    /// Offsets of branches, and whether they are taken nearly always rather than hardly ever.
    hints: Vec<(usize, bool)>,
    /// Of each label that is open, how many were open before it.
    positions: Vec<usize>,
    open: usize,
    /// The exits of a function: after leaving a frame, when it ends the guest, and when it makes way for its other
    /// form.
    unwind: Label,
    strike: Label,
    remake: Label,
    /// Units that were not taken from the local yet.
    cost: u64,
}

impl<R: Reencode<Error = Refused>> Emitter<'_, '_, R> {
    fn function(&mut self) -> Result<(), Refused> {
        let body = self.body;
        (self.remake, self.strike) = (self.new_label(), self.new_label());
        self.unwind = self.new_label();
        if self.second_form().is_some() {
            self.block(self.remake, BlockType::Empty);
        }
        if body.has_entry {
            self.block(self.strike, BlockType::Empty);
        }
        if self.stops {
            self.block(self.unwind, BlockType::Empty);
        }
        let results = self.types.block(self.context.results);
        self.block(0, results);
        if self.resumes {
            self.open_region(&body.nodes);
        }
        self.begin()?;
        self.sequence(&body.nodes, 0)?;
        self.flush();
        self.end();
        self.write_fuel();
        self.release_stack();
        self.ways_out()?;
        self.emit([I::End]);
        Ok(())
    }

    /// Where the function goes from its sites: out of the way of its own code.
    fn ways_out(&mut self) -> Result<(), Refused> {
        if self.stops {
            self.emit([I::Return]);
            self.end();
            for ty in self.context.results {
                let zero = zero(*ty)?;
                self.emit([zero]);
            }
        }
        if self.body.has_entry {
            self.emit([I::Return]);
            self.end();
            self.strike();
        }
        if let Some(again) = self.second_form() {
            self.end();
            self.emit([I::ReturnCall(again)]);
        }
        Ok(())
    }

    /// The function that this one makes way for when the guest is resumed.
    const fn second_form(&self) -> Option<u32> {
        match self.context.kind {
            FunctionForm::Stop { again } => again,
            FunctionForm::Count | FunctionForm::Resume => None,
        }
    }

    fn finish(self) -> Result<Rewritten, Refused> {
        let own = self.body.locals.iter().skip(self.params());
        let mut locals = own
            .map(|ty| Ok((1, self.reencode.val_type(*ty)?)))
            .collect::<Result<Vec<_>, Refused>>()?;
        let added = self.added.len();
        locals.extend(self.added.into_iter().map(|ty| (1, ty)));
        let mut function = wasm_encoder::Function::new(locals);
        let start = function.byte_len();
        function.raw(self.code);
        let hints = self.hints.iter().filter_map(|(offset, is_taken)| {
            Some(BranchHint {
                branch_func_offset: u32::try_from(start + offset).ok()?,
                branch_hint_value: u32::from(*is_taken),
            })
        });
        Ok(Rewritten {
            hints: hints.collect(),
            function,
            locals: self.body.locals.len() + added,
        })
    }

    /// How many of the locals are parameters.
    fn params(&self) -> usize {
        if self.resumes { 0 } else { self.context.params }
    }
}
