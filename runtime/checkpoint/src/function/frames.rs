//! Leaving frames, and going on from them.

use super::{
    Emitter,
    instructions::{load, store},
};
use crate::{
    Refused,
    frame::{self, Frame, From, Item, Site},
    meter,
    tree::{Label, Loop, Node, SiteIndex},
};
use std::ops::Range;
use wasm_encoder::{Instruction as I, reencode::Reencode};

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

impl<'a, R: Reencode<Error = Refused>> Emitter<'a, '_, R> {
    pub(super) fn site(&self, site: SiteIndex) -> Result<&'a Site, Refused> {
        let sites = &self.body.sites;
        let site = usize::try_from(site).ok().and_then(|site| sites.get(site));
        site.ok_or(Refused::Shape("a site that is not there"))
    }

    fn frame_of(&self, site: SiteIndex) -> Result<&'a Frame, Refused> {
        let frame = self.site(site)?.frame.as_ref();
        frame.ok_or(Refused::Shape("a reference in a frame"))
    }

    /// The local that has a value of a frame of `site`.
    pub(super) fn local(&mut self, item: Item) -> Result<u32, Refused> {
        match item.from {
            From::Local(local) => Ok(local),
            From::Operand(height) => self.slot(height, item.ty),
        }
    }

    pub(super) fn push_frame(&mut self, site: SiteIndex) -> Result<(), Refused> {
        let Frame { items, bytes } = self.frame_of(site)?;
        let frame = self.length;
        self.load_word(meter::FRAMES_END);
        self.emit([I::LocalSet(frame)]);
        for item in items {
            let (local, at) = (self.local(*item)?, self.at(item.offset.into(), 0));
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

    /// Goes on from a frame if the guest is being resumed, at a loop that begins there.
    pub(super) fn dispatch_if_resuming(
        &mut self,
        again: &Loop<'_>,
        passed: Label,
    ) -> Result<(), Refused> {
        let not = self.new_label();
        self.block_unlikely(not);
        self.load_word(meter::MODE);
        self.emit([I::I32Const(0), I::I32GeS]);
        self.branch_off(not);
        let depth = self.site(again.site)?.depth + 1;
        self.dispatch(&again.body, again.frame.sites.clone(), depth, passed)?;
        self.end();
        Ok(())
    }

    /// Finds the frame of this call, and which site it is of.
    pub(super) fn find_frame(&mut self) {
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

    /// How the sites are reached: `first`, which is the one that is here, and those to which pads in `nodes` lead.
    fn ways(
        &mut self,
        nodes: &[Node<'_>],
        first: SiteIndex,
        depth: usize,
    ) -> Result<Vec<Way>, Refused> {
        let mut entries = Vec::new();
        entries_of(nodes, &mut entries);
        let here = self.new_label();
        let mut ways = vec![Way {
            site: first,
            label: here,
            target: None,
        }];
        for entry in entries {
            for site in entry.site..=entry.last {
                let label = if depth == 0 || self.frame_of(site)?.taken_by(depth).next().is_some() {
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
        Ok(ways)
    }

    /// Resumes at the site in the local `state`: at the first of `sites`, which is here, or at the pad in `nodes` that
    /// leads to it. On the way it takes from the frame the values of the region at `depth`.
    pub(super) fn dispatch(
        &mut self,
        nodes: &[Node<'_>],
        sites: Range<SiteIndex>,
        depth: usize,
        passed: Label,
    ) -> Result<(), Refused> {
        let ways = self.ways(nodes, sites.start, depth)?;
        let unknown = self.new_label();
        self.block_unlikely(unknown);
        for way in ways.iter().rev().filter(|way| way.has_block()) {
            self.block_unlikely(way.label);
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

    /// Leaves the frame, which ends at the local `frame`; it may be overwritten from then on.
    pub(super) fn drop_frame(&mut self, site: SiteIndex) -> Result<(), Refused> {
        let bytes = self.frame_of(site)?.bytes;
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
    pub(super) fn take(&mut self, site: SiteIndex, depth: usize) -> Result<(), Refused> {
        let of = self.frame_of(site)?;
        let mut items = of.taken_by(depth).peekable();
        if items.peek().is_none() {
            return Ok(());
        }
        let (frame, bytes) = (self.length, of.bytes);
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
    pub(super) fn go_on(&mut self) {
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
