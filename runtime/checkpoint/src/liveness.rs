//! Which locals are read later. A frame has only those, so that it is small and does not depend on dead values.

use crate::{
    frame::Frame,
    tree::{Body, Label, Loop, Node, SiteIndex},
};
use wasmparser::Operator;

/// A set of locals.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Set(Vec<u64>);

impl Set {
    fn new(locals: usize) -> Self {
        Self(vec![0; locals.div_ceil(64)])
    }

    fn word(&mut self, local: u32) -> Option<(&mut u64, u64)> {
        let index = usize::try_from(local / 64).ok()?;
        Some((self.0.get_mut(index)?, 1 << (local % 64)))
    }

    fn contains(&self, local: u32) -> bool {
        let index = usize::try_from(local / 64).unwrap_or(usize::MAX);
        self.0
            .get(index)
            .is_some_and(|word| word >> (local % 64) & 1 == 1)
    }

    fn insert(&mut self, local: u32) {
        if let Some((word, bit)) = self.word(local) {
            *word |= bit;
        }
    }

    fn remove(&mut self, local: u32) {
        if let Some((word, bit)) = self.word(local) {
            *word &= !bit;
        }
    }

    /// Turns the live locals after an operator, which is neither a block nor a branch, into those before it.
    fn before(&mut self, operator: &Operator<'_>) {
        match operator {
            Operator::LocalGet { local_index } => self.insert(*local_index),
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                self.remove(*local_index);
            }
            Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. } => self.clear(),
            _ => {}
        }
    }

    fn add(&mut self, other: &Self) {
        for (own, other) in self.0.iter_mut().zip(&other.0) {
            *own |= other;
        }
    }

    fn clear(&mut self) {
        self.0.fill(0);
    }

    fn to_vec(&self) -> Vec<u32> {
        let words = (0..).zip(&self.0);
        words
            .flat_map(|(word, bits)| {
                (0..64)
                    .filter(move |bit| bits >> bit & 1 == 1)
                    .map(move |bit| word * 64 + bit)
            })
            .collect()
    }
}

/// Finds out what is live at the sites of a body.
pub(crate) fn solve(body: &mut Body<'_>) {
    let none = Set::new(body.locals.len());
    let labels = usize::try_from(body.labels).unwrap_or_default();
    let mut solver = Solver {
        labels: vec![None; labels],
        sites: vec![none.clone(); body.sites.len()],
        none: none.clone(),
    };
    let at_entry = solver.sequence(&body.nodes, solver.none.clone());
    if body.has_entry {
        solver.site(0, &at_entry);
    }
    let mut owners = Owners {
        regions: Vec::new(),
        found: vec![(0, Vec::new()); body.sites.len()],
        live: solver.sites,
        none,
    };
    if body.has_entry {
        owners.site(0);
    }
    owners.sequence(&body.nodes);
    for (site, (depth, live)) in body.sites.iter_mut().zip(owners.found) {
        site.depth = depth;
        site.frame = Frame::of(site, &live, &body.locals);
    }
}

/// Finds for each local of each site the innermost region that changes it.
struct Owners {
    /// The locals that the loops around a place change, from the outermost inwards.
    regions: Vec<Set>,
    /// What is live at the sites.
    live: Vec<Set>,
    /// How deep in loops each site is, and what is live there with its owners.
    found: Vec<(usize, Vec<(u32, usize)>)>,
    none: Set,
}

