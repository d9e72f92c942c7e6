//! Rewriting one function.
//!
//! ```text
//! block $unwind
//!   block $body
//!     c := fuel_left;  s := stack_left;  stack_left := s - own      ;; s only with a site
//!     if c < 0 or stop or s < needed                                ;; a site
//!       if resuming      <make way for the function below>
//!       if no fuel at all, or s < needed   <strike>
//!       if not held      kept_fuel := c;  fuel_left := UNWINDING;  <push a frame>;  br $unwind
//!     end
//!     <body>        ;; c -= cost  before each branch, join, call and site
//!   end             ;; `return` leads here too
//!   fuel_left := c;  stack_left := s
//!   return
//! end
//! <zeros>           ;; nobody looks at them
//! ```
//!
//! Around a call, `c` is written back before and read again after; if it then says that the callee is
//! unwinding, this function does the same.
//!
//! A program that is resumed has each function twice. The second form is called by the first alone, when
//! there is a frame to go on from. It has the same body and so the same sites, but begins with a branch to
//! a *pad*, where a loop or a call is that the frame names. To be made again, a call needs no arguments:
//! the callee takes its own frame. Calls lead to functions in their first form, so that the second lasts
//! no longer than it must: compilers make slower code of it, as it can be entered in many places.
//!
//! What makes it possible to branch into the middle of a body is that a block may begin anywhere before:
//! all blocks that contain sites begin where the function or the loop around them does. Their operands
//! are then kept in locals of their own, *slots*, which cost nothing, as compilers see only values.
//!
//! A function and each of its loops are the *regions* to which such branches lead, from the outermost
//! inwards. What is taken from a frame is taken by the innermost region that changes it: then a compiler
//! sees no other value where nothing is changed, and none is kept longer than it was.

use crate::{
    Refused, analysis, cost,
    frame::{self, From, Item},
    meter,
    module::Types,
    tree::{Block, Body, Call, Frame, If, Label, Loop, Node, Site, SiteIndex},
};
use std::{collections::HashMap, ops::Range};
use wasm_encoder::{
    BlockType, BranchHint, Encode, Instruction as I, MemArg, ValType as EncodedType,
    reencode::{Reencode, RoundtripReencoder},
};
use wasmparser::{Operator, ValType};

/// What is made of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It counts.
    Count,
    /// It can be stopped too. To be resumed it makes way for another function, if there is one.
    Stop { again: Option<u32> },
    /// It goes on from a frame, and is otherwise as the one that can be stopped.
    Resume,
}

/// What surrounds the function.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    pub(crate) kind: Kind,
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
        stops: context.kind != Kind::Count && body.has_entry,
        resumes: context.kind == Kind::Resume,
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
        added: vec![
            EncodedType::I64,
            EncodedType::I32,
            EncodedType::I32,
            EncodedType::I32,
            EncodedType::I32,
            EncodedType::I32,
        ],
        slots: HashMap::new(),
        code: Vec::new(),
        unlikely: Vec::new(),
        positions: vec![0; usize::try_from(body.labels).unwrap_or_default()],
        open: 0,
        cost: 0,
        checks: 0,
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
    /// Locals: fuel that is left, stack that was left in the beginning, two for bulk operators, and where
    /// a frame ends and which site it is of.
    fuel: u32,
    stack: u32,
    length: u32,
    result: u32,
    frame: u32,
    state: u32,
    /// Types of the locals that were added.
    added: Vec<EncodedType>,
    /// Locals that keep operands, by height and type.
    slots: HashMap<(usize, ValType), u32>,
    code: Vec<u8>,
    /// Offsets of the `if`s that are hardly ever true.
    unlikely: Vec<usize>,
    /// Of each label that is open, how many were open before it.
    positions: Vec<usize>,
    open: usize,
    /// Units that were not taken from the local yet.
    cost: u64,
    /// Sites so far that look at a stop word.
    checks: u32,
}

/// A place in a region to which a function that is resumed can go.
struct Entry {
    site: SiteIndex,
    /// The last of the sites that are reached through it: those of a loop are.
    last: SiteIndex,
    pad: Label,
}

