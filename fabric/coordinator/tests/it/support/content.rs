//! The content of nodes: which blocks each of them has, and what it pins. Blocks have no bytes here, but links and a size.

use super::{lock, process::Process, world::World};
use async_trait::async_trait;
use mc_coordinator::{ContentError, ContentStore, Failure};
use mc_types::{Cid, ErrorCode, NodeId, Outcome, TaskSpec, canonical, cid};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::{Arc, Mutex},
};

/// How large a block is unless somebody said otherwise.
const BLOCK_BYTES: u64 = 100;

/// What a node has.
#[derive(Debug, Default)]
struct Held {
    blocks: BTreeSet<Cid>,
    pins: BTreeMap<String, Cid>,
}

#[derive(Debug, Default)]
struct All {
    nodes: BTreeMap<NodeId, Held>,
    /// To what a block links: whoever has it knows.
    links: BTreeMap<Cid, Vec<Cid>>,
    /// Of those that have not the usual size.
    bytes: BTreeMap<Cid, u64>,
}

impl All {
    /// A block and all that it links to.
    fn below(&self, root: Cid) -> BTreeSet<Cid> {
        let mut seen = BTreeSet::from([root]);
        let mut pending = vec![root];
        while let Some(cid) = pending.pop() {
            let links = self.links.get(&cid).into_iter().flatten();
            pending.extend(links.filter(|link| seen.insert(**link)));
        }
        seen
    }

    fn has_all(&self, node: &NodeId, root: Cid) -> bool {
        let held = self.nodes.get(node);
        held.is_some_and(|held| self.below(root).is_subset(&held.blocks))
    }

    fn size(&self, cid: &Cid) -> u64 {
        self.bytes.get(cid).copied().unwrap_or(BLOCK_BYTES)
    }
}

/// What all nodes have.
#[derive(Debug, Default)]
pub(crate) struct Holdings(Mutex<All>);

impl Holdings {
    /// A node has a block.
    pub(crate) fn add(&self, node: &NodeId, cid: Cid, links: &[Cid]) {
        let mut all = lock(&self.0);
        if !links.is_empty() {
            all.links.insert(cid, links.to_vec());
        }
        all.nodes
            .entry(node.clone())
            .or_default()
            .blocks
            .insert(cid);
    }

    /// A block is larger than others.
    pub(crate) fn set_size(&self, cid: Cid, bytes: u64) {
        lock(&self.0).bytes.insert(cid, bytes);
    }

    /// A node has lost a block, or all of them.
    pub(crate) fn lose(&self, node: &NodeId, cid: Option<Cid>) {
        if let Some(held) = lock(&self.0).nodes.get_mut(node) {
            held.blocks
                .retain(|block| cid.is_some_and(|cid| cid != *block));
        }
    }

    /// Removes what a node does not keep by a pin.
    pub(crate) fn collect_garbage(&self, node: &NodeId) {
        let mut all = lock(&self.0);
        let roots = all.nodes.get(node).map(|held| held.pins.clone());
        let roots = roots.unwrap_or_default();
        let kept: BTreeSet<Cid> = roots.values().flat_map(|root| all.below(*root)).collect();
        if let Some(held) = all.nodes.get_mut(node) {
            held.blocks.retain(|block| kept.contains(block));
        }
    }

    /// Whether a node has all that is below `root`.
    pub(crate) fn has_all(&self, node: &NodeId, root: Cid) -> bool {
        lock(&self.0).has_all(node, root)
    }

    /// Whether a node has all that is below `root`, and keeps it by that pin.
    pub(crate) fn keeps(&self, node: &NodeId, name: &str, root: Cid) -> bool {
        let all = lock(&self.0);
        let held = all.nodes.get(node);
        held.is_some_and(|held| held.pins.get(name) == Some(&root)) && all.has_all(node, root)
    }

    pub(crate) fn pins(&self, node: &NodeId) -> BTreeMap<String, Cid> {
        let all = lock(&self.0);
        let held = all.nodes.get(node);
        held.map(|held| held.pins.clone()).unwrap_or_default()
    }
}

/// Content as one process of a coordinator sees it.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) world: Arc<World>,
    pub(crate) process: Arc<Process>,
}

fn failed(what: &'static str) -> ContentError {
    Failure::new(ErrorCode::ContentNotFound, what).into()
}

/// To what a block links, if it is one of those that coordinators write.
fn links_of(block: &[u8]) -> Vec<Cid> {
    if let Ok(task) = canonical::decode::<TaskSpec>(block) {
        return task.roots().collect();
    }
    let Ok(outcome) = canonical::decode::<Outcome>(block) else {
        return Vec::new();
    };
    // What the task needs, others bring along: who only took the job over may not have all of that.
    vec![outcome.stdout, outcome.stderr, outcome.outputs]
}

