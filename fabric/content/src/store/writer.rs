//! The one thread that writes.

mod group;
mod operation;

pub(super) use operation::Operation;

use super::{
    engine::{Engine, PACK_FROM_BYTES, key, storage},
    options::Options,
    packs::Extents,
};
use crate::{Block, Error};
use group::Group;
use mc_types::{Cid, Timestamp};
use operation::send;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::mpsc;

/// Most operations of one commit.
const GROUP_OPERATIONS: usize = 512;
/// A commit is closed once it holds this many bytes.
const GROUP_BYTES: usize = 16 << 20;

pub(super) struct Writer {
    engine: Engine,
    extents: Extents,
    queue: mpsc::Receiver<Operation>,
    options: Options,
    /// Counts the pins that were added since the store was opened.
    pin_generation: u64,
    /// Counts the operations that may have removed blocks.
    removals: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(
        (engine, extents): (Engine, Extents),
        queue: mpsc::Receiver<Operation>,
        options: Options,
        removals: Arc<AtomicU64>,
    ) -> Self {
        Self {
            engine,
            extents,
            queue,
            options,
            pin_generation: 0,
            removals,
        }
    }

    /// Commits until the store is closed or its last handle is dropped.
    pub(super) fn run(mut self) {
        let mut held_back = None;
        while let Some(first) = held_back.take().or_else(|| self.queue.blocking_recv()) {
            let before = self.extents.clone();
            let mut group = Group::new(&self.engine);
            let mut alone = first.removes_blocks();
            if alone {
                // Before the first block is gone.
                self.removals.fetch_add(1, Ordering::SeqCst);
            }
            self.add(&mut group, first);
            while !alone
                && group.closing.is_none()
                && group.bytes < GROUP_BYTES
                && group.owed.len() < GROUP_OPERATIONS
                && let Ok(next) = self.queue.try_recv()
            {
                if next.removes_blocks() {
                    held_back = Some(next);
                    alone = true;
                } else {
                    self.add(&mut group, next);
                }
            }
            let closing = group.closing.take();
            if !group.commit(&self.engine, &self.extents) {
                self.extents = before;
            }
            if let Some(closing) = closing {
                // The caller may have stopped waiting.
                let _ = closing.send(());
                return;
            }
        }
    }

    fn add(&mut self, group: &mut Group, operation: Operation) {
        group.is_promised |= operation.is_promised();
        match operation {
            Operation::Put {
                blocks,
                pin,
                spare,
                reply,
            } => match self.put(group, &blocks, spare) {
                Ok(()) => {
                    if let Some((name, root)) = pin {
                        self.pin(group, name, &root);
                    }
                    group.owe(reply, ());
                }
                Err(error) => send(reply, Err(error)),
            },
            Operation::Renew { keys, spare, reply } => match self.renew(group, &keys, spare) {
                Ok(there) => group.owe(reply, there),
                Err(error) => send(reply, Err(error)),
            },
            Operation::Remove { keys, reply } => {
                let removed = keys.iter().try_for_each(|key| self.remove(group, key));
                match removed {
                    Ok(()) => group.owe(reply, ()),
                    Err(error) => send(reply, Err(error)),
                }
            }
            Operation::Sweep {
                keys,
                marked_at,
                spare_since,
                reply,
            } => {
                if marked_at == self.pin_generation {
                    match self.sweep(group, &keys, spare_since) {
                        Ok(removed) => group.owe(reply, Some(removed)),
                        Err(error) => send(reply, Err(error)),
                    }
                } else {
                    // A pin that was added since may need what was not marked.
                    send(reply, Ok(None));
                }
            }
            Operation::Pin { name, root, reply } => {
                self.pin(group, name, &root);
                group.owe(reply, ());
            }
            Operation::Unpin { name, reply } => {
                match self.engine.pins.contains_key(&name).map_err(storage) {
                    Ok(there) => {
                        group.batch.remove(&self.engine.pins, name);
                        group.owe(reply, there);
                    }
                    Err(error) => send(reply, Err(error)),
                }
            }
            // Answered after the commit, so that the caller sees the pins that it counts.
            Operation::PinGeneration { reply } => group.owe(reply, self.pin_generation),
            Operation::Close { reply } => group.closing = Some(reply),
        }
    }

