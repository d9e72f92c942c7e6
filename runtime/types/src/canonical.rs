//! Canonical DAG-CBOR: one value, one sequence of bytes, one CID.
//!
//! The format is IPLD's DAG-CBOR (<https://ipld.io/specs/codecs/dag-cbor/spec/>): definite lengths,
//! shortest integers, map keys sorted by length and then bytes, links as tag 42.

use crate::cid::{self, Cid};
use serde::{Serialize, de::DeserializeOwned};

/// Largest encoded value that is read, in bytes. A task with thousands of arguments stays below;
/// bulk data belongs into inputs.
pub const MAX_BYTES: usize = 1 << 20;

/// Why a value could not be encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The value has no DAG-CBOR form (a float that is not finite, for example).
    #[error("cannot encode as DAG-CBOR: {0}")]
    Encode(String),
    /// The bytes are not the DAG-CBOR form of the expected type.
    #[error("not a valid encoding: {0}")]
    Decode(String),
    /// The bytes decode, but another encoding of the same value is the canonical one.
    #[error("not the canonical encoding")]
    NotCanonical,
    /// The encoding is longer than [`MAX_BYTES`].
    #[error("{bytes} bytes long; at most {MAX_BYTES} are accepted")]
    TooLarge {
        /// Its length in bytes.
        bytes: usize,
    },
}

/// Encodes `value` and names the bytes.
///
/// # Errors
///
/// [`Error::Encode`] when the value has no DAG-CBOR form, [`Error::TooLarge`] when no peer would
/// read it back.
pub fn encode<T: Serialize>(value: &T) -> Result<(Cid, Vec<u8>), Error> {
    let bytes = serde_ipld_dagcbor::to_vec(value).map_err(|e| Error::Encode(e.to_string()))?;
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    Ok((cid::of(cid::DAG_CBOR, &bytes), bytes))
}

/// Decodes `bytes`, which come from anywhere.
///
/// # Errors
///
/// [`Error::TooLarge`] before anything is parsed, [`Error::Decode`] when the bytes are not a `T`,
/// [`Error::NotCanonical`] when they are not the encoding that [`encode`] gives.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::TooLarge { bytes: bytes.len() });
    }
    let value: T =
        serde_ipld_dagcbor::from_slice(bytes).map_err(|e| Error::Decode(e.to_string()))?;
    let again = serde_ipld_dagcbor::to_vec(&value).map_err(|e| Error::Encode(e.to_string()))?;
    if again == bytes {
        Ok(value)
    } else {
        Err(Error::NotCanonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn longer_integer_form_is_not_canonical() {
        assert_eq!(decode::<u8>(&[0x05]), Ok(5));
        assert!(decode::<u8>(&[0x18, 0x05]).is_err(), "5 in two bytes");
    }

    #[test]
    fn unsorted_map_is_not_canonical() {
        let sorted = [0xa2, 0x61, b'a', 0x01, 0x61, b'b', 0x02];
        let unsorted = [0xa2, 0x61, b'b', 0x02, 0x61, b'a', 0x01];
        assert!(decode::<BTreeMap<String, u8>>(&sorted).is_ok());
        assert!(decode::<BTreeMap<String, u8>>(&unsorted).is_err());
    }

    #[test]
    fn oversized_input_is_refused_before_parsing() {
        let bytes = vec![0; MAX_BYTES + 1];
        assert_eq!(
            decode::<u8>(&bytes),
            Err(Error::TooLarge {
                bytes: MAX_BYTES + 1
            })
        );
    }

    #[test]
    fn trailing_bytes_are_refused() {
        assert!(decode::<u8>(&[0x05, 0x05]).is_err());
    }
}