impl Content {
    fn me(&self) -> &NodeId {
        &self.process.node
    }

    /// Changes what this node has, as soon as the process gets to it.
    async fn change(&self, change: impl FnOnce(&mut Held) + Send) {
        self.process.goes_on().await;
        tokio::time::sleep(self.world.random.millis(3)).await;
        self.process.goes_on().await;
        change(
            lock(&self.world.holdings.0)
                .nodes
                .entry(self.me().clone())
                .or_default(),
        );
        self.process.goes_on().await;
    }

    /// Fetches what is missing below `root`, as far as those have it who are there.
    fn take(
        &self,
        root: Cid,
        providers: &[NodeId],
        budget: &mut u64,
    ) -> Result<BTreeSet<Cid>, ContentError> {
        let there = [self.world.workers(), self.world.coordinators()].concat();
        let mut all = lock(&self.world.holdings.0);
        let below = all.below(root);
        for cid in &below {
            let has = |node: &NodeId| {
                let held = all.nodes.get(node);
                held.is_some_and(|held| held.blocks.contains(cid))
            };
            if has(self.me()) {
                continue;
            }
            let mut asked = providers.iter().chain(&there);
            if !asked.any(|node| there.contains(node) && has(node)) {
                self.world.count("content that did not arrive");
                return Err(failed("nobody has a block"));
            }
            let Some(left) = budget.checked_sub(all.size(cid)) else {
                self.world.count("content that was refused");
                let failure = Failure::new(ErrorCode::CorruptContent, "it is too large");
                return Err(ContentError::TooLarge(failure));
            };
            *budget = left;
            let own = all.nodes.entry(self.me().clone()).or_default();
            own.blocks.insert(*cid);
        }
        Ok(below)
    }

    async fn fetch_all(
        &self,
        root: Cid,
        providers: &[NodeId],
        budget: &mut u64,
    ) -> Result<BTreeSet<Cid>, ContentError> {
        let world = &self.world;
        self.process.goes_on().await;
        let most = if world.goes_wrong(5) { 12_000 } else { 50 };
        tokio::time::sleep(world.random.millis(most)).await;
        self.process.goes_on().await;
        if world.goes_wrong(3) {
            world.count("content that did not arrive");
            return Err(failed("the connection broke"));
        }
        self.take(root, providers, budget)
    }
}

#[async_trait]
impl ContentStore for Content {
    async fn put_pinned(&self, name: &str, root: Cid, block: Vec<u8>) -> Result<(), ContentError> {
        if cid::of(cid::DAG_CBOR, &block) != root {
            self.world.violated(format!("{name} is of another block"));
        }
        let links = links_of(&block);
        lock(&self.world.holdings.0).links.insert(root, links);
        self.change(|held| {
            held.blocks.insert(root);
            held.pins.insert(name.to_owned(), root);
        })
        .await;
        Ok(())
    }

    async fn pin(&self, name: &str, root: Cid) -> Result<(), ContentError> {
        self.change(|held| {
            held.pins.insert(name.to_owned(), root);
        })
        .await;
        Ok(())
    }

    async fn unpin(&self, name: &str) -> Result<(), ContentError> {
        self.change(|held| {
            held.pins.remove(name);
        })
        .await;
        Ok(())
    }

    async fn pins(&self) -> Result<Vec<(String, Cid)>, ContentError> {
        self.process.goes_on().await;
        Ok(self.world.holdings.pins(self.me()).into_iter().collect())
    }

    async fn fetch(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        budget: &mut u64,
    ) -> Result<(), ContentError> {
        self.fetch_all(root, &providers, budget).await.map(drop)
    }

    async fn fetch_beyond(
        &self,
        root: Cid,
        providers: Vec<NodeId>,
        complete: &mut HashSet<Cid>,
        budget: &mut u64,
    ) -> Result<(), ContentError> {
        complete.clear();
        let below = self.fetch_all(root, &providers, budget).await?;
        complete.extend(below.into_iter().filter(|cid| cid.codec() != cid::RAW));
        Ok(())
    }

    async fn bytes_below(&self, root: Cid, providers: Vec<NodeId>) -> Result<u64, ContentError> {
        let mut unlimited = mc_coordinator::UNLIMITED;
        let below = self.fetch_all(root, &providers, &mut unlimited).await?;
        let all = lock(&self.world.holdings.0);
        Ok(below.iter().map(|cid| all.size(cid)).sum())
    }
}
