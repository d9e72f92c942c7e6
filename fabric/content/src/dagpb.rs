//! The dag-pb and UnixFS messages, as far as files, directories and symbolic links need them.
//!
//! Formats: <https://ipld.io/specs/codecs/dag-pb/spec/>, <https://specs.ipfs.tech/unixfs/>.

use crate::Error;
use mc_types::Cid;
use prost::Message;

/// A dag-pb node.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Node {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(crate) data: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) links: Vec<Link>,
}

/// A link of a dag-pb node.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Link {
    #[prost(bytes = "vec", tag = "1")]
    pub(crate) hash: Vec<u8>,
    #[prost(string, optional, tag = "2")]
    pub(crate) name: Option<String>,
    /// Bytes of the whole DAG below, including this link's target.
    #[prost(uint64, optional, tag = "3")]
    pub(crate) total_bytes: Option<u64>,
}

/// The data of a UnixFS node.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct UnixFs {
    #[prost(int32, tag = "1")]
    pub(crate) kind: i32,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(crate) data: Option<Vec<u8>>,
    #[prost(uint64, optional, tag = "3")]
    pub(crate) file_bytes: Option<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "4")]
    pub(crate) block_bytes: Vec<u64>,
    /// Of a shard: how names are hashed, by multicodec.
    #[prost(uint64, optional, tag = "5")]
    pub(crate) hash_type: Option<u64>,
    /// Of a shard: how many links it may have.
    #[prost(uint64, optional, tag = "6")]
    pub(crate) fanout: Option<u64>,
    /// Permissions, as `st_mode` has them.
    #[prost(uint32, optional, tag = "7")]
    pub(crate) mode: Option<u32>,
}

/// UnixFS kinds.
pub(crate) const RAW: i32 = 0;
pub(crate) const DIRECTORY: i32 = 1;
pub(crate) const FILE: i32 = 2;
pub(crate) const SYMLINK: i32 = 4;
pub(crate) const HAMT_SHARD: i32 = 5;

impl Node {
    /// Parses a node.
    pub(crate) fn parse(cid: &Cid, bytes: &[u8]) -> Result<Self, Error> {
        Self::decode(bytes).map_err(|e| Error::Malformed {
            cid: *cid,
            reason: format!("not dag-pb: {e}"),
        })
    }

    /// The canonical bytes: links before data, although their field number is higher.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let links = Self {
            data: None,
            links: self.links.clone(),
        };
        let data = Self {
            data: self.data.clone(),
            links: Vec::new(),
        };
        let mut bytes = links.encode_to_vec();
        bytes.extend(data.encode_to_vec());
        bytes
    }

    /// The UnixFS message in the node.
    pub(crate) fn unixfs(&self, cid: &Cid) -> Result<UnixFs, Error> {
        let malformed = |reason: String| Error::Malformed { cid: *cid, reason };
        let data = self
            .data
            .as_deref()
            .ok_or_else(|| malformed("no UnixFS data".to_owned()))?;
        UnixFs::decode(data).map_err(|e| malformed(format!("not UnixFS: {e}")))
    }
}

impl Link {
    /// The CID that the link of `parent` names.
    pub(crate) fn cid(&self, parent: &Cid) -> Result<Cid, Error> {
        Cid::try_from(self.hash.as_slice()).map_err(|e| Error::Malformed {
            cid: *parent,
            reason: format!("a link is not a CID: {e}"),
        })
    }
}
