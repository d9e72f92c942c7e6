//! What components may import, package by package.
//!
//! This is also how services of the host come to components: a service is a package with a file of its own. What it knows of
//! a task is plain data in the task's world (`mc_wasi::State`), so that it is part of checkpoints and of what simulations
//! compare.

use super::form::Form;
use crate::guest::Guest;
use wasmtime::component::Linker;

/// A package of interfaces.
pub(super) trait Package {
    /// Its interfaces that are always there, without their versions.
    const INTERFACES: &'static [&'static str];

    /// Links all of them.
    fn add<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()>;
}
