//! What programs may import, and which proposals they may use. It is checked before compiling, which may take a minute.

use crate::{Error, Form, classify::classify, preview1, preview2, relaxed};
use mc_checkpoint::{Outline, Refused, Start, meter, outline, wrong_run};

/// The export by which a component is run, up to the minor version.
const RUN: &str = "wasi:cli/run@0.2.";

/// Whether an imported interface is offered: its package is, and the package has it.
pub(crate) fn is_offered(import: &str) -> bool {
    import.starts_with(meter::NAMES)
        || preview2::is_denied(import)
        || (relaxed::is_offered(import) && preview2::is_known(import))
}

/// Whether an export is the interface by which a component is run.
pub(crate) fn is_run(export: &str) -> bool {
    export.starts_with(RUN)
}

/// Refuses a program that could not run in any way: it is no WebAssembly, or no command, or imports names that are not
/// offered. This reads neither code nor the types of imports.
pub(crate) fn check_names(bytes: &[u8]) -> Result<Form, Error> {
    let form = classify(bytes)?;
    let outline = outline(bytes).map_err(refused)?;
    match form {
        Form::Component => component(bytes, outline)?,
        Form::Module => module(&outline)?,
    }
    Ok(form)
}

/// Refuses a malformed program, and one that needs a proposal for WebAssembly that is not offered; the error names the
/// proposal. This reads all code. Instrumented programs need no proposals.
///
/// # Errors
///
/// [`Error::Proposals`] or [`Error::Invalid`].
pub fn check_proposals(bytes: &[u8]) -> Result<(), Error> {
    mc_checkpoint::check_proposals(bytes).map_err(refused)
}

fn refused(refused: Refused) -> Error {
    match refused {
        Refused::Proposals { names } => Error::Proposals { names },
        refused => Error::Invalid {
            reason: refused.to_string(),
        },
    }
}

fn component(bytes: &[u8], outline: Outline) -> Result<(), Error> {
    let foreign = outline.imports.into_iter().filter(|name| !is_offered(name));
    refuse(foreign.collect())?;
    let Some(export) = outline.exports.iter().find(|export| is_run(export)) else {
        return Err(Error::NotACommand {
            exports: outline.exports,
        });
    };
    match wrong_run(bytes, export) {
        Some(reason) => Err(Error::RunForm {
            export: export.clone(),
            reason,
        }),
        None => Ok(()),
    }
}

fn module(outline: &Outline) -> Result<(), Error> {
    let imports = outline.imports.iter();
    let foreign = imports.filter(|import| !preview1::is_offered(import));
    refuse(foreign.cloned().collect())?;
    let is_library = outline.exports.iter().any(|export| export == "_initialize");
    let reason = match outline.start {
        Some(Start::Command) => return Ok(()),
        Some(Start::Typed) => "its _start takes parameters or returns something",
        None if is_library => {
            "it is a library that other programs call, and exports _initialize instead of _start"
        }
        Some(Start::Other) | None => "it does not export the function _start",
    };
    Err(Error::CoreModule {
        reason: reason.to_owned(),
    })
}

fn refuse(mut names: Vec<String>) -> Result<(), Error> {
    names.dedup();
    if names.is_empty() {
        return Ok(());
    }
    Err(Error::UnsupportedImports { names })
}

#[cfg(test)]
mod tests {
    use crate::{preview1, preview2};

    /// The tests that call one import each: those of WASI 0.2 that guests import which it names, and those of preview 1
    /// in its own table.
    const TESTS: &str = include_str!("../tests/it/imports.rs");

    #[test]
    fn every_interface_of_wasi_is_imported_by_the_guest_whose_imports_tests_call() {
        assert!(TESTS.contains("\"wasi_calls\""));
        let guest = std::fs::read(mc_artifacts::guest("wasi_calls")).unwrap();
        let imports = mc_checkpoint::outline(&guest).unwrap().imports;
        let is_imported = |interface: &str| {
            let mut imports = imports.iter().filter_map(|import| import.split_once('@'));
            imports.any(|(name, _)| name == interface)
        };
        for interface in preview2::interfaces() {
            assert!(is_imported(interface), "no test calls {interface}");
        }
    }

    #[test]
    fn every_function_of_preview_1_is_called_by_a_test() {
        for function in preview1::FUNCTIONS {
            let row = format!("(\"{function}\", \"");
            assert!(TESTS.contains(&row), "no test calls {function}");
        }
    }
}