/// How a region leads to a site.
struct Way {
    site: SiteIndex,
    label: Label,
    /// The pad that leads to it, unless it is here.
    target: Option<Label>,
}

impl Way {
    /// Whether something is to be done on the way.
    fn has_block(&self) -> bool {
        self.target != Some(self.label)
    }
}

impl<R: Reencode<Error = Refused>> Emitter<'_, '_, R> {
    fn function(&mut self) -> Result<(), Refused> {
        let body = self.body;
        let unwind = self.new_label();
        if self.stops {
            self.block(unwind, BlockType::Empty);
        }
        let results = self.types.block(self.context.results);
        self.block(0, results);
        if self.resumes {
            self.open_region(&body.nodes);
        }
        self.begin(unwind)?;
        self.sequence(&body.nodes, 0, unwind)?;
        self.flush();
        self.end();
        self.write_fuel();
        self.release_stack();
        if self.stops {
            self.emit([I::Return]);
            self.end();
            for ty in self.context.results {
                let zero = zero(*ty)?;
                self.emit([zero]);
            }
        }
        self.emit([I::End]);
        Ok(())
    }

    fn finish(self) -> Result<Rewritten, Refused> {
        let own = self.body.locals.iter().skip(self.params());
        let mut locals = own
            .map(|ty| Ok((1, self.reencode.val_type(*ty)?)))
            .collect::<Result<Vec<_>, Refused>>()?;
        locals.extend(self.added.into_iter().map(|ty| (1, ty)));
        let mut function = wasm_encoder::Function::new(locals);
        let start = function.byte_len();
        function.raw(self.code);
        let hints = self.unlikely.iter().filter_map(|offset| {
            Some(BranchHint {
                branch_func_offset: u32::try_from(start + offset).ok()?,
                branch_hint_value: 0,
            })
        });
        Ok(Rewritten {
            hints: hints.collect(),
            function,
        })
    }

    /// How many of the locals are parameters.
    fn params(&self) -> usize {
        if self.resumes { 0 } else { self.context.params }
    }

    // --- instructions

