//! How many blocks are asked for at a time.

/// The length that blocks are assumed to have, in bytes, when a number of blocks is given.
const USUAL_BYTES: usize = 1 << 20;
/// The weight of the newest length in the average: one part of this many.
const NEWEST: usize = 8;

/// How many blocks to request at a time. There are more while blocks are small, since then the round trip takes the
/// time, not the bytes.
#[derive(Debug, Clone)]
pub struct AdaptiveWindow {
    usual: usize,
    most: usize,
    /// The average length of the latest blocks, in bytes.
    average: usize,
}

impl AdaptiveWindow {
    /// `usual` blocks of a mebibyte, and at most `most` smaller ones.
    #[must_use]
    pub const fn new(usual: usize, most: usize) -> Self {
        Self {
            usual,
            most,
            average: USUAL_BYTES,
        }
    }

    /// A block of this many bytes came.
    pub const fn came(&mut self, bytes: usize) {
        let bytes = if bytes < 2 * USUAL_BYTES {
            bytes
        } else {
            2 * USUAL_BYTES
        };
        self.average = (self.average * (NEWEST - 1) + bytes) / NEWEST;
    }

    /// How many to ask for now.
    #[must_use]
    pub fn blocks(&self) -> usize {
        let smaller = USUAL_BYTES / self.average.clamp(1, USUAL_BYTES);
        let most = self.most.max(self.usual);
        self.usual.saturating_mul(smaller).min(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_more_of_small_ones_and_never_fewer_than_usual() {
        let after = |bytes: usize| {
            let mut ahead = AdaptiveWindow::new(16, 64);
            (0..100).for_each(|_| ahead.came(bytes));
            ahead.blocks()
        };
        assert_eq!(AdaptiveWindow::new(16, 64).blocks(), 16);
        assert_eq!(after(usize::MAX), 16);
        assert_eq!(after(1 << 20), 16);
        assert_eq!(after(1 << 19), 32);
        assert_eq!(after(1000), 64);
        assert_eq!(after(0), 64);
        assert_eq!(AdaptiveWindow::new(1, 1).blocks(), 1);
    }

    #[test]
    fn a_large_one_after_small_ones_counts_at_once() {
        let mut ahead = AdaptiveWindow::new(16, 64);
        (0..100).for_each(|_| ahead.came(100));
        ahead.came(2 << 20);
        assert_eq!(ahead.blocks(), 48, "a quarter of a mebibyte on average");
        (0..8).for_each(|_| ahead.came(2 << 20));
        assert_eq!(ahead.blocks(), 16);
    }
}
