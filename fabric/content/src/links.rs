//! The links of a block, by its codec.

use crate::{Error, dagpb::Node};
use ipld_core::ipld::Ipld;
use mc_types::{Cid, cid};

/// The CIDs that the block links to, in order, repetitions included.
///
/// # Errors
///
/// [`Error::Malformed`] when the block does not have the form that its codec promises, or when the
/// codec is none of raw, dag-pb and dag-cbor.
pub fn of(cid: &Cid, bytes: &[u8]) -> Result<Vec<Cid>, Error> {
    match cid.codec() {
        cid::RAW => Ok(Vec::new()),
        cid::DAG_PB => {
            let node = Node::parse(cid, bytes)?;
            node.links.iter().map(|link| link.cid(cid)).collect()
        }
        cid::DAG_CBOR => {
            let malformed = |e: serde_ipld_dagcbor::DecodeError<_>| Error::Malformed {
                cid: *cid,
                reason: format!("not dag-cbor: {e}"),
            };
            let value: Ipld = serde_ipld_dagcbor::from_slice(bytes).map_err(malformed)?;
            let mut links = Vec::new();
            value.references(&mut links);
            Ok(links)
        }
        codec => Err(Error::Malformed {
            cid: *cid,
            reason: format!("unknown codec {codec:#x}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{TaskSpec, canonical};

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

    /// A block may nest as deeply as its size allows; that must not exhaust the stack.
    #[test]
    fn deeply_nested_structures_are_refused_without_overflow() {
        let bytes = vec![0x81; 1 << 20];
        assert!(of(&cid::of(cid::DAG_CBOR, &bytes), &bytes).is_err());
    }
}
