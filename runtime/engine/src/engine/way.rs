//! The ways in which a program may run.

use crate::{Need, config::Counting};
use mc_checkpoint::{Ability, CODE_VERSION, PASS_VERSION};

/// In which way a program is compiled and linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// Instrumented, in its own world.
    Metered,
    /// Instrumented so that it can go on from where it was stopped.
    Resumable,
    /// As it is, in its own world: what cannot be instrumented.
    Fallback,
    /// As it is, in the machine's world.
    Relaxed,
}

impl Way {
    /// The ways in which a program may run, in the order of preference. If the cache has a program in a later way, the
    /// earlier ways have refused it.
    pub(super) const fn of(need: Need) -> &'static [Self] {
        match need {
            Need::Run => &[Self::Metered, Self::Fallback],
            Need::Resume => &[Self::Resumable, Self::Fallback],
            Need::Relaxed => &[Self::Relaxed],
        }
    }

    /// What an instrumented program is made able to do.
    pub(super) const fn ability(self) -> Option<Ability> {
        match self {
            Self::Metered => Some(Ability::Stop),
            Self::Resumable => Some(Ability::Resume),
            Self::Fallback | Self::Relaxed => None,
        }
    }

    pub(super) const fn counting(self) -> Counting {
        match self {
            Self::Metered | Self::Resumable => Counting::Instrumented,
            Self::Fallback | Self::Relaxed => Counting::Wasmtime,
        }
    }

    /// Names the way in the cache: code of another one, or of another version of it, is not found.
    pub(super) fn label(self) -> String {
        match self {
            Self::Metered => format!("m{PASS_VERSION}.{CODE_VERSION}"),
            Self::Resumable => format!("c{PASS_VERSION}.{CODE_VERSION}"),
            Self::Fallback => format!("f{PASS_VERSION}"),
            Self::Relaxed => "r".to_owned(),
        }
    }
}
