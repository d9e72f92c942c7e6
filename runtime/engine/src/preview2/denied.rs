//! Interfaces to the network: they are there, and say no.
//!
//! Programs import them for cases that mostly never happen. So each function exists in the form that the component
//! imports, of any version, and its type decides the answer: the error that stands for a refusal if there is one; else
//! a new handle, or success, so that a request can be built before it is refused.

use super::types::{InputStream, IoError, OutputStream, Pollable};
use crate::guest::{Call, Guest};
use mc_wasi::Stop;
use wasmtime::{
    AsContextMut,
    component::{
        Component, Linker, LinkerInstance, Resource, ResourceAny, ResourceType, Val,
        types::{ComponentItem, Type},
    },
};

/// The packages that are denied.
const DENIED: &[&str] = &["wasi:sockets/", "wasi:http/"];
/// The errors that stand for a refusal, in the order in which they are looked for.
const REFUSALS: &[&str] = &["access-denied", "HTTP-request-denied"];

/// A handle of something that leads nowhere.
struct Nowhere;

/// Whether an interface is denied.
pub(crate) fn is_denied(import: &str) -> bool {
    DENIED.iter().any(|package| import.starts_with(package))
}

/// Adds what `component` imports of the denied interfaces.
pub(crate) fn deny(
    linker: &mut Linker<Guest>,
    component: &Component,
    engine: &wasmtime::Engine,
) -> wasmtime::Result<()> {
    let imports = component.component_type();
    for (interface, item) in imports.imports(engine) {
        let ComponentItem::ComponentInstance(exports) = item.ty else {
            continue;
        };
        if !is_denied(interface) {
            continue;
        }
        let mut instance = linker.instance(interface)?;
        for (name, item) in exports.exports(engine) {
            match item.ty {
                ComponentItem::ComponentFunc(_) => add(&mut instance, name)?,
                ComponentItem::Resource(_) => {
                    let ty = known(name).unwrap_or_else(ResourceType::host::<Nowhere>);
                    instance.resource(name, ty, Guest::drop_handle)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn add(instance: &mut LinkerInstance<'_, Guest>, name: &str) -> wasmtime::Result<()> {
    instance.func_new(name, |mut cx, ty, params, results| {
        for param in params {
            release(&mut cx, param)?;
        }
        for (result, ty) in results.iter_mut().zip(ty.results()) {
            *result = answer(&mut cx, &ty)?;
        }
        Ok(())
    })
}

/// Gives back the handles that a call was lent or given, as every call must.
fn release(cx: &mut Call<'_>, value: &Val) -> wasmtime::Result<()> {
    match value {
        Val::Resource(resource) => resource.resource_drop(cx),
        // No function that is denied takes another signed number.
        Val::S32(handle) => Guest::drop_handle(cx.as_context_mut(), handle.cast_unsigned()),
        Val::List(values) | Val::Tuple(values) => {
            values.iter().try_for_each(|value| release(cx, value))
        }
        Val::Record(fields) => fields.iter().try_for_each(|(_, value)| release(cx, value)),
        Val::Variant(_, Some(value))
        | Val::Option(Some(value))
        | Val::Result(Ok(Some(value)) | Err(Some(value))) => release(cx, value),
        _ => Ok(()),
    }
}

/// A type of another interface, by the name under which it is used.
fn known(name: &str) -> Option<ResourceType> {
    Some(match name {
        "pollable" => ResourceType::host::<Pollable>(),
        "input-stream" => ResourceType::host::<InputStream>(),
        "output-stream" => ResourceType::host::<OutputStream>(),
        "error" | "io-error" => ResourceType::host::<IoError>(),
        _ => return None,
    })
}

/// What a function answers whose result is of type `ty`.
fn answer(cx: &mut Call<'_>, ty: &Type) -> wasmtime::Result<Val> {
    Ok(match ty {
        Type::Bool => Val::Bool(false),
        Type::U8 => Val::U8(0),
        Type::U16 => Val::U16(0),
        Type::U32 => Val::U32(0),
        Type::U64 => Val::U64(0),
        Type::String => Val::String(String::new()),
        Type::List(_) => Val::List(Vec::new()),
        Type::Option(_) => Val::Option(None),
        Type::Tuple(tuple) => {
            let values = tuple.types().map(|ty| answer(cx, &ty));
            Val::Tuple(values.collect::<wasmtime::Result<_>>()?)
        }
        Type::Enum(cases) => Val::Enum(cases.names().next().unwrap_or_default().to_owned()),
        Type::Result(result) => match result.err().as_ref().and_then(refusal) {
            Some(refusal) => Val::Result(Err(Some(Box::new(refusal)))),
            None => {
                let ok = result.ok().map(|ty| answer(cx, &ty)).transpose()?;
                Val::Result(Ok(ok.map(Box::new)))
            }
        },
        Type::S32 => {
            let number = Guest::call(cx.as_context_mut(), mc_wasi::Host::subscribe)?;
            Val::S32(number.cast_signed())
        }
        Type::Own(resource) => Val::Resource(handle(cx, *resource)?),
        _ => return Err(Stop::Trap("the network is denied to this task").into()),
    })
}

/// The error that stands for a refusal, if there is one among those of a type.
fn refusal(error: &Type) -> Option<Val> {
    let has = |names: &mut dyn Iterator<Item = &str>| {
        let names: Vec<_> = names.collect();
        let refusal = REFUSALS.iter().find(|refusal| names.contains(refusal));
        refusal.map(|refusal| (*refusal).to_owned())
    };
    match error {
        Type::Enum(cases) => has(&mut cases.names()).map(Val::Enum),
        Type::Variant(cases) => {
            let case = has(&mut cases.cases().map(|case| case.name))?;
            Some(Val::Variant(case, None))
        }
        _ => None,
    }
}

/// A handle that counts among those that the guest holds.
fn handle(cx: &mut Call<'_>, ty: ResourceType) -> wasmtime::Result<ResourceAny> {
    let number = Guest::call(cx.as_context_mut(), mc_wasi::Host::subscribe)?;
    if ty == ResourceType::host::<Pollable>() {
        return Resource::<Pollable>::new_own(number).try_into_resource_any(cx);
    }
    if ty == ResourceType::host::<Nowhere>() {
        return Resource::<Nowhere>::new_own(number).try_into_resource_any(cx);
    }
    Err(Stop::Trap("the network is denied to this task").into())
}
