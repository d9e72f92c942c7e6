//! Collects the blocks that no pin needs.
//!
//! Marking reads while others write, so it may miss what happens in the meantime. Two rules make
//! that harmless: a block that was stored (again) within the grace period is not removed, and a
//! sweep is refused by the writer when a pin was added since marking began.

use super::{
    Store,
    engine::{key, storage},
    writer::Operation,
};
use crate::{Error, MAX_DAG_BLOCKS, links};
use mc_types::{Cid, Timestamp, cid};
use std::{collections::HashSet, time::Duration};

/// Blocks that are removed in one commit.
const SWEEP_KEYS: usize = 1024;
/// How often marking starts again because pins were added.
const MAX_MARKINGS: u32 = 8;

/// What a collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcReport {
    /// Blocks that were removed.
    pub removed_blocks: u64,
    /// Their bytes.
    pub removed_bytes: u64,
    /// Blocks that stay.
    pub kept_blocks: u64,
    /// Blocks that no pin needs, but that were stored or requested just now.
    pub recent_blocks: u64,
    /// Their bytes.
    pub recent_bytes: u64,
}

impl Store {
    /// Removes the blocks that no pin needs and that were not stored just now.
    ///
    /// # Errors
    ///
    /// [`Error::Malformed`] or [`Error::Corrupt`] for a pinned block that cannot be read: then nothing is removed,
    /// since its links are unknown.
    pub async fn gc(&self) -> Result<GcReport, Error> {
        collect(self, self.gc_grace(), |_| {}).await
    }

    /// Removes the blocks that no pin needs, even new ones. Uploads in progress must be sent again.
    ///
    /// # Errors
    ///
    /// As [`Self::gc`].
    pub async fn gc_now(&self) -> Result<GcReport, Error> {
        collect(self, Duration::ZERO, |_| {}).await
    }

    /// Removes a block that no pin needs. Succeeds if the block is not there.
    ///
    /// # Errors
    ///
    /// [`Error::Pinned`] names a pin that needs it.
    pub async fn remove(&self, cid: &Cid) -> Result<(), Error> {
        for (pin, root) in self.pins().await? {
            let mut marked = Marked::default();
            mark(self, root, &mut marked).await?;
            if marked.keys.contains(key(cid).as_slice()) {
                return Err(Error::Pinned { cid: *cid, pin });
            }
        }
        let keys = vec![key(cid)];
        self.write(|reply| Operation::Remove { keys, reply }).await
    }
}

/// A block that may go.
pub(super) struct Candidate {
    key: Vec<u8>,
    pub(super) bytes: u64,
    /// When it was stored or used last.
    pub(super) used: u64,
}

/// Removes blocks that no pin needs and that have not been stored or requested since `grace`. `choose` selects among
/// them.
pub(super) async fn collect(
    store: &Store,
    grace: Duration,
    mut choose: impl FnMut(&mut Vec<Candidate>),
) -> Result<GcReport, Error> {
    for _ in 0..MAX_MARKINGS {
        let generation = store
            .write(|reply| Operation::PinGeneration { reply })
            .await?;
        let now = store.now().as_millis();
        let grace = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let spare_since = Timestamp::from_millis(now.saturating_sub(grace));
        let mut marked = Marked::default();
        for (_, root) in store.pins().await? {
            mark(store, root, &mut marked).await?;
        }
        let (mut candidates, mut kept) = unmarked(store, marked.keys, spare_since).await?;
        let all = candidates.len();
        choose(&mut candidates);
        kept.kept_blocks += u64::try_from(all - candidates.len()).unwrap_or(u64::MAX);
        if let Some(report) = sweep(store, candidates, generation, spare_since, kept).await? {
            return Ok(report);
        }
    }
    Err(Error::Storage(
        "pins are being added too quickly; try again".to_owned(),
    ))
}

/// What pins need.
#[derive(Debug, Default)]
struct Marked {
    keys: HashSet<Vec<u8>>,
    /// Blocks whose links were followed. The same bytes may be a leaf under one codec, and a node under another.
    followed: HashSet<Cid>,
}

/// Adds the keys of a DAG. Missing blocks are skipped: a pin may be incomplete.
async fn mark(store: &Store, root: Cid, marked: &mut Marked) -> Result<(), Error> {
    let mut pending = vec![root];
    while let Some(cid) = pending.pop() {
        marked.keys.insert(key(&cid));
        if cid.codec() == cid::RAW || !marked.followed.insert(cid) {
            continue;
        }
        if marked.keys.len() > MAX_DAG_BLOCKS {
            let limit = format!("more than {MAX_DAG_BLOCKS} pinned blocks");
            return Err(Error::TooLarge { cid: root, limit });
        }
        if let Some(bytes) = store.get(&cid).await? {
            pending.extend(links::of(&cid, &bytes)?);
        }
    }
    Ok(())
}

/// The blocks that are neither marked nor recent, and a report of the others.
async fn unmarked(
    store: &Store,
    marked: HashSet<Vec<u8>>,
    spare_since: Timestamp,
) -> Result<(Vec<Candidate>, GcReport), Error> {
    let engine = store.inner.engine.clone();
    super::blocking(move || {
        let mut candidates = Vec::new();
        let mut kept = GcReport::default();
        for entry in engine.written.iter() {
            let (key, written) = entry.into_inner().map_err(storage)?;
            let written = written[..].try_into().map(u64::from_be_bytes).unwrap_or(0);
            if marked.contains(&key[..]) {
                kept.kept_blocks += 1;
                continue;
            }
            let bytes = engine.size(&key)?.unwrap_or(0);
            if written >= spare_since.as_millis() {
                kept.kept_blocks += 1;
                kept.recent_blocks += 1;
                kept.recent_bytes += bytes;
                continue;
            }
            candidates.push(Candidate {
                bytes,
                key: key.to_vec(),
                used: written,
            });
        }
        Ok((candidates, kept))
    })
    .await
}

/// `None` when a pin was added in the meantime.
async fn sweep(
    store: &Store,
    candidates: Vec<Candidate>,
    marked_at: u64,
    spare_since: Timestamp,
    kept: GcReport,
) -> Result<Option<GcReport>, Error> {
    let mut report = kept;
    for chunk in candidates.chunks(SWEEP_KEYS) {
        let keys = chunk.iter().map(|one| one.key.clone()).collect();
        let sweep = |reply| Operation::Sweep {
            keys,
            marked_at,
            spare_since,
            reply,
        };
        let Some(removed) = store.write(sweep).await? else {
            return Ok(None);
        };
        report.removed_blocks += removed;
        report.removed_bytes += chunk.iter().map(|one| one.bytes).sum::<u64>();
    }
    Ok(Some(report))
}
