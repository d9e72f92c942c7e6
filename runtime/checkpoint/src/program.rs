//! Rewriting a whole program, a component or a core module.

use crate::{
    Refused, Sites, component, meter, module,
    plan::{Ability, Instrumented, Page, Plan, Program},
};
use std::collections::BTreeSet;

/// Bytes of stack of the thread that rewrites: programs may nest blocks to any depth.
const STACK_BYTES: usize = 256 << 20;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// A small module with a function that has this many calls, each with two hundred locals in its frame.
    fn crowded(calls: usize) -> Vec<u8> {
        let locals = "i32 ".repeat(200);
        let gets: String = (0..200)
            .map(|local| format!("(drop (local.get {local}))"))
            .collect();
        let text = format!(
            "(module (func $f (loop (br_if 0 (i32.const 0))))
               (func (export \"_start\") (local {locals}) {} {gets}))",
            "(call $f)".repeat(calls)
        );
        wat::parse_str(text).unwrap()
    }

    #[test]
    fn what_can_be_stopped_can_go_on_however_large_its_functions_become() {
        let mut stopped = Vec::new();
        for calls in [1000, 2000, 3000, 5000] {
            let module = crowded(calls);
            let [stop, resume] = [Ability::Stop, Ability::Resume]
                .map(|ability| instrument_module(&module, ability).unwrap());
            for program in [&stop, &resume] {
                let validated = wasmparser::Validator::new().validate_all(&program.wasm);
                assert_eq!(
                    validated.err().map(|e| e.to_string()),
                    None,
                    "{calls} calls"
                );
            }
            assert_eq!(stop.sites.is_ok(), resume.sites.is_ok(), "{calls} calls");
            if let Err(obstacle) = &stop.sites {
                let obstacle = obstacle.to_string();
                assert!(obstacle.contains("too large"), "{obstacle}");
            }
            stopped.push(stop.sites.is_ok());
        }
        // Smaller ones can be, and the largest cannot.
        assert!(stopped.is_sorted_by(|smaller, larger| smaller >= larger));
        assert_eq!(
            (stopped.first(), stopped.last()),
            (Some(&true), Some(&false))
        );
    }

    #[test]
    fn a_function_that_validators_would_take_no_more_is_not_counted_either() {
        let locals = "i32 ".repeat(49_999);
        let text = format!("(module (func (local {locals})))");
        let module = wat::parse_str(text).unwrap();
        wasmparser::Validator::new().validate_all(&module).unwrap();
        let refused = instrument_module(&module, Ability::Stop).unwrap_err();
        assert!(refused.to_string().contains("too large"), "{refused}");
    }
}
