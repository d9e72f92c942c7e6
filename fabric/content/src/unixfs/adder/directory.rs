//! Adding directories and symbolic links.

use super::{Added, Adder};
use crate::{
    BlockSink, Error,
    dagpb::{DIRECTORY, Link, Node, SYMLINK, UnixFs},
    seal::{Key, SealContext},
    unixfs::hamt::{self, Tree},
};
use mc_types::Cid;
use prost::Message;
use std::{collections::BTreeMap, future::Future, path::Path, pin::Pin};

type BoxedShard<'f> = Pin<Box<dyn Future<Output = Result<(Cid, u64), Error>> + Send + 'f>>;

impl<S: BlockSink> Adder<'_, S> {
    /// Adds a directory of entries that were added before, in the order of the bytes of their names. A
    /// large one is sharded. If there is a key, the names are encrypted, and the entries have to be, with the
    /// keys that [`Key::below`] gives for their names.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`] for names that cannot be told apart, or the sink's.
    pub async fn directory(
        &mut self,
        entries: Vec<(String, Added)>,
        key: Option<&Key>,
        path: &Path,
    ) -> Result<Added, Error> {
        self.directory_with(entries, (None, key), path).await
    }

    pub(in crate::unixfs) async fn directory_with(
        &mut self,
        entries: Vec<(String, Added)>,
        (mode, key): (Option<u32>, Option<&Key>),
        path: &Path,
    ) -> Result<Added, Error> {
        let file_bytes = entries.iter().map(|(_, added)| added.file_bytes).sum();
        let link = |(name, added): (String, Added)| Link {
            hash: added.cid.to_bytes(),
            name: Some(key.map_or_else(|| name.clone(), |key| key.seal_name(&name))),
            total_bytes: Some(added.total_bytes),
        };
        let mut links: Vec<_> = entries.into_iter().map(link).collect();
        if key.is_some() {
            links.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        }
        let (cid, total_bytes) = if hamt::is_needed(&links) {
            let tree = hamt::tree(links).map_err(|_| Error::Unsupported {
                path: path.to_owned(),
                reason: "two of its names have the same hash",
            })?;
            self.shard(tree, mode).await?
        } else {
            let data = UnixFs {
                kind: DIRECTORY,
                mode,
                ..UnixFs::default()
            };
            let data = Some(data.encode_to_vec());
            self.node(&Node { data, links }).await?
        };
        Ok(Added {
            cid,
            total_bytes,
            file_bytes,
        })
    }

    /// Adds the shards of a directory, the lowest first.
    fn shard<'f>(&'f mut self, tree: BTreeMap<u64, Tree>, mode: Option<u32>) -> BoxedShard<'f> {
        Box::pin(async move {
            let mut links = BTreeMap::new();
            for (number, child) in tree {
                let link = match child {
                    Tree::Entry(link) => link,
                    Tree::Shard(below) => {
                        let (cid, total_bytes) = self.shard(below, None).await?;
                        Link {
                            hash: cid.to_bytes(),
                            name: None,
                            total_bytes: Some(total_bytes),
                        }
                    }
                };
                links.insert(number, link);
            }
            self.node(&hamt::node(links, mode)).await
        })
    }

    /// Adds a symbolic link, whose target is encrypted if there is a key.
    ///
    /// # Errors
    ///
    /// The sink's.
    pub async fn symlink(&mut self, target: String, key: Option<&Key>) -> Result<Added, Error> {
        let target = match key {
            None => target.into_bytes(),
            Some(key) => key.cipher().seal(SealContext::Target, target.as_bytes()),
        };
        let data = UnixFs {
            kind: SYMLINK,
            data: Some(target),
            ..UnixFs::default()
        };
        let node = Node {
            data: Some(data.encode_to_vec()),
            links: Vec::new(),
        };
        let (cid, total_bytes) = self.node(&node).await?;
        Ok(Added {
            cid,
            total_bytes,
            file_bytes: 0,
        })
    }
}