    fn emit<const N: usize>(&mut self, instructions: [I<'_>; N]) {
        for instruction in &instructions {
            instruction.encode(&mut self.code);
        }
    }

    fn operator(&mut self, operator: &Operator<'_>) -> Result<(), Refused> {
        let instruction = self.reencode.instruction(operator.clone())?;
        self.emit([instruction]);
        Ok(())
    }

    fn new_label(&mut self) -> Label {
        self.positions.push(0);
        u32::try_from(self.positions.len() - 1).unwrap_or(u32::MAX)
    }

    /// Takes note that a block was opened.
    fn opened(&mut self, label: Label) {
        let position = usize::try_from(label).ok();
        if let Some(place) = position.and_then(|index| self.positions.get_mut(index)) {
            *place = self.open;
        }
        self.open += 1;
    }

    fn block(&mut self, label: Label, ty: BlockType) {
        self.emit([I::Block(ty)]);
        self.opened(label);
    }

    /// Ends the block that was opened last.
    fn end(&mut self) {
        self.emit([I::End]);
        self.open = self.open.saturating_sub(1);
    }

    /// How many blocks a branch to `label` leaves.
    fn depth(&self, label: Label) -> u32 {
        let position = usize::try_from(label).ok();
        let position = position
            .and_then(|index| self.positions.get(index))
            .copied();
        let depth = self.open.saturating_sub(1 + position.unwrap_or_default());
        u32::try_from(depth).unwrap_or(u32::MAX)
    }

    fn branch(&mut self, label: Label) {
        let depth = self.depth(label);
        self.emit([I::Br(depth)]);
    }

    /// Begins code that is hardly ever reached, if what is on the stack is not zero.
    fn if_unlikely(&mut self) -> Label {
        self.unlikely.push(self.code.len());
        self.emit([I::If(BlockType::Empty)]);
        let label = self.new_label();
        self.opened(label);
        label
    }

    const fn at(&self, offset: u64, align: u32) -> MemArg {
        MemArg {
            offset,
            align,
            memory_index: self.context.meter,
        }
    }

    /// Pushes a 64-bit word of the page.
    fn load_long(&mut self, offset: u64) {
        let at = self.at(offset, 3);
        self.emit([I::I32Const(0), I::I64Load(at)]);
    }

    /// Pushes a 32-bit word of the page.
    fn load_word(&mut self, offset: u64) {
        let at = self.at(offset, 2);
        self.emit([I::I32Const(0), I::I32Load(at)]);
    }

    fn slot(&mut self, height: usize, ty: ValType) -> Result<u32, Refused> {
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
    fn put_away(&mut self, base: usize, operands: &[ValType]) -> Result<(), Refused> {
        for (height, ty) in operands.iter().enumerate().skip(base).rev() {
            let slot = self.slot(height, *ty)?;
            self.emit([I::LocalSet(slot)]);
        }
        Ok(())
    }

    /// Copies the operands above `base` from their slots to the stack.
    fn take_out(&mut self, base: usize, operands: &[ValType]) -> Result<(), Refused> {
        for (height, ty) in operands.iter().enumerate().skip(base) {
            let slot = self.slot(height, *ty)?;
            self.emit([I::LocalGet(slot)]);
        }
        Ok(())
    }

    // --- the meter

    fn read_fuel(&mut self) {
        let fuel = self.fuel;
        self.load_long(meter::FUEL_LEFT);
        self.emit([I::LocalSet(fuel)]);
    }

    fn write_fuel(&mut self) {
        let (fuel, at) = (self.fuel, self.at(meter::FUEL_LEFT, 3));
        self.emit([I::I32Const(0), I::LocalGet(fuel), I::I64Store(at)]);
    }

    /// Gives back the stack that the function occupied.
    fn release_stack(&mut self) {
        if self.body.has_entry {
            let (stack, at) = (self.stack, self.at(meter::STACK_LEFT, 2));
            self.emit([I::I32Const(0), I::LocalGet(stack), I::I32Store(at)]);
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

    /// Pushes whether there is no fuel left at this site, or the guest was told to stop.
    fn must_stop(&mut self) -> Result<(), Refused> {
        if self.checks >= meter::STOP_WORDS {
            return Err(Refused::Shape("more loops in a function than are handled"));
        }
        let (fuel, stop) = (self.fuel, meter::STOP + 8 * u64::from(self.checks));
        self.checks += 1;
        self.load_long(stop);
        self.emit([I::LocalGet(fuel), I::I64Or, I::I64Const(0), I::I64LtS]);
        Ok(())
    }

    /// Pushes whether the stack does not suffice.
    fn stack_lacks(&mut self) {
        let (stack, needed) = (self.stack, saturated(self.context.function.stack_needed));
        self.emit([I::LocalGet(stack), I::I32Const(needed), I::I32LtS]);
    }

    /// Ends the guest.
    fn strike(&mut self) {
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
    fn begin(&mut self, unwind: Label) -> Result<(), Refused> {
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
        self.must_stop()?;
        self.stack_lacks();
        self.emit([I::I32Or]);
        self.if_unlikely();
        match self.context.kind {
            Kind::Stop { again } => {
                self.if_resuming();
                self.emit([again.map_or(I::Unreachable, I::ReturnCall)]);
                self.end();
                self.stop_here(0, true, unwind)?;
            }
            Kind::Count | Kind::Resume => self.strike(),
        }
        self.end();
        Ok(())
    }

    /// What a function does first that goes on from a frame: the one that made way for it has taken note
    /// of the stack.
    fn begin_again(&mut self) -> Result<(), Refused> {
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
        // The site where it begins has looked at the first stop word.
        self.checks += 1;
        Ok(())
    }

    /// At a site where fuel or stack lack, or the guest was told to stop: ends it, or stops it unless a
    /// call is open that must return to the host first.
    fn stop_here(&mut self, site: SiteIndex, is_entry: bool, unwind: Label) -> Result<(), Refused> {
        let fuel = self.fuel;
        self.emit([I::LocalGet(fuel)]);
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
        self.branch(unwind);
        self.end();
        Ok(())
    }

    // --- frames

    fn site(&self, site: SiteIndex) -> Result<&Site, Refused> {
        let site = usize::try_from(site)
            .ok()
            .and_then(|site| self.body.sites.get(site));
        site.ok_or(Refused::Shape("a site that is not there"))
    }

    fn layout(&self, site: SiteIndex) -> Result<(Vec<Item>, u32), Refused> {
        let layout = frame::layout(self.site(site)?, &self.body.locals);
        layout.ok_or(Refused::Shape("a reference in a frame"))
    }

    /// The local that has a value of a frame of `site`.
    fn local(&mut self, item: Item) -> Result<u32, Refused> {
        match item.from {
            From::Local(local) => Ok(local),
            From::Operand(height) => self.slot(height, item.ty),
        }
    }

    fn push_frame(&mut self, site: SiteIndex) -> Result<(), Refused> {
        let (items, bytes) = self.layout(site)?;
        let frame = self.length;
        self.load_word(meter::FRAMES_END);
        self.emit([I::LocalSet(frame)]);
        for item in items {
            let (local, at) = (self.local(item)?, self.at(item.offset.into(), 0));
            self.emit([I::LocalGet(frame), I::LocalGet(local), store(item.ty, at)?]);
        }
        let word = self.context.first_word.saturating_add(site);
        let at = self.at((bytes - frame::WORD_BYTES).into(), 0);
        let end = self.at(meter::FRAMES_END, 2);
        self.emit([
            I::LocalGet(frame),
            I::I32Const(word.cast_signed()),
            I::I32Store(at),
            I::I32Const(0),
            I::LocalGet(frame),
            I::I32Const(bytes.cast_signed()),
            I::I32Add,
            I::I32Store(end),
        ]);
        Ok(())
    }

    fn if_resuming(&mut self) {
        self.load_word(meter::MODE);
        self.emit([I::I32Const(0), I::I32LtS]);
        self.if_unlikely();
    }

    /// Finds the frame of this call, and which site it is of.
    fn find_frame(&mut self) {
        let (word, frame, state) = (self.at(0, 0), self.frame, self.state);
        let first = self.context.first_word;
        self.load_word(meter::FRAMES_END);
        self.emit([
            I::LocalTee(frame),
            I::I32Const(frame::WORD_BYTES.cast_signed()),
            I::I32Sub,
            I::I32Load(word),
            I::I32Const(first.cast_signed()),
            I::I32Sub,
            I::LocalSet(state),
        ]);
    }

    /// Goes on at the site that the local `state` names: at the first of `sites`, which is the one that
    /// is here, or at the pad in `nodes` that leads to it. On the way it takes from the frame what the
    /// region at `depth` is responsible for.
    fn dispatch(
        &mut self,
        nodes: &[Node<'_>],
        sites: Range<SiteIndex>,
        depth: usize,
        passed: Label,
    ) -> Result<(), Refused> {
        let mut entries = Vec::new();
        entries_of(nodes, &mut entries);
        let here = self.new_label();
        let mut ways = vec![Way {
            site: sites.start,
            label: here,
            target: None,
        }];
        for entry in entries {
            for site in entry.site..=entry.last {
                let label = if depth == 0 || !self.taken_at(site, depth)?.is_empty() {
                    self.new_label()
                } else {
                    // Nothing is to be taken here.
                    entry.pad
                };
                ways.push(Way {
                    site,
                    label,
                    target: Some(entry.pad),
                });
            }
        }
        let unknown = self.new_label();
        self.block(unknown, BlockType::Empty);
        for way in ways.iter().rev().filter(|way| way.has_block()) {
            self.block(way.label, BlockType::Empty);
        }
        let table: Vec<_> = ways.iter().map(|way| self.depth(way.label)).collect();
        let default = self.depth(unknown);
        self.emit([
            I::LocalGet(self.state),
            I::I32Const(sites.start.cast_signed()),
            I::I32Sub,
            I::BrTable(table.into(), default),
        ]);
        for way in ways.iter().filter(|way| way.has_block()) {
            self.end();
            if depth == 0 {
                self.drop_frame(way.site)?;
            }
            if let Some(pad) = way.target {
                self.take(way.site, depth)?;
                self.branch(pad);
            } else {
                if depth == 0 {
                    self.take(way.site, depth)?;
                }
                self.go_on();
                self.branch(passed);
            }
        }
        self.end();
        self.emit([I::Unreachable]);
        Ok(())
    }

    /// The values of a frame that the region at `depth` takes from it.
    fn taken_at(&self, site: SiteIndex, depth: usize) -> Result<Vec<Item>, Refused> {
        let of = self.site(site)?;
        let (items, _) = self.layout(site)?;
        let mut owners = of.owners.iter().copied();
        // Locals come first in a frame, and each has an owner.
        let taken = items.into_iter().filter(|item| match item.from {
            From::Local(_) => owners.next() == Some(depth),
            From::Operand(_) => of.depth == depth,
        });
        Ok(taken.collect())
    }

    /// Leaves the frame, which ends at the local `frame`, to be overwritten.
    fn drop_frame(&mut self, site: SiteIndex) -> Result<(), Refused> {
        let (_, bytes) = self.layout(site)?;
        let end = self.at(meter::FRAMES_END, 2);
        self.emit([
            I::I32Const(0),
            I::LocalGet(self.frame),
            I::I32Const(bytes.cast_signed()),
            I::I32Sub,
            I::I32Store(end),
        ]);
        Ok(())
    }

    /// Takes values of a frame, which ends at the local `frame`.
    fn take(&mut self, site: SiteIndex, depth: usize) -> Result<(), Refused> {
        let (_, bytes) = self.layout(site)?;
        let items = self.taken_at(site, depth)?;
        if items.is_empty() {
            return Ok(());
        }
        let frame = self.length;
        self.emit([
            I::LocalGet(self.frame),
            I::I32Const(bytes.cast_signed()),
            I::I32Sub,
            I::LocalSet(frame),
        ]);
        for item in items {
            let (local, at) = (self.local(item)?, self.at(item.offset.into(), 0));
            self.emit([I::LocalGet(frame), load(item.ty, at)?, I::LocalSet(local)]);
        }
        Ok(())
    }

    /// All frames have been taken: the guest runs again.
    fn go_on(&mut self) {
        let (mode, left) = (self.at(meter::MODE, 2), self.at(meter::FUEL_LEFT, 3));
        let paid = self.at(meter::PAID_FUEL, 3);
        let fuel = self.fuel;
        self.emit([I::I32Const(0), I::I32Const(0), I::I32Store(mode)]);
        self.emit([
            I::I32Const(0),
            I::I32Const(0),
            I::I64Load(paid),
            I::I64Store(left),
        ]);
        self.load_long(meter::KEPT_FUEL);
        self.emit([I::LocalSet(fuel)]);
    }

    // --- code

    /// Whether a block has to begin where the region does.
    fn has_pads(&self, frame: &Frame) -> bool {
        self.resumes && !frame.sites.is_empty()
    }

    /// Has copies of the operands above `base` in their slots, if the function can be stopped.
    fn copy_away(&mut self, base: usize, operands: &[ValType]) -> Result<(), Refused> {
        if self.stops {
            self.put_away(base, operands)?;
            self.take_out(base, operands)?;
        }
        Ok(())
    }

    /// Where the operands begin that are on the stack within a block, rather than only in their slots.
    fn base_within(&self, frame: &Frame, base: usize) -> usize {
        if self.stops && !frame.sites.is_empty() {
            frame.beneath()
        } else {
            base
        }
    }

    /// Begins all blocks that contain pads of `nodes`, and the pads themselves.
    fn open_region(&mut self, nodes: &[Node<'_>]) {
        let mut blocks = Vec::new();
        self.blocks_of(nodes, &mut blocks);
        for (label, results) in blocks.into_iter().rev() {
            let ty = self.types.block(&results);
            self.block(label, ty);
        }
    }

    /// The blocks of a region in the order in which they end, each with its results.
    fn blocks_of(&self, nodes: &[Node<'_>], blocks: &mut Vec<(Label, Vec<ValType>)>) {
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
    fn sequence(&mut self, nodes: &[Node<'_>], base: usize, unwind: Label) -> Result<(), Refused> {
        for node in nodes {
            match node {
                Node::Plain(operator) => self.plain(operator)?,
                Node::Br(label) => {
                    self.pay(1);
                    self.branch(*label);
                }
                Node::BrIf(label) => {
                    self.pay(1);
                    let depth = self.depth(*label);
                    self.emit([I::BrIf(depth)]);
                }
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
                Node::Call(call) => self.call(call, base, unwind)?,
                Node::Block(block) => self.nested(block, base, unwind)?,
                Node::If(branch) => self.either(branch, base, unwind)?,
                Node::Loop(again) => self.again(again, base, unwind)?,
            }
        }
        Ok(())
    }

    /// Charges for what comes next and for all before.
    fn pay(&mut self, cost: u64) {
        self.cost += cost;
        self.flush();
    }

    fn plain(&mut self, operator: &Operator<'_>) -> Result<(), Refused> {
        self.cost += cost::fixed(operator);
        match operator {
            Operator::Unreachable => {
                self.cost = 0;
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

    fn call(&mut self, call: &Call<'_>, base: usize, unwind: Label) -> Result<(), Refused> {
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
        self.emit([I::LocalGet(fuel), I::I64Const(meter::LEAST_FUEL), I::I64LtS]);
        self.if_unlikely();
        self.push_frame(call.site)?;
        self.branch(unwind);
        self.end();
        Ok(())
    }

    fn nested(&mut self, block: &Block<'_>, base: usize, unwind: Label) -> Result<(), Refused> {
        let frame = &block.frame;
        if !self.has_pads(frame) {
            let within = self.base_within(frame, base);
            if !frame.sites.is_empty() {
                self.copy_away(base, &frame.operands)?;
            }
            self.operator(&Operator::Block { blockty: frame.ty })?;
            self.opened(frame.label);
            self.sequence(&block.body, within, unwind)?;
            self.flush();
            self.end();
            return Ok(());
        }
        self.put_away(base, &frame.operands)?;
        self.take_out(frame.beneath(), &frame.operands)?;
        self.sequence(&block.body, frame.beneath(), unwind)?;
        self.flush();
        self.end();
        self.join(frame, base)
    }

    /// Where a block has ended that began where the region does: brings the operands beneath it back.
    fn join(&mut self, frame: &Frame, base: usize) -> Result<(), Refused> {
        let after = frame.after();
        self.put_away(frame.beneath(), &after)?;
        self.take_out(base, &after)
    }

    fn either(&mut self, branch: &If<'_>, base: usize, unwind: Label) -> Result<(), Refused> {
        let frame = &branch.frame;
        self.pay(1);
        if !self.has_pads(frame) {
            let within = self.base_within(frame, base);
            if self.stops && !frame.sites.is_empty() {
                let condition = self.length;
                self.emit([I::LocalSet(condition)]);
                self.copy_away(base, &frame.operands)?;
                self.emit([I::LocalGet(condition)]);
            }
            self.operator(&Operator::If { blockty: frame.ty })?;
            self.opened(frame.label);
            self.sequence(&branch.then, within, unwind)?;
            self.flush();
            if let Some(nodes) = &branch.or_else {
                self.emit([I::Else]);
                self.sequence(nodes, within, unwind)?;
                self.flush();
            }
            self.end();
            return Ok(());
        }
        let condition = self.length;
        self.emit([I::LocalSet(condition)]);
        self.put_away(base, &frame.operands)?;
        let otherwise = self.depth(branch.otherwise);
        self.emit([I::LocalGet(condition), I::I32Eqz, I::BrIf(otherwise)]);
        self.take_out(frame.beneath(), &frame.operands)?;
        self.sequence(&branch.then, frame.beneath(), unwind)?;
        self.flush();
        self.branch(frame.label);
        self.end();
        self.take_out(frame.beneath(), &frame.operands)?;
        let nodes = branch.or_else.as_deref().unwrap_or_default();
        self.sequence(nodes, frame.beneath(), unwind)?;
        self.flush();
        self.end();
        self.join(frame, base)
    }

    fn again(&mut self, again: &Loop<'_>, base: usize, unwind: Label) -> Result<(), Refused> {
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
        self.must_stop()?;
        let passed = self.if_unlikely();
        if self.resumes {
            self.if_resuming();
            let depth = self.site(again.site)?.depth + 1;
            self.dispatch(&again.body, frame.sites.clone(), depth, passed)?;
            self.end();
        }
        if self.stops {
            self.stop_here(again.site, false, unwind)?;
        } else {
            self.strike();
        }
        self.end();
        if self.stops {
            self.take_out(frame.beneath(), &frame.operands)?;
        }
        let within = self.base_within(frame, base);
        self.sequence(&again.body, within, unwind)?;
        self.flush();
        self.end();
        if self.resumes {
            self.join(frame, base)?;
        }
        Ok(())
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
    fn grow(&mut self, operator: &Operator<'_>, log2: u32) -> Result<(), Refused> {
        let (fuel, length, result) = (self.fuel, self.length, self.result);
        self.emit([I::LocalTee(length)]);
        self.operator(operator)?;
        self.emit([I::LocalTee(result), I::LocalGet(fuel), I::LocalGet(length)]);
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
        Ok(())
    }
}

/// The ways into a region, in the order of its code.
fn entries_of(nodes: &[Node<'_>], entries: &mut Vec<Entry>) {
    for node in nodes {
        match node {
            Node::Call(call) => entries.push(Entry {
                site: call.site,
                last: call.site,
                pad: call.pad,
            }),
            Node::Loop(again) => entries.push(Entry {
                site: again.site,
                last: again.frame.sites.end.saturating_sub(1),
                pad: again.pad,
            }),
            Node::Block(block) => entries_of(&block.body, entries),
            Node::If(branch) => {
                entries_of(&branch.then, entries);
                entries_of(branch.or_else.as_deref().unwrap_or_default(), entries);
            }
            _ => {}
        }
    }
}

/// Bytes of stack as an operand. No stack has more than this.
fn saturated(bytes: u64) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

pub(crate) fn zero(ty: ValType) -> Result<I<'static>, Refused> {
    Ok(match ty {
        ValType::I32 => I::I32Const(0),
        ValType::I64 => I::I64Const(0),
        ValType::F32 => I::F32Const(0.0.into()),
        ValType::F64 => I::F64Const(0.0.into()),
        ValType::V128 => I::V128Const(0),
        ValType::Ref(ty) => I::RefNull(RoundtripReencoder.heap_type(ty.heap_type()).map_err(
            |_: wasm_encoder::reencode::Error| Refused::Shape("a reference of no type"),
        )?),
    })
}

pub(crate) fn store(ty: ValType, at: MemArg) -> Result<I<'static>, Refused> {
    Ok(match ty {
        ValType::I32 => I::I32Store(at),
        ValType::I64 => I::I64Store(at),
        ValType::F32 => I::F32Store(at),
        ValType::F64 => I::F64Store(at),
        ValType::V128 => I::V128Store(at),
        ValType::Ref(_) => return Err(Refused::Shape("a reference in a frame")),
    })
}

pub(crate) fn load(ty: ValType, at: MemArg) -> Result<I<'static>, Refused> {
    Ok(match ty {
        ValType::I32 => I::I32Load(at),
        ValType::I64 => I::I64Load(at),
        ValType::F32 => I::F32Load(at),
        ValType::F64 => I::F64Load(at),
        ValType::V128 => I::V128Load(at),
        ValType::Ref(_) => return Err(Refused::Shape("a reference in a frame")),
    })
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
