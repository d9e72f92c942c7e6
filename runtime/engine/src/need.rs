//! What a program is needed for.

use mc_types::Determinism;

/// What a program is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// To be run, and perhaps to be stopped.
    Run,
    /// To go on from where it was stopped, as often as one likes. Takes twice as long to compile.
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
