//! Copies of guests' memories, which their checkpoints are made of: how much there is of them at a time.
//!
//! A copy is overwritten by the next one of the same guest, since memory that the system has to provide first takes several
//! times as long to fill. Until then it is kept only as long as no other guest needs the room.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Bytes that one permit stands for: a semaphore has fewer permits than a machine has bytes.
const UNIT_BYTES: u64 = 1 << 20;
/// However little memory is lent: a page of a small guest costs nobody anything.
const LEAST_BYTES: u64 = 64 << 20;

/// The memories of one copy.
pub(super) type Memories = Vec<Vec<u8>>;

/// The room that the copies of all guests have together. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Copies {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    room: Arc<Semaphore>,
    all: u32,
    /// Guests that wait for room.
    waiting: AtomicUsize,
    buffers: Mutex<Vec<Weak<Slot>>>,
}

/// A copy that nobody needs, and the room that it takes.
type Slot = Mutex<Option<(Memories, OwnedSemaphorePermit)>>;

/// The last copy of one guest. Cheap to clone.
#[derive(Clone)]
pub(super) struct Buffer {
    slot: Arc<Slot>,
    copies: Copies,
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every update is a single one, so what is there is whole whatever panicked.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Copies {
    /// Room for so many bytes. A guest that has more memory than that has all of the room for itself.
    pub(super) fn new(bytes: u64) -> Self {
        let most = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let all = u32::try_from(bytes.max(LEAST_BYTES) / UNIT_BYTES).unwrap_or(most);
        let all = all.min(most);
        let permits = usize::try_from(all).unwrap_or(Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                room: Arc::new(Semaphore::new(permits)),
                all,
                waiting: AtomicUsize::new(0),
                buffers: Mutex::default(),
            }),
        }
    }

    /// A buffer for the copies of one guest.
    pub(super) fn buffer(&self) -> Buffer {
        let slot = Arc::new(Slot::default());
        let mut buffers = lock(&self.shared.buffers);
        buffers.retain(|buffer| buffer.strong_count() > 0);
        buffers.push(Arc::downgrade(&slot));
        drop(buffers);
        Buffer {
            slot,
            copies: self.clone(),
        }
    }

    /// Waits for room for a copy of so many bytes.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, AcquireError> {
        let room = Arc::clone(&self.shared.room);
        let needed = self.units(bytes);
        if let Ok(permit) = Arc::clone(&room).try_acquire_many_owned(needed) {
            return Ok(permit);
        }
        let _waiting = Waiting::begin(&self.shared);
        self.drop_buffers();
        room.acquire_many_owned(needed).await
    }

    fn units(&self, bytes: usize) -> u32 {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let units = bytes.div_ceil(UNIT_BYTES).max(1);
        u32::try_from(units)
            .unwrap_or(u32::MAX)
            .min(self.shared.all)
    }

    fn drop_buffers(&self) {
        let buffers = lock(&self.shared.buffers).clone();
        for slot in buffers.iter().filter_map(Weak::upgrade) {
            let copy = lock(&slot).take();
            drop(copy);
        }
    }
}

/// A guest that waits for room.
struct Waiting<'a>(&'a Shared);

impl<'a> Waiting<'a> {
    fn begin(shared: &'a Shared) -> Self {
        shared.waiting.fetch_add(1, Ordering::SeqCst);
        Self(shared)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Buffer {
    /// Waits for room for a copy of so many bytes. With it comes the last copy, if it is still there, to be overwritten.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the room back, and drops the last copy.
    pub(super) async fn take(
        &self,
        bytes: usize,
    ) -> Result<(Option<Memories>, OwnedSemaphorePermit), AcquireError> {
        let last = lock(&self.slot).take();
        if let Some((memories, room)) = last
            && usize::try_from(self.copies.units(bytes))
                .is_ok_and(|units| units <= room.num_permits())
        {
            return Ok((Some(memories), room));
        }
        Ok((None, self.copies.room(bytes).await?))
    }

    /// Keeps a copy for the next time, with the room that it takes, unless somebody waits for room.
    pub(super) fn give(&self, memories: Memories, room: OwnedSemaphorePermit) {
        let mut slot = lock(&self.slot);
        // Whoever waits has said so before it drops what is kept, so that nothing is kept then that it does not see.
        if self.copies.shared.waiting.load(Ordering::SeqCst) == 0 {
            *slot = Some((memories, room));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    const MIB: usize = 1 << 20;

    #[tokio::test]
    async fn copies_have_only_so_much_room_together() {
        let copies = Copies::new(100 << 20);
        let [a, b] = [copies.buffer(), copies.buffer()];
        let (_, room) = a.take(60 * MIB).await.unwrap();
        assert!(b.take(60 * MIB).now_or_never().is_none());
        drop(room);
        assert!(b.take(60 * MIB).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_guest_that_is_larger_than_the_room_has_it_for_itself() {
        let copies = Copies::new(100 << 20);
        let [a, b] = [copies.buffer(), copies.buffer()];
        let (_, room) = a.take(4000 * MIB).await.unwrap();
        assert!(b.take(1).now_or_never().is_none());
        drop(room);
        assert!(b.take(1).now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_last_copy_is_overwritten_unless_another_guest_needs_its_room() {
        let copies = Copies::new(100 << 20);
        let [a, b] = [copies.buffer(), copies.buffer()];
        let (none, room) = a.take(60 * MIB).await.unwrap();
        assert!(none.is_none());
        a.give(vec![vec![1]], room);
        let (last, room) = a.take(50 * MIB).await.unwrap();
        assert_eq!(last, Some(vec![vec![1]]));
        a.give(vec![vec![1]], room);
        // What is kept waits for nobody.
        let (_, other) = b.take(60 * MIB).now_or_never().unwrap().unwrap();
        drop(other);
        let (last, _) = a.take(50 * MIB).await.unwrap();
        assert!(last.is_none());
    }

    #[tokio::test]
    async fn nothing_is_kept_while_somebody_waits() {
        let copies = Copies::new(100 << 20);
        let [a, b] = [copies.buffer(), copies.buffer()];
        let (_, room) = a.take(60 * MIB).await.unwrap();
        let waits = tokio::spawn(async move { b.take(60 * MIB).await.map(drop) });
        while copies.shared.waiting.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        a.give(vec![vec![1]], room);
        waits.await.unwrap().unwrap();
    }
}
