//! `wasi:io`

use super::{
    call, stream,
    types::{InputStream, IoError, OutputStream, Pollable},
};
use crate::guest::{Call, Guest};
use wasmtime::component::{Linker, Resource, ResourceType};

pub(super) fn add(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    error(linker)?;
    poll(linker)?;
    streams(linker)?;
    inputs(linker)?;
    outputs(linker)
}

fn error(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut error = linker.instance("wasi:io/error@0.2.6")?;
    error.resource("error", ResourceType::host::<IoError>(), Guest::drop_handle)?;
    error.func_wrap(
        "[method]error.to-debug-string",
        |cx: Call<'_>, (this,): (Resource<IoError>,)| {
            call(cx, |host| Ok(host.error(this.rep())?.to_string()))
        },
    )
}

fn poll(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut poll = linker.instance("wasi:io/poll@0.2.6")?;
    poll.resource(
        "pollable",
        ResourceType::host::<Pollable>(),
        Guest::drop_handle,
    )?;
    poll.func_wrap(
        "[method]pollable.ready",
        |cx: Call<'_>, (this,): (Resource<Pollable>,)| call(cx, |host| host.is_ready(this.rep())),
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |cx: Call<'_>, (this,): (Resource<Pollable>,)| {
            Guest::call(cx, |host| host.poll(&[this.rep()]).map(drop))
        },
    )?;
    poll.func_wrap(
        "poll",
        |cx: Call<'_>, (pollables,): (Vec<Resource<Pollable>>,)| {
            let numbers: Vec<_> = pollables.iter().map(Resource::rep).collect();
            call(cx, |host| host.poll(&numbers))
        },
    )
}

fn streams(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
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

fn inputs(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.6")?;
    for name in [
        "[method]input-stream.read",
        "[method]input-stream.blocking-read",
    ] {
        streams.func_wrap(
            name,
            |cx: Call<'_>, (this, length): (Resource<InputStream>, u64)| {
                stream(cx, |host| host.read_stream(this.rep(), length))
            },
        )?;
    }
    for name in [
        "[method]input-stream.skip",
        "[method]input-stream.blocking-skip",
    ] {
        streams.func_wrap(
            name,
            |cx: Call<'_>, (this, length): (Resource<InputStream>, u64)| {
                stream(cx, |host| {
                    let read = host.read_stream(this.rep(), length)?;
                    Ok(read.map(|bytes| bytes.len() as u64))
                })
            },
        )?;
    }
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |cx: Call<'_>, (this,): (Resource<InputStream>,)| {
            call(cx, |host| {
                host.check_input(this.rep())?;
                Ok(Resource::<Pollable>::new_own(host.subscribe()?))
            })
        },
    )
}

fn outputs(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    let mut streams = linker.instance("wasi:io/streams@0.2.6")?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |cx: Call<'_>, (this,): (Resource<OutputStream>,)| {
            stream(cx, |host| host.check_write(this.rep()))
        },
    )?;
    for name in [
        "[method]output-stream.write",
        "[method]output-stream.blocking-write-and-flush",
    ] {
        streams.func_wrap(
            name,
            |cx: Call<'_>, (this, bytes): (Resource<OutputStream>, Vec<u8>)| {
                stream(cx, |host| host.write_stream(this.rep(), &bytes))
            },
        )?;
    }
    for name in [
        "[method]output-stream.flush",
        "[method]output-stream.blocking-flush",
    ] {
        streams.func_wrap(name, |cx: Call<'_>, (this,): (Resource<OutputStream>,)| {
            stream(cx, |host| host.check_output(this.rep()).map(Ok))
        })?;
    }
    for name in [
        "[method]output-stream.write-zeroes",
        "[method]output-stream.blocking-write-zeroes-and-flush",
    ] {
        streams.func_wrap(
            name,
            |cx: Call<'_>, (this, length): (Resource<OutputStream>, u64)| {
                stream(cx, |host| host.write_zeros(this.rep(), length))
            },
        )?;
    }
    for name in [
        "[method]output-stream.splice",
        "[method]output-stream.blocking-splice",
    ] {
        streams.func_wrap(
            name,
            |cx: Call<'_>,
             (this, from, length): (Resource<OutputStream>, Resource<InputStream>, u64)| {
                stream(cx, |host| host.splice(this.rep(), from.rep(), length))
            },
        )?;
    }
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |cx: Call<'_>, (this,): (Resource<OutputStream>,)| {
            call(cx, |host| {
                host.check_output(this.rep())?;
                Ok(Resource::<Pollable>::new_own(host.subscribe()?))
            })
        },
    )
}
