//! `wasi:cli`

use super::{
    call::call,
    form::Form,
    package::Package,
    types::{InputStream, OutputStream, TerminalInput, TerminalOutput},
};
use crate::guest::{Call, Guest};
use mc_types::LogStream;
use mc_wasi::Stop;
use wasmtime::component::{Linker, ResourceType};

/// `wasi:cli`.
pub(super) struct Cli;

impl Package for Cli {
    const INTERFACES: &'static [&'static str] = &[
        "wasi:cli/environment",
        "wasi:cli/exit",
        "wasi:cli/stderr",
        "wasi:cli/stdin",
        "wasi:cli/stdout",
        "wasi:cli/terminal-input",
        "wasi:cli/terminal-output",
        "wasi:cli/terminal-stderr",
        "wasi:cli/terminal-stdin",
        "wasi:cli/terminal-stdout",
    ];

    fn add<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        environment::<F>(linker)?;
        exit::<F>(linker)?;
        standard::<F>(linker)?;
        terminals::<F>(linker)
    }
}

fn environment<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut environment = linker.instance("wasi:cli/environment@0.2.6")?;
    environment.func_wrap("get-environment", |cx: Call<'_>, (): ()| {
        call(cx, |host| Ok(host.env().to_vec()))
    })?;
    environment.func_wrap("get-arguments", |cx: Call<'_>, (): ()| {
        call(cx, |host| Ok(host.args().to_vec()))
    })?;
    environment.func_wrap("initial-cwd", |cx: Call<'_>, (): ()| {
        call(cx, |_| Ok(None::<String>))
    })
}

fn exit<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut exit = linker.instance("wasi:cli/exit@0.2.6")?;
    exit.func_wrap("exit", |cx: Call<'_>, (status,): (Result<(), ()>,)| {
        Guest::call(cx, |_| Err::<(), _>(Stop::Exit(status.is_err().into())))
    })?;
    exit.func_wrap("exit-with-code", |cx: Call<'_>, (code,): (u8,)| {
        Guest::call(cx, |_| Err::<(), _>(Stop::Exit(code)))
    })
}

fn standard<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut stdin = linker.instance("wasi:cli/stdin@0.2.6")?;
    stdin.func_wrap("get-stdin", |cx: Call<'_>, (): ()| {
        call(cx, |host| Ok(F::own::<InputStream>(host.stdin()?)))
    })?;
    for (interface, function, stream) in [
        ("wasi:cli/stdout@0.2.6", "get-stdout", LogStream::Stdout),
        ("wasi:cli/stderr@0.2.6", "get-stderr", LogStream::Stderr),
    ] {
        let mut instance = linker.instance(interface)?;
        instance.func_wrap(function, move |cx: Call<'_>, (): ()| {
            call(cx, |host| {
                Ok(F::own::<OutputStream>(host.standard(stream)?))
            })
        })?;
    }
    Ok(())
}

/// No stream is a terminal, whatever it leads to outside.
fn terminals<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let (input, output) = (
        ResourceType::host::<TerminalInput>(),
        ResourceType::host::<TerminalOutput>(),
    );
    for interface in [
        "wasi:cli/terminal-input@0.2.6",
        "wasi:cli/terminal-stdin@0.2.6",
    ] {
        let mut instance = linker.instance(interface)?;
        instance.resource("terminal-input", input, Guest::drop_handle)?;
    }
    for interface in [
        "wasi:cli/terminal-output@0.2.6",
        "wasi:cli/terminal-stdout@0.2.6",
        "wasi:cli/terminal-stderr@0.2.6",
    ] {
        let mut instance = linker.instance(interface)?;
        instance.resource("terminal-output", output, Guest::drop_handle)?;
    }
    linker
        .instance("wasi:cli/terminal-stdin@0.2.6")?
        .func_wrap("get-terminal-stdin", |cx: Call<'_>, (): ()| {
            call(cx, |_| Ok(None::<F::Own<TerminalInput>>))
        })?;
    for (interface, function) in [
        ("wasi:cli/terminal-stdout@0.2.6", "get-terminal-stdout"),
        ("wasi:cli/terminal-stderr@0.2.6", "get-terminal-stderr"),
    ] {
        linker
            .instance(interface)?
            .func_wrap(function, |cx: Call<'_>, (): ()| {
                call(cx, |_| Ok(None::<F::Own<TerminalOutput>>))
            })?;
    }
    Ok(())
}
