//! A program that was compiled.

use crate::{config::Counting, guest::Guest, relaxed, sites, ticker::Ticker};
use mc_checkpoint::Sites;
use mc_types::Meter;
use std::sync::Arc;
use wasmtime::component::ComponentExportIndex;

/// A program that is ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    // Not the engine itself, which keeps programs and would keep itself alive through them.
    pub(crate) raw: wasmtime::Engine,
    pub(crate) ticker: Arc<Ticker>,
    /// Called by the thread that runs it, before.
    pub(crate) on_thread: Option<fn()>,
    pub(crate) counting: Counting,
    pub(crate) code: Code,
    pub(crate) sites: Option<Arc<sites::Source>>,
    pub(crate) resumes: bool,
}

/// Compiled code, linked.
#[derive(Clone)]
pub(crate) enum Code {
    /// A component of which the function is called.
    Component(
        wasmtime::component::InstancePre<Guest>,
        ComponentExportIndex,
    ),
    /// A core module.
    Module(wasmtime::InstancePre<Guest>),
    /// A component or core module whose task is relaxed.
    Relaxed(relaxed::Command),
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").finish_non_exhaustive()
    }
}

impl Program {
    /// Whether an execution can resume: the program was loaded for that, and can be stopped at all.
    #[must_use]
    pub const fn resumes(&self) -> bool {
        self.resumes
    }

    /// Whether an execution can be stopped.
    #[must_use]
    pub const fn stops(&self) -> bool {
        self.sites.is_some()
    }

    /// Where it can be stopped.
    pub(crate) fn sites(&self) -> Result<Arc<Sites>, String> {
        let cannot = "the program cannot be stopped and resumed";
        self.sites.as_ref().ok_or(cannot)?.get()
    }

    /// What counts the fuel.
    #[must_use]
    pub const fn meter(&self) -> Meter {
        match self.counting {
            Counting::Instrumented => Meter::Operators1,
            Counting::Wasmtime => Meter::Wasmtime48,
        }
    }
}
