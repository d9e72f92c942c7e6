//! Messages and adverts as bytes.
//!
//! This module writes canonical DAG-CBOR, the encoding of tasks. It reads DAG-CBOR of at most [`MAX_BYTES`], nested no
//! deeper than the decoder allows (256). Unlike [`canonical::decode`] it does not compare the bytes with what this
//! version would have written, so a later version may have added fields.

use mc_types::canonical::{self, Error};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor},
};
use std::{collections::BTreeMap, fmt};

/// The longest message that a node reads, in bytes.
pub const MAX_BYTES: usize = canonical::MAX_BYTES;
/// How many bytes of the name of an unknown kind are kept. All our names are shorter.
const MAX_KIND_CHARS: usize = 64;

/// A message that this version does not understand: a later version added its kind, or something in it that must not be
/// skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?} is not understood: {reason}")]
pub struct Unsupported {
    /// What the other side calls it.
    pub kind: String,
    /// Why it is not understood.
    pub reason: String,
}

/// A message as it came: understood or not.
pub type Heard<T> = Result<T, Unsupported>;

/// Encodes a message, an advert or a grant.
///
/// # Errors
///
/// [`Error::TooLarge`] when it is longer than nodes read.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Error> {
    canonical::encode(value).map(|(_, bytes)| bytes)
}

/// Decodes an advert or a grant from an untrusted source. Unknown fields are skipped.
///
/// # Errors
///
/// [`Error::TooLarge`] before anything is parsed, [`Error::Decode`] when the bytes are not a `T`.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    serde_ipld_dagcbor::from_slice(bytes).map_err(|e| Error::Decode(e.to_string()))
}

/// Decodes a [`Request`](crate::Request) or a [`Response`](crate::Response) from an untrusted source.
///
/// # Errors
///
/// As [`decode`], when the bytes are no message of any version: neither a name nor a name with fields.
pub fn decode_message<T: DeserializeOwned>(bytes: &[u8]) -> Result<Heard<T>, Error> {
    let error = match decode(bytes) {
        Ok(message) => return Ok(Ok(message)),
        Err(error) => error,
    };
    let MessageKind {
        name: kind,
        is_bare,
    } = decode(bytes).map_err(|_| error.clone())?;
    // A kind that had no fields at first and has some now comes in two forms. Each form reads as the other, without
    // fields.
    let other_form = match is_bare {
        true => encode(&BTreeMap::from([(&kind, BTreeMap::<&str, u8>::new())]))?,
        false => encode(&kind)?,
    };
    if let Ok(message) = decode(&other_form) {
        return Ok(Ok(message));
    }
    let reason = error.to_string();
    Ok(Err(Unsupported { kind, reason }))
}

/// The kind of a message of any version.
struct MessageKind {
    name: String,
    /// Whether it has no fields at all.
    is_bare: bool,
}

impl<'de> Deserialize<'de> for MessageKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = MessageKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_str<E: serde::de::Error>(self, kind: &str) -> Result<MessageKind, E> {
        Ok(MessageKind {
            name: kind.chars().take(MAX_KIND_CHARS).collect(),
            is_bare: true,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<MessageKind, A::Error> {
        let Some((kind, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? else {
            return Err(A::Error::custom("a message without a kind"));
        };
        let kind: MessageKind = self.visit_str::<A::Error>(&kind)?;
        Ok(MessageKind {
            is_bare: false,
            ..kind
        })
    }
}
