use super::*;
use crate::instrument_component;
use wasmparser::Payload;

const RUNS: &str = r#"(component
    (core module $m
      (func (export "run") (result i32) (loop (br_if 0 (i32.const 0))) (i32.const 0)))
    (core instance $i (instantiate $m))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $run (export "run" (func $run)))
    (export "wasi:cli/run@0.2.0" (instance $run)))"#;

fn rewritten(text: &str, ability: Ability) -> Result<Program, Refused> {
    let program = instrument_component(&wat::parse_str(text).unwrap(), ability)?;
    let mut validator = Validator::new_with_features(FEATURES);
    validator.validate_all(&program.wasm).unwrap();
    Ok(program)
}

fn imports(component: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(component) {
        if let Payload::ComponentImportSection(imports) = payload.unwrap() {
            names.extend(imports.into_iter().map(|i| i.unwrap().name.name.to_owned()));
        }
    }
    names
}

#[test]
fn a_component_imports_of_the_meter_what_it_is_made_able_to_do() {
    let counts = rewritten(RUNS, Ability::Count).unwrap();
    assert_eq!(imports(&counts.wasm), [meter::ATTACH_IMPORT]);
    for ability in [Ability::Stop, Ability::Resume] {
        let program = rewritten(RUNS, ability).unwrap();
        let all = [
            meter::ATTACH_IMPORT,
            meter::DROP_IMPORT,
            meter::ASK_IMPORT,
            meter::RESTORE_IMPORT,
            meter::EXPOSE_IMPORT,
        ];
        assert_eq!(imports(&program.wasm), all);
        // Where the function begins, and its loop.
        assert_eq!(program.sites.unwrap().count(), 2);
    }
}

#[test]
fn names_of_the_meter_are_nobody_elses() {
    let import = r#"(component (import "mc-drop" (func)))"#;
    let export = r#"(component
        (core module $m (func (export "f")))
        (core instance $i (instantiate $m))
        (func (export "mc-capture") (canon lift (core func $i "f"))))"#;
    for text in [import, export] {
        let refused = rewritten(text, Ability::Count).unwrap_err();
        assert!(refused.to_string().contains("the meter's name"), "{text}");
    }
}

#[test]
fn a_component_of_more_modules_than_are_handled_is_counted() {
    let component = format!("(component {})", "(core module)".repeat(65));
    let program = rewritten(&component, Ability::Stop).unwrap();
    let obstacle = program.sites.unwrap_err().to_string();
    assert!(obstacle.contains("more core modules"), "{obstacle}");
}

#[test]
fn functions_of_resources_have_names_that_promise_nothing() {
    let plain = |name| plain_name(name).unwrap();
    assert_eq!(plain("[constructor]fields"), "constructor-fields");
    assert_eq!(plain("[method]descriptor.read"), "method-descriptor-read");
    assert_eq!(plain_name("run"), None);
    assert_eq!(plain_name("[run"), None);
}
