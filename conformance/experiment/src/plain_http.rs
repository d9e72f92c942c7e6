//! A file by plain HTTP from one server, to compare with. Both ends are started again from this binary, each in its
//! network namespace.

use anyhow::{Context, Result, ensure};
use mc_conformance::Namespace;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

/// What the server is started with.
pub(crate) const SERVE: &str = "serve";
/// What a client is started with.
pub(crate) const DOWNLOAD: &str = "download";

/// A server in a namespace; it ends when this is dropped.
pub(crate) struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Serves the file `path` at `address`, whatever is asked for.
    pub(crate) fn start(namespace: &Namespace, path: &str, address: &str) -> Result<Self> {
        let mut command = this_program(namespace, &[SERVE, path, address])?;
        let mut process = command.stdout(Stdio::piped()).spawn()?;
        let stdout = process.stdout.take().context("its output")?;
        // It says when it listens.
        BufReader::new(stdout).read_line(&mut String::new())?;
        Ok(Self {
            process,
            address: address.to_owned(),
        })
    }

    /// Downloads the file into nothing, within a namespace.
    pub(crate) fn download(&self, namespace: &Namespace, bytes: usize) -> Result<()> {
        let done = this_program(namespace, &[DOWNLOAD, &self.address])?.output()?;
        let came = String::from_utf8(done.stdout)?;
        ensure!(came.trim() == bytes.to_string(), "{came} bytes came");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn this_program(namespace: &Namespace, args: &[&str]) -> Result<Command> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("a path that is no text")?;
    let mut command = namespace.command(program);
    command.args(args);
    Ok(command)
}

/// Serves a file until the process is ended, each connection once.
#[expect(clippy::print_stdout, reason = "whoever started it waits for the line")]
pub(crate) fn serve(path: &Path, address: &str) -> Result<()> {
    let listener = TcpListener::bind(address)?;
    println!("listening");
    thread::scope(|scope| {
        for stream in listener.incoming() {
            // Who went away is not served.
            scope.spawn(|| stream.map(|stream| answer(stream, path)));
        }
    });
    Ok(())
}

fn answer(mut stream: TcpStream, path: &Path) -> Result<()> {
    for line in BufReader::new(&stream).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    io::copy(&mut file, &mut stream)?;
    Ok(())
}

/// Reads what is served at an address; gives its length in bytes.
pub(crate) fn download(address: &str) -> Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET / HTTP/1.1\r\nhost: {address}\r\n\r\n")?;
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    Ok(io::copy(&mut reader.by_ref(), &mut io::sink())?)
}
