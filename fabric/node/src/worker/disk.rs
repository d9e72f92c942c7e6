//! Disk that running tasks fill, counted as they fill it.
//!
//! It is not reserved, since few tasks write as much as they may. So it can come to an end while they run: then the
//! attempt that asks for more ends as one that the machine failed, and is tried again.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
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

    /// Takes some of it, if there is so much left.
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

/// What one attempt has taken for one purpose. It is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    disk: Arc<Disk>,
    purpose: Purpose,
    bytes: AtomicU64,
}

impl Share {
    /// Nothing yet.
    pub(crate) const fn new(disk: Arc<Disk>, purpose: Purpose) -> Self {
        Self {
            disk,
            purpose,
            bytes: AtomicU64::new(0),
        }
    }

    /// Takes so many bytes more; tells whether they were there.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        let is_there = self.disk.take(self.purpose, bytes);
        if is_there {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        is_there
    }

    /// Takes what is lacking to so many bytes in all; tells whether it was there.
    pub(crate) fn grow_to(&self, bytes: u64) -> bool {
        let taken = self.bytes.load(Ordering::Relaxed);
        bytes <= taken || self.take(bytes - taken)
    }
}

impl mc_execution::Room for Share {
    fn take(&self, bytes: u64) -> bool {
        Self::take(self, bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.disk.give_back(self.purpose, *self.bytes.get_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_counted_for_its_purpose_and_for_all() {
        let disk = Arc::new(Disk::new(60, 60, 100));
        let share = |purpose| Share::new(Arc::clone(&disk), purpose);
        let (one, other) = (share(Purpose::Scratch), share(Purpose::Scratch));
        let output = share(Purpose::Output);
        assert!(one.take(40) && !other.take(21) && other.take(20));
        assert!(!output.take(41), "for its purpose there is enough");
        assert!(output.grow_to(30) && output.grow_to(40) && output.grow_to(7));
        assert!(!one.take(1) && !output.take(1));
        assert!(!one.take(u64::MAX));
        drop(one);
        assert!(other.take(40) && !other.take(1));
        drop((other, output));
        assert!(share(Purpose::Output).take(60));
    }
}
