//! Rewriting wasm so that a task can be metered (and, later, stopped and resumed) at positions that are
//! the same on every machine.
//!
//! What it is not: it runs nothing. Wasm goes in, wasm comes out.
//!
//! # Core concepts
//!
//! A *position* is the number of operators that were executed, by the table in [`cost`]. Instrumented modules count it
//! down in a *meter*, a page of memory of its own whose layout is in [`meter`], and check at *sites* whether it has run
//! out: at loop headers and at the beginning of functions that may run for long. The same page counts the remaining
//! stack, in bytes of an abstract machine, so that recursion ends at the same call everywhere.
//!
//! # Invariants
//!
//! * A guest observes the same as without the pass, until the meter stops it.
//! * A position depends on the module and its input alone: not on the processor, nor on which version of
//!   the compiler runs the result. [`PASS_VERSION`] changes when any position does.
//! * Modules are validated before they are analysed; a module that the pass cannot handle is [`Refused`].

mod added;
mod analysis;
mod component;
pub mod cost;
mod error;
mod frame;
mod function;
mod imports;
mod inspect;
mod liveness;
pub mod meter;
mod module;
mod pass;
mod plan;
mod program;
mod proposals;
mod run;
mod sites;
pub mod snapshot;
mod tree;
mod types;

pub use component::plain_name;
pub use error::{Obstacle, Refused};
pub use imports::imports_only;
pub use inspect::{Admission, Inspection, ModuleInfo, Outline, Start, inspect, outline};
pub use plan::{Ability, LOAD_EXPORT, Program, SAVE_EXPORT, START_EXPORT, memory_export};
pub use program::{instrument_component, instrument_module};
pub use proposals::check_proposals;
pub use run::wrong_run;
pub use sites::{BadFrames, Sites};

/// Changes whenever the same program and input could reach another position, or the same position could have other
/// frames.
pub const PASS_VERSION: u32 = 2;

/// Changes whenever the pass makes other code of the same program, so that the cache does not return code of an older
/// version.
pub const CODE_VERSION: u32 = 14;
