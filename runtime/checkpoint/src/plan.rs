//! How a module or a program is to be rewritten, and what comes of it.

use crate::{Obstacle, Sites, meter, sites::SiteInfo};
use std::collections::BTreeSet;
use wasm_encoder::MemoryType;

/// The prefix of all exports that the pass adds to a module.
pub(crate) const PREFIX: &str = "mc:";
/// The export of the former start function of a module with a meter of its own. The host calls it after setting the
/// meter.
pub const START_EXPORT: &str = "mc:start";
/// The function that copies the mutable globals of a module to the meter's memory.
pub const SAVE_EXPORT: &str = "mc:save";
/// The function that copies them back.
pub const LOAD_EXPORT: &str = "mc:load";

/// The name under which the memory that is the `number`th of a module's own is exported.
#[must_use]
pub fn memory_export(number: u32) -> String {
    format!("{PREFIX}memory/{number}")
}

/// Where the meter's memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    /// Imported from [`meter::IMPORT_MODULE`].
    Imported,
    /// The module's own, exported as [`meter::PAGE`].
    Own,
}

/// How a module is to be rewritten.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) page: Page,
    /// The module's number in its component.
    pub(crate) number: u32,
    /// Says of an imported function whether it is part of the guest.
    pub(crate) is_guest: &'a dyn Fn(u32) -> bool,
    /// Exported functions that the host calls while it is called.
    pub(crate) held: &'a BTreeSet<String>,
    /// Offset of the module's globals in the meter's memory.
    pub(crate) globals: u32,
    /// What is to be made of the guest.
    pub(crate) ability: Ability,
}

/// What a program is made able to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ability {
    /// It counts what it executes.
    Count,
    /// It can be stopped too, to go on in another instance.
    Stop,
    /// It can also go on from where it was stopped. Its code is twice as large.
    Resume,
}

impl Plan<'_> {
    pub(crate) fn stops(&self) -> bool {
        self.ability >= Ability::Stop
    }

    pub(crate) const fn counting(self) -> Self {
        Self {
            ability: Ability::Count,
            ..self
        }
    }
}

/// A module that was rewritten.
#[derive(Debug)]
pub(crate) struct Instrumented {
    pub(crate) wasm: Vec<u8>,
    pub(crate) sites: Vec<SiteInfo>,
    /// How many memories the module has of its own.
    pub(crate) memories: u32,
    /// How many functions are imported.
    pub(crate) imported: u32,
    /// Where the globals of the next module are.
    pub(crate) globals_end: u32,
    /// Why it could not be made such that it can be stopped.
    pub(crate) obstacle: Option<Obstacle>,
}

/// The type of the meter's memory.
pub(crate) const fn page_type() -> MemoryType {
    let pages = (meter::MEMORY_BYTES >> 16) as u64;
    MemoryType {
        minimum: pages,
        maximum: Some(pages),
        memory64: false,
        shared: false,
        page_size_log2: None,
    }
}

/// A program that was rewritten.
#[derive(Debug)]
pub struct Program {
    /// What to compile.
    pub wasm: Vec<u8>,
    /// Its sites if it can be stopped and resumed, and what is in the way if it cannot.
    pub sites: Result<Sites, Obstacle>,
}