impl Owners {
    fn sequence(&mut self, nodes: &[Node<'_>]) {
        for node in nodes {
            match node {
                Node::Call(call) => self.site(call.site),
                Node::Block(block) => self.sequence(&block.body),
                Node::Try(block) => self.sequence(&block.body),
                Node::If(branch) => {
                    self.sequence(&branch.then);
                    self.sequence(branch.or_else.as_deref().unwrap_or_default());
                }
                Node::Loop(again) => {
                    self.site(again.site);
                    let mut changed = self.none.clone();
                    find_changed(&again.body, &mut changed);
                    self.regions.push(changed);
                    self.sequence(&again.body);
                    self.regions.pop();
                }
                _ => {}
            }
        }
    }

    fn site(&mut self, site: SiteIndex) {
        let index = usize::try_from(site).unwrap_or(usize::MAX);
        let (Some(live), Some(found)) = (self.live.get(index), self.found.get_mut(index)) else {
            return;
        };
        let owned = live.to_vec().into_iter().map(|local| {
            let changing = self
                .regions
                .iter()
                .rposition(|changed| changed.contains(local));
            (local, changing.map_or(0, |region| region + 1))
        });
        *found = (self.regions.len(), owned.collect());
    }
}

/// Finds the locals that are set somewhere in `nodes`.
fn find_changed(nodes: &[Node<'_>], changed: &mut Set) {
    for node in nodes {
        match node {
            Node::Plain(
                Operator::LocalSet { local_index } | Operator::LocalTee { local_index },
            ) => changed.insert(*local_index),
            Node::Block(block) => find_changed(&block.body, changed),
            Node::Try(block) => find_changed(&block.body, changed),
            Node::If(branch) => {
                find_changed(&branch.then, changed);
                find_changed(branch.or_else.as_deref().unwrap_or_default(), changed);
            }
            Node::Loop(again) => find_changed(&again.body, changed),
            _ => {}
        }
    }
}

struct Solver {
    /// What is live where branches to a label go.
    labels: Vec<Option<Set>>,
    sites: Vec<Set>,
    none: Set,
}

impl Solver {
    fn at(&self, label: Label) -> &Set {
        let index = usize::try_from(label).unwrap_or(usize::MAX);
        self.labels
            .get(index)
            .and_then(Option::as_ref)
            .unwrap_or(&self.none)
    }

    fn set(&mut self, label: Label, live: Set) {
        let index = usize::try_from(label).unwrap_or(usize::MAX);
        if let Some(place) = self.labels.get_mut(index) {
            *place = Some(live);
        }
    }

    fn site(&mut self, site: u32, live: &Set) {
        let index = usize::try_from(site).unwrap_or(usize::MAX);
        if let Some(place) = self.sites.get_mut(index) {
            place.clone_from(live);
        }
    }

    /// What is live before `nodes`, if `live` is after them.
    fn sequence(&mut self, nodes: &[Node<'_>], mut live: Set) -> Set {
        for node in nodes.iter().rev() {
            live = self.node(node, live);
        }
        live
    }

    fn node(&mut self, node: &Node<'_>, mut live: Set) -> Set {
        match node {
            Node::Plain(operator) => {
                live.before(operator);
                live
            }
            Node::Br(label) => self.at(*label).clone(),
            Node::BrIf { label, .. } => {
                live.add(self.at(*label));
                live
            }
            Node::BrTable(labels, default) => {
                let mut live = self.at(*default).clone();
                labels.iter().for_each(|label| live.add(self.at(*label)));
                live
            }
            Node::Return => self.none.clone(),
            Node::Call(call) => {
                self.site(call.site, &live);
                live
            }
            Node::Block(block) => {
                self.set(block.frame.label, live.clone());
                self.sequence(&block.body, live)
            }
            Node::Try(block) => {
                self.set(block.frame.label, live.clone());
                let mut before = self.sequence(&block.body, live);
                let handlers = block.handlers.iter();
                handlers.for_each(|handler| before.add(self.at(handler.label)));
                before
            }
            Node::If(branch) => {
                self.set(branch.frame.label, live.clone());
                let mut before = self.sequence(&branch.then, live.clone());
                let other = match &branch.or_else {
                    Some(nodes) => self.sequence(nodes, live),
                    None => live,
                };
                before.add(&other);
                before
            }
            Node::Loop(again) => self.again(again, &live),
        }
    }

    /// What is live before a loop, if `live` is after it.
    fn again(&mut self, again: &Loop<'_>, live: &Set) -> Set {
        let label = again.frame.label;
        // What an enclosing loop's earlier round found still holds: the sets only grow.
        let mut header = self.at(label).clone();
        loop {
            self.set(label, header.clone());
            let mut found = self.sequence(&again.body, live.clone());
            found.add(&header);
            if found == header {
                break;
            }
            header = found;
        }
        self.site(again.site, &header);
        header
    }
}

#[cfg(test)]
mod tests;
