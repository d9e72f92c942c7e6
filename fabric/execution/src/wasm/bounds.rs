//! How much of what tasks take there is at a time.

/// How much there is at a time.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Guests that run.
    pub guests: usize,
    /// Compilers that run; one may always.
    pub compilers: usize,
    /// Bytes of guests' memories that are copied for checkpoints. A guest that has more is copied while no other one is.
    pub copied_bytes: u64,
}

impl Bounds {
    /// Those of a command that runs one task.
    pub const ONE: Self = Self {
        guests: 1,
        compilers: 1,
        copied_bytes: 0,
    };
}
