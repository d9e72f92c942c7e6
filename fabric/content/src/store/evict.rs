//! Eviction: makes room by removing the least recently used blocks that no pin needs.

use super::{Store, gc};
use crate::Error;
use std::sync::PoisonError;

/// How many blocks are remembered as read. Beyond that, some reads are forgotten.
const MAX_USES: usize = 1 << 16;

impl Store {
    /// Bytes of all blocks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.inner.engine.total()
    }

    /// Removes blocks that no pin needs, those that were used least recently first, until the others have at most
    /// `target` bytes together. Blocks that were stored just now to be pinned stay. Returns how many bytes were
    /// removed.
    ///
    /// # Errors
    ///
    /// As [`Store::gc`].
    pub async fn evict(&self, target: u64) -> Result<u64, Error> {
        let _alone = self.inner.evicting.lock().await;
        self.note_uses().await?;
        if self.bytes() <= target {
            return Ok(0);
        }
        let excess = self.bytes() - target;
        let report = gc::collect(self, self.gc_grace(), |candidates| {
            candidates.sort_unstable_by_key(|candidate| candidate.used);
            let mut freed = 0;
            let needed = candidates.iter().take_while(|candidate| {
                let go_on = freed < excess;
                freed += candidate.bytes;
                go_on
            });
            let needed = needed.count();
            candidates.truncate(needed);
        })
        .await?;
        Ok(report.removed_bytes)
    }

    /// Makes room for more bytes if there is a limit that they would exceed.
    pub(super) async fn make_room(&self, bytes: u64) -> Result<(), Error> {
        let Some(max) = self.inner.options.max_bytes else {
            return Ok(());
        };
        if self.bytes().saturating_add(bytes) <= max {
            return Ok(());
        }
        // More room than necessary, so that not every block causes an eviction.
        let target = (max - max / 10).saturating_sub(bytes);
        self.evict(target).await?;
        if self.bytes().saturating_add(bytes) <= max {
            Ok(())
        } else {
            Err(Error::Quota { max })
        }
    }

    /// Remembers that blocks were read, if that is of use.
    pub(super) fn used(&self, key: &[u8]) {
        if self.inner.options.max_bytes.is_none() {
            return;
        }
        let uses = self.inner.uses.lock();
        let mut uses = uses.unwrap_or_else(PoisonError::into_inner);
        if uses.len() < MAX_USES {
            uses.insert(key.to_owned());
        }
    }

    /// Records which blocks were read. They are evicted last.
    async fn note_uses(&self) -> Result<(), Error> {
        let keys = {
            let uses = self.inner.uses.lock();
            std::mem::take(&mut *uses.unwrap_or_else(PoisonError::into_inner))
        };
        self.renew(keys.into_iter().collect(), false)
            .await
            .map(drop)
    }
}
