//! A hook before every call to the file system, for the tests of this crate.
//!
//! The tests end the process, edit the directory as its user would, or make a call fail between any
//! two steps. Nobody else sets the hook, and then a step costs one look at a thread's own memory.

use std::{cell::RefCell, io};

/// What is called before each step, with the step's name; its error is what the step fails with.
pub type Hook = Box<dyn FnMut(&'static str) -> io::Result<()>>;

thread_local! {
    static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// Sets the hook of this thread, or takes it away.
pub fn on_step(hook: Option<Hook>) {
    HOOK.with(|cell| *cell.borrow_mut() = hook);
}

pub(crate) fn step(name: &'static str) -> io::Result<()> {
    // Taken out while it runs, so that what it does is not a step itself.
    let Some(mut hook) = HOOK.with(|cell| cell.borrow_mut().take()) else {
        return Ok(());
    };
    let result = hook(name);
    HOOK.with(|cell| *cell.borrow_mut() = Some(hook));
    result
}
