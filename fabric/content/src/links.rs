//! The links of a block, by its codec.

use crate::{Error, dagpb::Node};
use ipld_core::ipld::Ipld;
use mc_types::{Cid, cid};
use serde_ipld_dagcbor::DecodeError;

/// Multicodecs of other software, beside those that are written here: data without links, and dag-json.
const CBOR: u64 = 0x51;
const JSON: u64 = 0x0200;
const DAG_JSON: u64 = 0x0129;

/// What is followed from a block.
pub type Follow = fn(&Cid, &[u8]) -> Result<Vec<Cid>, Error>;

/// The CIDs of the blocks that a block links to, in order, repetitions included. In place of a CID that contains its
/// block stand the links of that block.
///
/// # Errors
///
/// [`Error::Malformed`] when the block does not have the form that its codec promises, [`Error::UnknownCodec`] when
/// this version does not know the codec.
pub fn of(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, Error> {
    beyond_inline(linked(cid, bytes)?, linked)
}

/// As [`of`], except that a block whose codec is unknown, or which does not have the form of its codec, has no links.
///
/// # Errors
///
/// None, so far.
pub fn as_known(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, Error> {
    let known = |cid: &Cid, bytes: &[u8]| unless_unreadable(linked(cid, bytes));
    beyond_inline(known(cid, bytes)?, known)
}

/// A block whose links cannot be read counts as one without links: both sides see that there is nothing more to send.
///
/// # Errors
///
/// Those that are not about the block.
pub fn unless_unreadable(links: Result<Vec<Cid>, Error>) -> Result<Vec<Cid>, Error> {
    match links {
        Err(Error::UnknownCodec { .. } | Error::Malformed { .. }) => Ok(Vec::new()),
        links => links,
    }
}

/// The CIDs among `cids` that must be fetched. In place of the others stand their links.
///
/// # Errors
///
/// As [`of`].
pub fn to_fetch(cids: Vec<Cid>) -> Result<Vec<Cid>, Error> {
    beyond_inline(cids, linked)
}

/// A block inside a CID has room for one link at most, and only for one to a shorter CID.
pub(crate) fn beyond_inline(cids: Vec<Cid>, follow: Follow) -> Result<Vec<Cid>, Error> {
    if cids.iter().all(|cid| cid::inline(cid).is_none()) {
        return Ok(cids);
    }
    let mut beyond = Vec::with_capacity(cids.len());
    for cid in cids {
        match cid::inline(&cid) {
            None => beyond.push(cid),
            Some(bytes) => beyond.extend(beyond_inline(follow(&cid, bytes)?, follow)?),
        }
    }
    Ok(beyond)
}

/// The CIDs in a block.
fn linked(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, Error> {
    match cid.codec() {
        cid::RAW | CBOR | JSON => Ok(Vec::new()),
        cid::DAG_PB => {
            let node = Node::parse(cid, bytes)?;
            node.links.iter().map(|link| link.cid(cid)).collect()
        }
        _ => {
            let mut links = Vec::new();
            value(cid, bytes)?.references(&mut links);
            Ok(links)
        }
    }
}

/// Structured data. Only names and links matter here.
///
/// # Errors
///
/// [`Error::UnknownCodec`], [`Error::Malformed`].
pub(crate) fn value(cid: &Cid, bytes: &[u8]) -> Result<Ipld, Error> {
    let malformed = |reason: String| Error::Malformed { cid: *cid, reason };
    match cid.codec() {
        cid::DAG_CBOR => serde_ipld_dagcbor::from_slice(bytes).map_err(|e| {
            let reason = match e {
                // Others write such, which dag-cbor does not allow.
                DecodeError::RequireUtf8 { .. } => "a string in it is not UTF-8".to_owned(),
                DecodeError::Eof { .. } | DecodeError::RequireLength { .. } => {
                    "it is cut off".to_owned()
                }
                other => other.to_string(),
            };
            malformed(format!("not dag-cbor: {reason}"))
        }),
        DAG_JSON => {
            let value = serde_json::from_slice(bytes);
            let value = value.map_err(|e| malformed(format!("not dag-json: {e}")))?;
            from_json(value).map_err(|e| malformed(format!("not dag-json: {e}")))
        }
        codec => Err(Error::UnknownCodec { cid: *cid, codec }),
    }
}

/// In dag-json a link is an object of one member, `/`, which is a string.
fn from_json(value: serde_json::Value) -> Result<Ipld, mc_types::cid::ParseError> {
    use serde_json::Value;
    Ok(match value {
        Value::Object(members) => match members.get("/") {
            Some(Value::String(link)) if members.len() == 1 => Ipld::Link(link.parse()?),
            _ => {
                let members = members.into_iter();
                let members =
                    members.map(|(name, value)| from_json(value).map(|value| (name, value)));
                Ipld::Map(members.collect::<Result<_, _>>()?)
            }
        },
        Value::Array(items) => {
            let items = items.into_iter().map(from_json);
            Ipld::List(items.collect::<Result<_, _>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ipld::Null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{TaskSpec, canonical};

    #[test]
    fn what_is_no_dag_cbor_is_refused_in_words() {
        let cases: [(&[u8], &str); 2] = [(b"\x62\xff\xfe", "not UTF-8"), (b"\x62a", "cut off")];
        for (bytes, reason) in cases {
            let cid = cid::of(cid::DAG_CBOR, bytes);
            let refused = of(&cid, bytes).unwrap_err().to_string();
            assert!(refused.contains(reason), "{refused}");
        }
    }

    #[test]
    fn links_of_a_task_are_its_roots() {
        let component = cid::of(cid::RAW, b"component");
        let mut task = TaskSpec::wasm(component);
        task.inputs.insert("a".to_owned(), cid::of(cid::RAW, b"a"));
        let (cid, bytes) = canonical::encode(&task).unwrap();
        let mut links = of(&cid, &bytes).unwrap();
        let mut roots: Vec<_> = task.roots().collect();
        links.sort();
        roots.sort();
        assert_eq!(links, roots);
    }

    #[test]
    fn links_of_dag_json_are_those_of_its_objects() {
        let link = cid::of(cid::RAW, b"a block");
        let text = format!(
            r#"{{"a":[1,{{"/":"{link}"}},"{link}"],"/":{{"/":"{link}"}},"b":{{"/":{{"bytes":"AA"}}}}}}"#
        );
        let of_json = |text: &str| of(&cid::of(DAG_JSON, text.as_bytes()), text.as_bytes());
        assert_eq!(of_json(&text).unwrap(), [link, link]);
        assert!(of_json(r#"{"/":"no link"}"#).is_err());
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(of_json(&deep).is_err());
        // Data without links, and an unknown codec.
        assert_eq!(of(&cid::of(JSON, b"{}"), b"{}").unwrap(), []);
        let unknown = of(&cid::of(0x78, b"blob"), b"blob").unwrap_err();
        assert!(
            matches!(unknown, Error::UnknownCodec { codec: 0x78, .. }),
            "{unknown}"
        );
        assert_eq!(as_known(&cid::of(0x78, b"blob"), b"blob").unwrap(), []);
        for codec in [cid::DAG_PB, cid::DAG_CBOR, DAG_JSON] {
            let junk = cid::of(codec, &[0xff; 8]);
            assert_eq!(as_known(&junk, &[0xff; 8]).unwrap(), [], "{codec:#x}");
        }
    }

    #[test]
    fn malformed_blocks_are_refused_whatever_their_codec() {
        for codec in [cid::DAG_PB, cid::DAG_CBOR, 0x0129] {
            for bytes in [
                &b"\xff\xff\xff\xff"[..],
                b"\x12\x05\x0a\x03abc",
                &[0x9f; 64],
            ] {
                let cid = cid::of(codec, bytes);
                assert!(of(&cid, bytes).is_err(), "{codec:#x} {bytes:?}");
            }
        }
    }

    #[test]
    fn blocks_in_cids_are_gone_through_and_not_asked_for() {
        let raw = cid::of(cid::RAW, b"a block");
        // A map of one link, which stands in a CID of its own.
        let inner = serde_ipld_dagcbor::to_vec(&Ipld::List(vec![Ipld::Link(raw)])).unwrap();
        let inline =
            |codec, bytes: &[u8]| Cid::new_v1(codec, cid::Multihash::wrap(0, bytes).unwrap());
        let hello = inline(cid::RAW, b"hello");
        let inner = inline(cid::DAG_CBOR, &inner);
        let outer = Ipld::List(vec![Ipld::Link(hello), Ipld::Link(inner), Ipld::Link(raw)]);
        let outer = serde_ipld_dagcbor::to_vec(&outer).unwrap();
        let root = cid::of(cid::DAG_CBOR, &outer);
        assert_eq!(of(&root, &outer).unwrap(), [raw, raw]);
        assert_eq!(to_fetch(vec![hello, root, inner]).unwrap(), [root, raw]);
        assert!(to_fetch(vec![inline(0x78, b"{}")]).is_err());
        assert!(to_fetch(vec![inline(cid::DAG_PB, b"junk")]).is_err());
    }

    /// A block may nest as deeply as its size allows; that must not exhaust the stack.
    #[test]
    fn deeply_nested_structures_are_refused_without_overflow() {
        let bytes = vec![0x81; 1 << 20];
        assert!(of(&cid::of(cid::DAG_CBOR, &bytes), &bytes).is_err());
    }
}
