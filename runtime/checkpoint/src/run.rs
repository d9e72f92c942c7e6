//! The function by which a component is run.

use wasmparser::{
    Parser, ValidPayload, Validator, WasmFeatures,
    component_types::{
        ComponentDefinedType, ComponentEntityType, ComponentFuncType, ComponentValType,
    },
    types::{Types, TypesRef},
};

/// Its name, in the interface by which a component is run.
const RUN: &str = "run";
/// How many parameters a message names at most.
const MOST_PARAMS: usize = 8;

/// Checks the interface that runs a component; `export` is its name. Returns what is wrong with it, if anything. This
/// reads types, but not code. It accepts malformed components, which are refused elsewhere.
#[must_use]
pub fn wrong_run(component: &[u8], export: &str) -> Option<String> {
    let types = types(component)?;
    let types = types.as_ref();
    let interface = types.component_item_for_export(export)?;
    let ComponentEntityType::Instance(interface) = interface.ty else {
        return Some("is no interface".to_owned());
    };
    let run = types.get(interface)?.exports.get(RUN).map(|item| item.ty);
    let Some(ComponentEntityType::Func(run)) = run else {
        return Some("has no function run".to_owned());
    };
    let run = types.get(run)?;
    if !run.async_ && run.params.is_empty() && is_plain_result(run.result, types) {
        return None;
    }
    Some(format!(
        "has run as {} and not as func() -> result",
        described(run, types)
    ))
}

/// The types of a component. Its code is not validated.
fn types(component: &[u8]) -> Option<Types> {
    let mut validator = Validator::new_with_features(WasmFeatures::all());
    let mut types = None;
    for payload in Parser::new(0).parse_all(component) {
        // The last that ends is the component itself.
        if let ValidPayload::End(known) = validator.payload(&payload.ok()?).ok()? {
            types = Some(known);
        }
    }
    types
}

/// Whether it is a result without any value.
fn is_plain_result(ty: Option<ComponentValType>, types: TypesRef<'_>) -> bool {
    let Some(ComponentValType::Type(ty)) = ty else {
        return false;
    };
    matches!(
        types.get(ty),
        Some(ComponentDefinedType::Result {
            ok: None,
            err: None,
            ..
        })
    )
}

fn described(function: &ComponentFuncType, types: TypesRef<'_>) -> String {
    let shown = function.params.iter().take(MOST_PARAMS);
    let mut params: Vec<_> = shown.map(|(_, ty)| value(*ty, types)).collect();
    if function.params.len() > MOST_PARAMS {
        params.push("…".to_owned());
    }
    let prefix = if function.async_ { "async " } else { "" };
    let params = params.join(", ");
    let result = function
        .result
        .map(|ty| format!(" -> {}", value(ty, types)));
    format!("{prefix}func({params}){}", result.unwrap_or_default())
}

/// A type in a word or two: types may be nested as deep as a component likes.
fn value(ty: ComponentValType, types: TypesRef<'_>) -> String {
    let ty = match ty {
        ComponentValType::Primitive(ty) => return ty.to_string(),
        ComponentValType::Type(ty) => types.get(ty),
    };
    let name = match ty {
        Some(ComponentDefinedType::Primitive(ty)) => return ty.to_string(),
        Some(ComponentDefinedType::Result {
            ok: None,
            err: None,
            ..
        }) => "result",
        Some(ComponentDefinedType::Result { .. }) => "result with values",
        Some(ComponentDefinedType::Record(_)) => "record",
        Some(ComponentDefinedType::Variant(_)) => "variant",
        Some(ComponentDefinedType::List { .. }) => "list",
        Some(ComponentDefinedType::Tuple(_)) => "tuple",
        Some(ComponentDefinedType::Flags(_)) => "flags",
        Some(ComponentDefinedType::Enum(_)) => "enum",
        Some(ComponentDefinedType::Option { .. }) => "option",
        Some(ComponentDefinedType::Own(_)) => "own",
        Some(ComponentDefinedType::Borrow(_)) => "borrow",
        _ => "another type",
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is wrong with a component whose interface has such a function.
    fn wrong(ty: &str, core: &str) -> Option<String> {
        let text = format!(
            r#"(component
              (core module $m (func (export "run") {core} unreachable))
              (core instance $i (instantiate $m))
              (func $run {ty} (canon lift (core func $i "run")))
              (instance $run (export "run" (func $run)))
              (export "wasi:cli/run@0.2.0" (instance $run)))"#
        );
        wrong_run(&wat::parse_str(text).unwrap(), "wasi:cli/run@0.2.0")
    }

    #[test]
    fn a_function_of_another_type_is_told_with_both() {
        assert_eq!(wrong("(result (result))", "(result i32)"), None);
        let told = |ty, core| wrong(ty, core).unwrap();
        assert_eq!(
            told(
                "(param \"n\" u32) (result bool)",
                "(param i32) (result i32)"
            ),
            "has run as func(u32) -> bool and not as func() -> result"
        );
        assert!(told("", "").contains("as func() and not"));
    }

    #[test]
    fn an_interface_without_it_and_what_is_none_are_told_too() {
        let interface = |text: &str| {
            let bytes = wat::parse_str(format!("(component {text})")).unwrap();
            wrong_run(&bytes, "wasi:cli/run@0.2.0")
        };
        let empty = "(instance $run) (export \"wasi:cli/run@0.2.0\" (instance $run))";
        assert_eq!(interface(empty).unwrap(), "has no function run");
        assert_eq!(interface(""), None);
    }
}
