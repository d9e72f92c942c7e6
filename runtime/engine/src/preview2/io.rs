//! `wasi:io`

use super::{
    call::{call, stream},
    form::Form,
    package::Package,
    types::{InputStream, IoError, OutputStream, Pollable},
};
use crate::guest::{Call, Guest};
use wasmtime::component::{Linker, ResourceType};

/// `wasi:io`.
pub(super) struct Io;

impl Package for Io {
    const INTERFACES: &'static [&'static str] =
        &["wasi:io/error", "wasi:io/poll", "wasi:io/streams"];

    fn add<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
        error::<F>(linker)?;
        poll::<F>(linker)?;
        streams::<F>(linker)?;
        inputs::<F>(linker)?;
        outputs::<F>(linker)
    }
}

fn error<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut error = linker.instance("wasi:io/error@0.2.6")?;
    error.resource("error", ResourceType::host::<IoError>(), Guest::drop_handle)?;
    error.func_wrap(
        &F::name("[method]error.to-debug-string"),
        |cx: Call<'_>, (this,): (F::Borrow<IoError>,)| {
            call(cx, |host| Ok(host.error(F::number(&this))?.to_string()))
        },
    )
}

fn poll<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut poll = linker.instance("wasi:io/poll@0.2.6")?;
    poll.resource(
        "pollable",
        ResourceType::host::<Pollable>(),
        Guest::drop_handle,
    )?;
    poll.func_wrap(
        &F::name("[method]pollable.ready"),
        |cx: Call<'_>, (this,): (F::Borrow<Pollable>,)| {
            call(cx, |host| host.is_ready(F::number(&this)))
        },
    )?;
    poll.func_wrap(
        &F::name("[method]pollable.block"),
        |cx: Call<'_>, (this,): (F::Borrow<Pollable>,)| {
            Guest::call(cx, |host| host.poll(&[F::number(&this)]).map(drop))
        },
    )?;
    poll.func_wrap(
        "poll",
        |cx: Call<'_>, (pollables,): (Vec<F::Borrow<Pollable>>,)| {
            let numbers: Vec<_> = pollables
                .iter()
                .map(|pollable| F::number(pollable))
                .collect();
            call(cx, |host| host.poll(&numbers))
        },
    )
}

fn streams<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.6")?;
    // Types that one interface uses of another are defined in both.
    streams.resource("error", ResourceType::host::<IoError>(), Guest::drop_handle)?;
    streams.resource(
        "pollable",
        ResourceType::host::<Pollable>(),
        Guest::drop_handle,
    )?;
    let input = ResourceType::host::<InputStream>();
    streams.resource("input-stream", input, Guest::drop_handle)?;
    let output = ResourceType::host::<OutputStream>();
    streams.resource("output-stream", output, Guest::drop_handle)
}

fn inputs<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.6")?;
    for name in [
        "[method]input-stream.read",
        "[method]input-stream.blocking-read",
    ] {
        streams.func_wrap(
            &F::name(name),
            |cx: Call<'_>, (this, length): (F::Borrow<InputStream>, u64)| {
                stream::<F, _>(cx, |host| host.read_stream(F::number(&this), length))
            },
        )?;
    }
    for name in [
        "[method]input-stream.skip",
        "[method]input-stream.blocking-skip",
    ] {
        streams.func_wrap(
            &F::name(name),
            |cx: Call<'_>, (this, length): (F::Borrow<InputStream>, u64)| {
                stream::<F, _>(cx, |host| {
                    let read = host.read_stream(F::number(&this), length)?;
                    Ok(read.map(|bytes| bytes.len() as u64))
                })
            },
        )?;
    }
    streams.func_wrap(
        &F::name("[method]input-stream.subscribe"),
        |cx: Call<'_>, (this,): (F::Borrow<InputStream>,)| {
            call(cx, |host| {
                host.check_input(F::number(&this))?;
                Ok(F::own::<Pollable>(host.subscribe()?))
            })
        },
    )
}

fn outputs<F: Form>(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.6")?;
    streams.func_wrap(
        &F::name("[method]output-stream.check-write"),
        |cx: Call<'_>, (this,): (F::Borrow<OutputStream>,)| {
            stream::<F, _>(cx, |host| host.check_write(F::number(&this)))
        },
    )?;
    for name in [
        "[method]output-stream.write",
        "[method]output-stream.blocking-write-and-flush",
    ] {
        streams.func_wrap(
            &F::name(name),
            |cx: Call<'_>, (this, bytes): (F::Borrow<OutputStream>, Vec<u8>)| {
                stream::<F, _>(cx, |host| host.write_stream(F::number(&this), &bytes))
            },
        )?;
    }
    for name in [
        "[method]output-stream.flush",
        "[method]output-stream.blocking-flush",
    ] {
        streams.func_wrap(
            &F::name(name),
            |cx: Call<'_>, (this,): (F::Borrow<OutputStream>,)| {
                stream::<F, _>(cx, |host| host.check_output(F::number(&this)).map(Ok))
            },
        )?;
    }
    for name in [
        "[method]output-stream.write-zeroes",
        "[method]output-stream.blocking-write-zeroes-and-flush",
    ] {
        streams.func_wrap(
            &F::name(name),
            |cx: Call<'_>, (this, length): (F::Borrow<OutputStream>, u64)| {
                stream::<F, _>(cx, |host| host.write_zeros(F::number(&this), length))
            },
        )?;
    }
    for name in [
        "[method]output-stream.splice",
        "[method]output-stream.blocking-splice",
    ] {
        streams.func_wrap(&F::name(name),
            |cx: Call<'_>,
             (this, from, length): (F::Borrow<OutputStream>, F::Borrow<InputStream>, u64)| {
                stream::<F, _>(cx, |host| host.splice(F::number(&this), F::number(&from), length))
            },
        )?;
    }
    streams.func_wrap(
        &F::name("[method]output-stream.subscribe"),
        |cx: Call<'_>, (this,): (F::Borrow<OutputStream>,)| {
            call(cx, |host| {
                host.check_output(F::number(&this))?;
                Ok(F::own::<Pollable>(host.subscribe()?))
            })
        },
    )
}
