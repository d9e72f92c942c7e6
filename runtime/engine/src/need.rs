//! What a program is needed for.

use mc_types::Determinism;

/// What a program is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// To be run, and perhaps to be stopped.
    Run,
    /// To resume after a stop, any number of times. Takes twice as long to compile.
    Resume,
    /// To be run in the machine's world.
    Relaxed,
}

impl From<Determinism> for Need {
    fn from(determinism: Determinism) -> Self {
        match determinism {
            Determinism::Relaxed => Self::Relaxed,
            Determinism::Deterministic => Self::Run,
        }
    }
}
