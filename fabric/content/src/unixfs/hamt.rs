//! Directories in shards: a trie over the hashes of names (HAMT).
//!
//! Format: <https://specs.ipfs.tech/unixfs/>, "HAMT". A name's hash is the first half of its murmur3-x64-128,
//! most significant bits first; each level of the trie takes as many of them as number its links. A link's
//! name is its number in hexadecimal, and for an entry the entry's name after that.

use super::{Entity, entity::key_below, name};
use crate::{
    Error, Key,
    dagpb::{HAMT_SHARD, Link, Node, UnixFs},
};
use mc_types::Cid;
use prost::Message;
use std::collections::BTreeMap;

/// Murmur3-x64-64, as the multicodec table numbers it.
const HASH: u64 = 0x22;
/// The number of links per shard, here and by default in other implementations.
const FANOUT: u64 = 256;
/// A directory with more bytes of names and CIDs than this is sharded.
const SHARD_ABOVE_BYTES: usize = 256 << 10;
/// The widest shard that is read.
const MAX_FANOUT: u64 = 1024;
/// Bits of a hash.
const HASH_BITS: u32 = 64;

/// The hash by which a name is found.
fn hash(name: &str) -> u64 {
    // Reading from memory cannot fail.
    let hash = murmur3::murmur3_x64_128(&mut name.as_bytes(), 0).unwrap_or_default();
    u64::try_from(hash & u128::from(u64::MAX)).unwrap_or_default()
}

/// Whether a directory with these links must be sharded. The Go and JavaScript implementations decide equally.
pub(super) fn is_needed(links: &[Link]) -> bool {
    let bytes = |link: &Link| link.hash.len() + link.name.as_ref().map_or(0, String::len);
    links.iter().map(bytes).sum::<usize>() > SHARD_ABOVE_BYTES
}

/// What a link of a shard leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Child {
    /// An entry of the directory.
    Entry(String, Cid),
    /// A shard of the next level, and its number in this one.
    Shard(u64, Cid),
}

/// A shard that was read.
#[derive(Debug, Clone)]
pub(super) struct Shard {
    bits: u32,
    /// How many bits of the hash the levels above take.
    depth_bits: u32,
    /// The bits that all names here have in common, those of the root first.
    prefix: u64,
    pub(super) children: Vec<Child>,
    /// The directory's.
    pub(super) key: Option<Key>,
}

impl Shard {
    /// Understands a node as the shard that `above` has as its child `number`, or as the root of a directory
    /// with this key.
    pub(super) fn parse(
        cid: &Cid,
        node: &Node,
        unixfs: &UnixFs,
        above: Result<(&Self, u64), Option<&Key>>,
    ) -> Result<Self, Error> {
        let malformed = |reason: String| Error::Malformed { cid: *cid, reason };
        let bits = bits(cid, unixfs)?;
        let fanout = 1 << bits;
        let (depth_bits, prefix, key) = match above {
            Ok((above, number)) => (
                above.depth_bits + above.bits,
                above.prefix << above.bits | number,
                above.key.clone(),
            ),
            Err(key) => (0, 0, key.cloned()),
        };
        if depth_bits + bits > HASH_BITS || above.is_ok_and(|(above, _)| above.bits != bits) {
            return Err(malformed("a shard where there can be none".to_owned()));
        }
        let mut shard = Self {
            bits,
            depth_bits,
            prefix,
            children: Vec::with_capacity(node.links.len()),
            key,
        };
        let mut last = None;
        for link in &node.links {
            let (number, child) = shard.child(cid, link)?;
            // Several entries of one number would be in a shard below.
            if last.is_some_and(|last| last >= number) || number >= fanout {
                return Err(malformed(
                    "the links of a shard are out of order".to_owned(),
                ));
            }
            last = Some(number);
            shard.children.push(child);
        }
        Ok(shard)
    }

    fn child(&self, cid: &Cid, link: &Link) -> Result<(u64, Child), Error> {
        let malformed = |reason: String| Error::Malformed { cid: *cid, reason };
        let text = link.name.as_deref().unwrap_or_default();
        let width = digits(self.bits);
        let number = text
            .get(..width)
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let number = number.ok_or_else(|| malformed(format!("{text:?} is no link of a shard")))?;
        let target = link.cid(cid)?;
        let name = text.get(width..).unwrap_or_default();
        if name.is_empty() {
            return Ok((number, Child::Shard(number, target)));
        }
        // Shards go by the names that stand in them.
        if self.number(name) != number || !self.covers(name) {
            return Err(malformed(format!(
                "{name:?} is in a shard that is not its own"
            )));
        }
        let name = name::opened(cid, name, self.key.as_ref())?;
        Ok((number, Child::Entry(name, target)))
    }

