//! Rewriting a whole program, a component or a core module.

use crate::{
    Obstacle, Refused, Sites, component, meter,
    module::{self, Ability, Instrumented, Page, Plan},
};
use std::collections::BTreeSet;

/// Bytes of stack of the thread that rewrites: blocks may be nested as deep as a program likes.
const STACK_BYTES: usize = 256 << 20;

/// A program that was rewritten.
#[derive(Debug)]
pub struct Program {
    /// What to compile.
    pub wasm: Vec<u8>,
    /// Its sites if it can be stopped and resumed, and what is in the way if it cannot.
    pub sites: Result<Sites, Obstacle>,
}

/// Rewrites a core module that is run by itself: it has a meter of its own, exported as
/// [`meter::PAGE`], and its start function is exported as [`crate::START_EXPORT`] instead of being run.
///
/// # Errors
///
/// [`Refused`].
pub fn instrument_module(module: &[u8], ability: Ability) -> Result<Program, Refused> {
    with_stack(|| {
        let held = BTreeSet::new();
        let plan = Plan {
            page: Page::Own,
            number: 0,
            is_guest: &|_| false,
            held: &held,
            globals: meter::GLOBALS,
            ability,
        };
        let Instrumented {
            wasm,
            sites,
            memories,
            globals_end,
            obstacle,
            imported,
        } = module::instrument(module, plan)?;
        let sites = Sites {
            modules: vec![sites],
            imported: vec![imported],
            globals_bytes: globals_end - meter::GLOBALS,
            memories,
        };
        Ok(Program {
            wasm,
            sites: obstacle.map_or(Ok(sites), Err),
        })
    })
}

/// Rewrites a component whose core modules then share a meter. It imports
/// [`meter::ATTACH_IMPORT`] besides what it imported before.
///
/// # Errors
///
/// [`Refused`].
pub fn instrument_component(component: &[u8], ability: Ability) -> Result<Program, Refused> {
    with_stack(|| component::instrument(component, ability))
}

fn with_stack<T: Send>(f: impl FnOnce() -> Result<T, Refused> + Send) -> Result<T, Refused> {
    let failed = || Refused::Shape("what exhausts the machine that rewrites it");
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, f).map_err(|_| failed())?;
        thread.join().map_err(|_| failed())?
    })
}