    fn pin(&mut self, group: &mut Group, name: String, root: &Cid) {
        self.pin_generation += 1;
        group.batch.insert(&self.engine.pins, name, root.to_bytes());
    }

    /// Records when a block was stored or used. A block that is not spared may be evicted at once, but after all others
    /// that may.
    fn note(&self, group: &mut Group, key: &[u8], spare: bool) -> Result<(), Error> {
        let now = self.options.clock.now().as_millis();
        if spare {
            group.spared.insert(key.to_vec());
            let now = now.to_be_bytes();
            group.batch.insert(&self.engine.written, key.to_vec(), now);
            return Ok(());
        }
        let grace = u64::try_from(self.options.gc_grace.as_millis()).unwrap_or(u64::MAX);
        let then = now.saturating_sub(grace).saturating_sub(1);
        let before = self.engine.written.get(key).map_err(storage)?;
        let before = before.and_then(|w| Some(u64::from_be_bytes(w[..].try_into().ok()?)));
        // A caller that stored it to pin it still has time for that.
        if before.is_none_or(|before| before < then) && !group.spared.contains(key) {
            let then = then.to_be_bytes();
            group.batch.insert(&self.engine.written, key.to_vec(), then);
        }
        Ok(())
    }

    fn put(&mut self, group: &mut Group, blocks: &[Block], spare: bool) -> Result<(), Error> {
        for block in blocks {
            let key = key(block.cid());
            self.note(group, &key, spare)?;
            if self.engine.has(&key)? || !group.fresh.insert(key.clone()) {
                continue;
            }
            let bytes = block.bytes();
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            group.bytes += bytes.len();
            group.added_bytes += length;
            if bytes.len() < PACK_FROM_BYTES {
                group.small_change += i64::try_from(length).unwrap_or(i64::MAX);
                group.batch.insert(&self.engine.small, key, bytes.clone());
            } else {
                let place = self.extents.take(bytes);
                group.changed.insert(place.pack);
                group
                    .batch
                    .insert(&self.engine.places, key, place.to_bytes());
                group.writes.push((place, bytes.clone()));
            }
        }
        Ok(())
    }

    fn remove(&mut self, group: &mut Group, key: &[u8]) -> Result<(), Error> {
        group.batch.remove(&self.engine.written, key.to_vec());
        let Some(place) = self.engine.place(key)? else {
            if let Some(length) = self.engine.small_size(key)? {
                group.removed_bytes += length;
                group.small_change -= i64::try_from(length).unwrap_or(i64::MAX);
                group.batch.remove(&self.engine.small, key.to_vec());
            }
            return Ok(());
        };
        group.removed_bytes += u64::from(place.length);
        group.batch.remove(&self.engine.places, key.to_vec());
        group.changed.insert(place.pack);
        if self.extents.give_back(place) {
            group.emptied.push(place.pack);
        } else {
            group.freed.push(place);
        }
        Ok(())
    }

    fn renew(&self, group: &mut Group, keys: &[Vec<u8>], spare: bool) -> Result<Vec<bool>, Error> {
        let mut there = Vec::with_capacity(keys.len());
        for key in keys {
            let is_there = self.engine.has(key)?;
            if is_there {
                self.note(group, key, spare)?;
            }
            there.push(is_there);
        }
        Ok(there)
    }

    /// Removes `keys`, except those that were stored again since the look-up.
    fn sweep(
        &mut self,
        group: &mut Group,
        keys: &[Vec<u8>],
        since: Timestamp,
    ) -> Result<u64, Error> {
        let mut removed = 0;
        for key in keys {
            let written = self.engine.written.get(key).map_err(storage)?;
            let written = written.and_then(|w| Some(u64::from_be_bytes(w[..].try_into().ok()?)));
            if written.is_none_or(|written| written < since.as_millis()) {
                self.remove(group, key)?;
                removed += 1;
            }
        }
        Ok(removed)
    }
}