    /// The number that a name has in this shard.
    fn number(&self, name: &str) -> u64 {
        let below = HASH_BITS - self.depth_bits - self.bits;
        hash(name) >> below & ((1 << self.bits) - 1)
    }

    /// Whether a name belongs below this shard.
    fn covers(&self, name: &str) -> bool {
        self.depth_bits == 0 || hash(name) >> (HASH_BITS - self.depth_bits) == self.prefix
    }

    /// An entry of the directory.
    pub(super) fn entry(&self, name: &str, cid: Cid) -> Entity {
        (cid, key_below(self.key.as_ref(), name)).into()
    }

    /// Where an entry is to be looked for.
    pub(super) fn look(&self, name: &str) -> Option<&Child> {
        let sealed = self.key.as_ref().map(|key| key.seal_name(name));
        let number = self.number(sealed.as_deref().unwrap_or(name));
        self.children.iter().find(|child| match child {
            Child::Entry(entry, _) => entry == name,
            Child::Shard(shard, _) => *shard == number,
        })
    }
}

/// How many bits of a hash a shard takes.
fn bits(cid: &Cid, unixfs: &UnixFs) -> Result<u32, Error> {
    let fanout = unixfs.fanout.unwrap_or_default();
    let is_known = unixfs.hash_type == Some(HASH) && fanout.is_power_of_two();
    if !is_known || !(8..=MAX_FANOUT).contains(&fanout) {
        let reason = "a shard of an unknown form".to_owned();
        return Err(Error::Malformed { cid: *cid, reason });
    }
    Ok(fanout.trailing_zeros())
}

/// How long the names of links are that lead from a shard to others.
pub(super) fn width(cid: &Cid, unixfs: &UnixFs) -> Result<usize, Error> {
    bits(cid, unixfs).map(digits)
}

fn digits(bits: u32) -> usize {
    usize::try_from(bits.div_ceil(4)).unwrap_or_default()
}

/// The content of the shards of a directory, before they become blocks.
#[derive(Debug)]
pub(super) enum Tree {
    Entry(Link),
    Shard(BTreeMap<u64, Tree>),
}

/// Sorts the entries of a directory into shards.
///
/// # Errors
///
/// The name of an entry that cannot be told from another one by its hash.
pub(super) fn tree(links: Vec<Link>) -> Result<BTreeMap<u64, Tree>, String> {
    let hashed = links.into_iter().map(|link| {
        let hash = hash(link.name.as_deref().unwrap_or_default());
        (hash, link)
    });
    level(hashed.collect(), HASH_BITS)
}

fn level(links: Vec<(u64, Link)>, bits_left: u32) -> Result<BTreeMap<u64, Tree>, String> {
    let bits = FANOUT.trailing_zeros();
    let Some(below) = bits_left.checked_sub(bits) else {
        let link = links.into_iter().next().map(|(_, link)| link);
        return Err(link.and_then(|link| link.name).unwrap_or_default());
    };
    let mut by_number: BTreeMap<u64, Vec<(u64, Link)>> = BTreeMap::new();
    for (hash, link) in links {
        let number = hash >> below & (FANOUT - 1);
        by_number.entry(number).or_default().push((hash, link));
    }
    let child = |(number, mut links): (u64, Vec<(u64, Link)>)| {
        let tree = match links.pop() {
            Some((_, link)) if links.is_empty() => Tree::Entry(link),
            Some(last) => {
                links.push(last);
                Tree::Shard(level(links, below)?)
            }
            None => Tree::Shard(BTreeMap::new()),
        };
        Ok((number, tree))
    };
    by_number.into_iter().map(child).collect()
}

/// The node of a shard with these links, whose names are still without numbers.
pub(super) fn node(links: BTreeMap<u64, Link>, mode: Option<u32>) -> Node {
    let mut field = [0_u8; 32];
    for number in links.keys() {
        let place = usize::try_from(number / 8).unwrap_or_default();
        if let Some(byte) = field.iter_mut().rev().nth(place) {
            *byte |= 1 << (number % 8);
        }
    }
    let leading = field.iter().take_while(|byte| **byte == 0).count();
    let data = UnixFs {
        kind: HAMT_SHARD,
        data: field.get(leading..).map(<[u8]>::to_vec),
        hash_type: Some(HASH),
        fanout: Some(FANOUT),
        mode,
        ..UnixFs::default()
    };
    let width = digits(FANOUT.trailing_zeros());
    let named = |(number, link): (u64, Link)| Link {
        name: Some(format!(
            "{number:0width$X}{}",
            link.name.unwrap_or_default()
        )),
        ..link
    };
    Node {
        data: Some(data.encode_to_vec()),
        links: links.into_iter().map(named).collect(),
    }
}
