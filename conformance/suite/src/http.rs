//! A connection to a node's HTTP API. A client of a few lines costs less than what is measured with it.

use anyhow::{Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One connection that is kept.
#[derive(Debug)]
pub struct Http {
    stream: BufReader<TcpStream>,
    host: String,
}

impl Http {
    /// Connects to the API at the URL `api`.
    ///
    /// # Errors
    ///
    /// That nobody listens there.
    pub fn connect(api: &str) -> Result<Self> {
        let host = api.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&host)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(stream),
            host,
        })
    }

    /// Sends a request and gives the JSON of the answer.
    ///
    /// # Errors
    ///
    /// That the connection broke, or the status is none of success.
    pub fn call(&mut self, method: &str, path: &str, body: &str) -> Result<Value> {
        Ok(serde_json::from_slice(&self.bytes(method, path, body)?)?)
    }

    /// Sends a request and gives the answer's body.
    ///
    /// # Errors
    ///
    /// As [`Self::call`].
    pub fn bytes(&mut self, method: &str, path: &str, body: &str) -> Result<Vec<u8>> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.host,
            body.len()
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut status = String::new();
        self.stream.read_line(&mut status)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            ensure!(
                self.stream.read_line(&mut line)? > 0,
                "the connection broke"
            );
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        let text = String::from_utf8_lossy(&body);
        ensure!(status.contains(" 20"), "{status}{text}");
        Ok(body)
    }
}

/// An answer with everything that was said about it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The number.
    pub status: u16,
    /// By their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// What came; less than was promised if the connection was cut off.
    pub body: Vec<u8>,
    /// Whether all of it came.
    pub is_complete: bool,
}

/// Asks the server at `base` for a path, with these headers, on a connection of its own.
///
/// # Panics
///
/// When nobody listens there, or it does not speak HTTP.
#[must_use]
pub fn ask(base: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(base, (method, path), headers, &[])
}

/// Stores bytes at a path of the server at `base`.
///
/// # Panics
///
/// As [`ask`].
#[must_use]
pub fn put(base: &str, path: &str, body: &[u8]) -> Answer {
    let length = body.len().to_string();
    send(base, ("PUT", path), &[("content-length", &length)], body)
}

#[expect(
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]
fn send(base: &str, (method, path): (&str, &str), headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let host = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let request =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).expect("it listens");
    stream.write_all(body).expect("it listens");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer");
    let status = line.split(' ').nth(1).and_then(|text| text.parse().ok());
    let mut answer = Answer {
        status: status.expect("a status"),
        headers: BTreeMap::new(),
        body: Vec::new(),
        is_complete: true,
    };
    loop {
        line.clear();
        stream.read_line(&mut line).expect("a header");
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        let name = name.to_ascii_lowercase();
        answer.headers.insert(name, value.trim().to_owned());
    }
    // A connection that breaks leaves what had come by then.
    let _ = stream.read_to_end(&mut answer.body);
    if answer.headers.contains_key("transfer-encoding") {
        (answer.body, answer.is_complete) = unchunked(&answer.body);
    } else if let Some(length) = answer.headers.get("content-length") {
        answer.is_complete = method == "HEAD" || length.parse() == Ok(answer.body.len());
    }
    answer
}

/// The bytes of a body in chunks, and whether the last one came.
fn unchunked(mut chunks: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        if chunks.read_line(&mut line).unwrap_or(0) == 0 {
            return (body, false);
        }
        let length = usize::from_str_radix(line.trim(), 16).unwrap_or(usize::MAX);
        let Some(bytes) = chunks.get(..length) else {
            return (body, false);
        };
        body.extend_from_slice(bytes);
        if length == 0 {
            return (body, true);
        }
        chunks = chunks.get(length + 2..).unwrap_or_default();
    }
}
