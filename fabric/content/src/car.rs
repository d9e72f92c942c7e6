//! CAR version 1: a header and then blocks, each with its CID.
//!
//! Format: <https://ipld.io/specs/transport/car/carv1/>. The list of roots may be empty here, since a writer that
//! streams a DAG bottom-up learns its root last. Version 2, which other software writes into files, is read too. It is
//! version 1 with an index and more around it, which the reader skips (<https://ipld.io/specs/transport/car/carv2/>).

mod reader;

pub use reader::Reader;

use crate::Block;
use bytes::{Bytes, BytesMut};
use ipld_core::ipld::Ipld;
use mc_types::Cid;
use std::collections::BTreeMap;

/// Most bytes of a section's length.
const MAX_VARINT_BYTES: usize = 10;

/// The header of a CAR with `roots`.
#[must_use]
pub fn header(roots: &[Cid]) -> Bytes {
    let header = BTreeMap::from([
        (
            "roots".to_owned(),
            Ipld::List(roots.iter().copied().map(Ipld::Link).collect()),
        ),
        ("version".to_owned(), Ipld::Integer(1)),
    ]);
    // A map of a list of links and an integer always has an encoding.
    let header = serde_ipld_dagcbor::to_vec(&header).unwrap_or_default();
    let mut bytes = BytesMut::new();
    put_length(&mut bytes, header.len());
    bytes.extend_from_slice(&header);
    bytes.freeze()
}

/// The section of one block: its length and its CID, and then its bytes, which are not copied.
#[must_use]
pub fn section(block: &Block) -> [Bytes; 2] {
    section_of(block.cid(), block.bytes().clone())
}

/// The section of the block that `cid` names, with its bytes: readers verify them.
#[must_use]
pub fn section_of(cid: &Cid, bytes: Bytes) -> [Bytes; 2] {
    let cid = cid.to_bytes();
    let mut head = BytesMut::with_capacity(MAX_VARINT_BYTES + cid.len());
    put_length(&mut head, cid.len() + bytes.len());
    head.extend_from_slice(&cid);
    [head.freeze(), bytes]
}

fn put_length(bytes: &mut BytesMut, length: usize) {
    let mut buffer = unsigned_varint::encode::usize_buffer();
    bytes.extend_from_slice(unsigned_varint::encode::usize(length, &mut buffer));
}

#[cfg(test)]
mod tests;
