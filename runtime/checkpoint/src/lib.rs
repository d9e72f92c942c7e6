//! Rewriting wasm so that a task can be metered (and, later, stopped and resumed) at positions that are
//! the same on every machine.
//!
//! What it is not: it runs nothing. Wasm goes in, wasm comes out.
//!
//! # Core concepts
//!
//! A *position* is the number of operators that were executed, by the table in [`cost`]. Instrumented
//! modules count it down in a *meter*, a page of memory of its own whose layout is in [`meter`], and
//! look whether it has run out at *sites*: at loop headers and where functions begin that can go on for
//! long. The same page holds what is left of the stack, in bytes of a machine that nobody has built, so
//! that recursion ends at the same call everywhere.
//!
//! # Invariants
//!
//! * What a guest can observe, apart from the meter striking, is what it could observe before.
//! * A position depends on the module and its input alone: not on the processor, nor on which version of
//!   the compiler runs the result. [`PASS_VERSION`] changes when any position does.
//! * Modules are validated before they are looked at; what cannot be handled is [`Refused`].

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

/// Changes whenever the same program and input could come to another position, or the same position to
/// other frames.
pub const PASS_VERSION: u32 = 2;

/// Changes whenever other code comes out for the same program, so that what was compiled from older code is not taken
/// for it.
pub const CODE_VERSION: u32 = 14;
