//! What every message was encoded as when it was made: nodes that are out there send just that.
//!
//! A fixture is hexadecimal, after which a comment says what it holds. One that is missing fails the test; it is written
//! when the tests are run with `MC_BLESS=1`. One that is there is never written again.

use crate::samples;
use ipld_core::ipld::Ipld;
use mc_protocol::{Request, Response, decode, decode_message, encode};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    collections::BTreeSet,
    fmt::{Debug, Write},
    fs,
    path::PathBuf,
};

/// Hexadecimal digits of one line.
const DIGITS: usize = 100;

fn dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Something that goes over the wire.
struct Sample {
    /// By which its fixture is called.
    name: String,
    bytes: Vec<u8>,
    /// Decodes bytes and encodes them again.
    again: fn(&[u8]) -> Vec<u8>,
}

fn message<T: Serialize + DeserializeOwned>(prefix: &str, name: &str, message: &T) -> Sample {
    Sample {
        name: format!("{prefix}-{name}"),
        bytes: encode(message).unwrap(),
        again: |bytes| encode(&decode_message::<T>(bytes).unwrap().unwrap()).unwrap(),
    }
}

fn body<T: Serialize + DeserializeOwned>(name: &str, body: &T) -> Sample {
    Sample {
        name: name.to_owned(),
        bytes: encode(body).unwrap(),
        again: |bytes| encode(&decode::<T>(bytes).unwrap()).unwrap(),
    }
}

fn all() -> Vec<Sample> {
    let requests = samples::requests();
    let requests = requests
        .iter()
        .map(|(name, it)| message("request", name, it));
    let responses = samples::responses();
    let responses = responses
        .iter()
        .map(|(name, it)| message("response", name, it));
    let bodies = [
        body("advert-node", &samples::advert()),
        body("advert-task", &samples::task_advert()),
        body("advert-completion", &samples::completion_advert()),
        body("grant", &samples::grant()),
    ];
    requests.chain(responses).chain(bodies).collect()
}

/// Hexadecimal in lines, and what it is.
fn written(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.chunks(DIGITS / 2) {
        for byte in line {
            write!(text, "{byte:02x}").unwrap();
        }
        text.push('\n');
    }
    let holds: Ipld = decode(bytes).unwrap();
    writeln!(text, "# {holds:?}").unwrap();
    text
}

fn read(text: &str) -> Vec<u8> {
    let digits = text.lines().filter(|line| !line.starts_with('#'));
    let digits: Vec<u8> = digits.flat_map(str::bytes).collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).unwrap();
        u8::from_str_radix(pair, 16).unwrap()
    };
    digits.chunks(2).map(byte).collect()
}

#[test]
fn every_message_is_encoded_as_it_was_first() {
    let bless = std::env::var_os("MC_BLESS").is_some();
    for sample in all() {
        let name = &sample.name;
        let path = dir().join(format!("{name}.hex"));
        if bless && !path.exists() {
            fs::create_dir_all(dir()).unwrap();
            fs::write(&path, written(&sample.bytes)).unwrap();
        }
        let committed = fs::read_to_string(&path);
        let committed = committed.unwrap_or_else(|e| {
            panic!("fixtures/{name}.hex: {e}; run this test with MC_BLESS=1 if it is new")
        });
        let bytes = read(&committed);
        assert_eq!(written(&bytes), written(&sample.bytes), "{name} changed");
        assert_eq!((sample.again)(&bytes), bytes, "{name} is read as another");
    }
}

#[test]
fn there_is_no_fixture_of_what_is_never_sent() {
    let Ok(files) = fs::read_dir(dir()) else {
        return;
    };
    let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let files: BTreeSet<_> = files.filter(|name| name.ends_with(".hex")).collect();
    let names: BTreeSet<_> = all().iter().map(|it| format!("{}.hex", it.name)).collect();
    assert_eq!(files.difference(&names).collect::<Vec<_>>(), [""; 0]);
}

/// The name by which a message goes on the wire.
fn on_the_wire<T: Serialize>(message: &T) -> String {
    match decode(&encode(message).unwrap()).unwrap() {
        Ipld::String(kind) => kind,
        Ipld::Map(kinds) => kinds.into_keys().collect(),
        _ => String::new(),
    }
}

/// The kinds of which there are samples, each of which goes on the wire by its name.
fn kinds<T: Serialize + Debug>(
    messages: &[(samples::Name, T)],
    kind: fn(&T) -> &'static str,
) -> BTreeSet<&'static str> {
    for (name, message) in messages {
        assert_eq!(on_the_wire(message), kind(message), "{message:?}");
        let (first, _) = name.split_once('-').unwrap_or((*name, ""));
        assert_eq!(first, kind(message), "{message:?}");
    }
    messages.iter().map(|(_, message)| kind(message)).collect()
}

fn names(kinds: &[&'static str]) -> BTreeSet<&'static str> {
    kinds.iter().copied().collect()
}

#[test]
fn every_kind_has_a_sample() {
    let requests = kinds(&samples::requests(), Request::kind);
    assert_eq!(requests, names(Request::KINDS));
    let responses = kinds(&samples::responses(), Response::kind);
    assert_eq!(responses, names(Response::KINDS));
}

#[test]
fn every_answer_is_a_response_and_every_response_an_answer() {
    let requests = samples::requests();
    let answers = requests.iter().flat_map(|(_, request)| request.answers());
    let mut answers: BTreeSet<_> = answers.copied().collect();
    answers.extend(["error", "unsupported"]);
    assert_eq!(answers, names(Response::KINDS));
    let answers = Request::Describe.answers();
    assert!(Response::Described(samples::announcement()).is_among(answers));
    assert!(samples::responses().iter().all(|(name, response)| {
        let is_any = ["described", "error", "unsupported"].contains(name);
        response.is_among(answers) == is_any
    }));
}
