//! Disk that running attempts fill, counted as they fill it.
//!
//! It is not reserved, since few tasks write as much as they may. So it can come to an end while they run: then the
//! attempt that asks for more ends. Whether that is its own doing is known here: it is not, if there would be room for
//! it on the disk alone.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

/// An amount that is shared by all that run.
#[derive(Debug)]
struct Room {
    used: AtomicU64,
    most: u64,
}

impl Room {
    const fn new(most: u64) -> Self {
        Self {
            used: AtomicU64::new(0),
            most,
        }
    }

    /// Takes some of it, if this much is left.
    fn take(&self, bytes: u64) -> bool {
        let with = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.most);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, with)
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        let without = |used: u64| Some(used.saturating_sub(bytes));
        // It always is something.
        let _ = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, without);
    }
}

/// What disk is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Files that tasks write.
    Scratch,
    /// What tasks print.
    Output,
}

/// The disk that a worker lends.
#[derive(Debug)]
pub(crate) struct Disk {
    scratch: Room,
    output: Room,
    /// Both together.
    all: Room,
}

impl Disk {
    /// So many bytes for scratch, for output, and for both together.
    pub(crate) const fn new(scratch: u64, output: u64, all: u64) -> Self {
        Self {
            scratch: Room::new(scratch),
            output: Room::new(output),
            all: Room::new(all),
        }
    }

    const fn room(&self, purpose: Purpose) -> &Room {
        match purpose {
            Purpose::Scratch => &self.scratch,
            Purpose::Output => &self.output,
        }
    }

    fn take(&self, purpose: Purpose, bytes: u64) -> bool {
        if !self.room(purpose).take(bytes) {
            return false;
        }
        if self.all.take(bytes) {
            return true;
        }
        self.room(purpose).give_back(bytes);
        false
    }

    fn give_back(&self, purpose: Purpose, bytes: u64) {
        self.room(purpose).give_back(bytes);
        self.all.give_back(bytes);
    }
}

/// What one attempt has taken of the disk. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    disk: Arc<Disk>,
    scratch: AtomicU64,
    output: AtomicU64,
    /// Whether it has asked for what only others keep it from.
    was_crowded_out: AtomicBool,
}

impl Taken {
    /// Nothing yet.
    pub(crate) const fn new(disk: Arc<Disk>) -> Self {
        Self {
            disk,
            scratch: AtomicU64::new(0),
            output: AtomicU64::new(0),
            was_crowded_out: AtomicBool::new(false),
        }
    }

    const fn of(&self, purpose: Purpose) -> &AtomicU64 {
        match purpose {
            Purpose::Scratch => &self.scratch,
            Purpose::Output => &self.output,
        }
    }

    /// Takes this many more bytes; returns whether they were available.
    pub(crate) fn take(&self, purpose: Purpose, bytes: u64) -> bool {
        let is_there = self.disk.take(purpose, bytes);
        if is_there {
            self.of(purpose).fetch_add(bytes, Ordering::Relaxed);
        } else if self.would_fit_alone(purpose, bytes) {
            self.was_crowded_out.store(true, Ordering::Relaxed);
        }
        is_there
    }

    /// Takes bytes up to this total; returns whether they were available.
    pub(crate) fn grow_to(&self, purpose: Purpose, bytes: u64) -> bool {
        let taken = self.of(purpose).load(Ordering::Relaxed);
        bytes <= taken || self.take(purpose, bytes - taken)
    }

    /// Whether it has found no room that would have been there if nothing else had run.
    pub(crate) fn was_crowded_out(&self) -> bool {
        self.was_crowded_out.load(Ordering::Relaxed)
    }

    fn would_fit_alone(&self, purpose: Purpose, more: u64) -> bool {
        let of = |purpose| self.of(purpose).load(Ordering::Relaxed);
        let own = of(purpose).saturating_add(more);
        let all = of(Purpose::Scratch).saturating_add(of(Purpose::Output));
        own <= self.disk.room(purpose).most && all.saturating_add(more) <= self.disk.all.most
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for purpose in [Purpose::Scratch, Purpose::Output] {
            let bytes = self.of(purpose).load(Ordering::Relaxed);
            self.disk.give_back(purpose, bytes);
        }
    }
}

/// The disk on which an attempt keeps the files that its task writes.
#[derive(Debug)]
pub(crate) struct ScratchRoom(pub(crate) Arc<Taken>);

impl mc_execution::Room for ScratchRoom {
    fn take(&self, bytes: u64) -> bool {
        self.0.take(Purpose::Scratch, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_for_its_purpose_and_for_all() {
        let disk = Arc::new(Disk::new(60, 60, 100));
        let taken = || Taken::new(Arc::clone(&disk));
        let (one, other, third) = (taken(), taken(), taken());
        let scratch = |taken: &Taken, bytes| taken.take(Purpose::Scratch, bytes);
        assert!(scratch(&one, 40) && !scratch(&other, 21) && scratch(&other, 20));
        let output = |bytes| third.grow_to(Purpose::Output, bytes);
        assert!(!output(41), "for its purpose there is enough");
        assert!(output(30) && output(40) && output(7));
        assert!(!scratch(&one, 1) && !output(41));
        assert!(!scratch(&one, u64::MAX));
        drop(one);
        assert!(scratch(&other, 40) && !scratch(&other, 1));
        drop((other, third));
        assert!(taken().take(Purpose::Output, 60));
    }

    #[test]
    fn only_what_others_take_crowds_an_attempt_out() {
        let disk = Arc::new(Disk::new(60, 60, 100));
        let taken = || Taken::new(Arc::clone(&disk));
        let greedy = taken();
        assert!(!greedy.take(Purpose::Output, 61), "more than there ever is");
        assert!(greedy.take(Purpose::Output, 60) && greedy.take(Purpose::Scratch, 39));
        assert!(!greedy.take(Purpose::Scratch, 2), "it has all of the rest");
        assert!(!greedy.was_crowded_out());
        let honest = taken();
        assert!(honest.take(Purpose::Scratch, 1) && !honest.take(Purpose::Scratch, 1));
        assert!(honest.was_crowded_out());
        assert!(!greedy.take(Purpose::Scratch, 1));
        assert!(
            greedy.was_crowded_out(),
            "one byte more would be there alone"
        );
    }
}
