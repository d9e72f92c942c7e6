//! Checks all blocks against their hashes.

use super::{
    Store, blocking,
    engine::{Engine, Found, storage},
    writer::Operation,
};
use crate::Error;
use mc_types::{Cid, cid};
use std::path::PathBuf;

/// After this many blocks, fsck checks whether its caller still waits.
const STEP: usize = 256;

/// What a look at all blocks found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FsckReport {
    /// Blocks that were looked at.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks whose bytes did not match their hash, under the codec of raw bytes. They are no longer in the store.
    pub corrupt: Vec<Cid>,
    /// Pins with blocks that are not there, by name.
    pub incomplete_pins: Vec<String>,
}

impl Store {
    /// Hashes every block. A block that does not match is moved to the directory `quarantine`, so that it can be
    /// fetched again.
    ///
    /// # Errors
    ///
    /// [`Error::Storage`] when the index itself cannot be read, [`Error::DiskFull`].
    pub async fn fsck(&self) -> Result<FsckReport, Error> {
        let mut report = FsckReport::default();
        let mut after: Option<Vec<u8>> = None;
        loop {
            let engine = self.inner.engine.clone();
            let from = after.take();
            let (looked, next) = blocking(move || step(&engine, from)).await?;
            for block in looked {
                report.blocks += 1;
                report.bytes += block.bytes;
                if let Some(content) = block.corrupt {
                    self.quarantine(&block.key, content).await?;
                    report.corrupt.extend(cid_of(&block.key));
                }
            }
            match next {
                Some(key) => after = Some(key),
                None => break,
            }
        }
        for (name, root) in self.pins().await? {
            if !crate::missing(self, root, 1).await?.is_empty() {
                report.incomplete_pins.push(name);
            }
        }
        Ok(report)
    }

    async fn quarantine(&self, key: &[u8], content: Vec<u8>) -> Result<(), Error> {
        let dir = self.inner.path.join("quarantine");
        let name = cid_of(key).map_or_else(|| "unknown".to_owned(), |cid| cid.to_string());
        tracing::warn!(block = name, "a corrupt block is quarantined");
        let write = move |dir: PathBuf| -> std::io::Result<()> {
            std::fs::create_dir_all(&dir)?;
            std::fs::write(dir.join(name), content)
        };
        blocking(move || write(dir).map_err(super::engine::io)).await?;
        let keys = vec![key.to_owned()];
        self.write(|reply| Operation::Remove { keys, reply }).await
    }
}

struct Looked {
    key: Vec<u8>,
    bytes: u64,
    /// What is there instead of the block.
    corrupt: Option<Vec<u8>>,
}

/// Checks some blocks after a key; returns the last key if there are more.
fn step(engine: &Engine, after: Option<Vec<u8>>) -> Result<(Vec<Looked>, Option<Vec<u8>>), Error> {
    let mut looked = Vec::new();
    let begin = after.unwrap_or_default();
    let all = engine.written.range(begin.clone()..);
    for entry in all {
        let (key, _) = entry.into_inner().map_err(storage)?;
        if key[..] == begin[..] {
            continue;
        }
        if let Some(found) = look(engine, &key)? {
            looked.push(found);
        }
        if looked.len() >= STEP {
            return Ok((looked, Some(key.to_vec())));
        }
    }
    Ok((looked, None))
}

fn look(engine: &Engine, key: &[u8]) -> Result<Option<Looked>, Error> {
    let bytes = engine.size(key)?.unwrap_or(0);
    let corrupt = match engine.get(key)? {
        Found::Nothing => return Ok(None),
        Found::Block(block) => (!is_what_it_should_be(key, &block)).then(|| block.to_vec()),
        // The bytes from the disk are doubtful, but there is nothing better to keep.
        Found::Corrupt => Some(raw(engine, key)),
    };
    Ok(Some(Looked {
        key: key.to_owned(),
        bytes,
        corrupt,
    }))
}

/// The bytes at the place of a block, whatever they are.
fn raw(engine: &Engine, key: &[u8]) -> Vec<u8> {
    let place = engine.place(key).ok().flatten();
    let read = place.and_then(|place| engine.packs.read_raw(place).ok());
    read.unwrap_or_default()
}

fn is_what_it_should_be(key: &[u8], bytes: &[u8]) -> bool {
    cid_of(key).is_some_and(|cid| cid::verify(&cid, bytes).is_ok())
}

/// The CID of a block under its key, as if it were bytes alone.
fn cid_of(key: &[u8]) -> Option<Cid> {
    let hash = multihash(key)?;
    Some(Cid::new_v1(cid::RAW, hash))
}

fn multihash(key: &[u8]) -> Option<cid::Multihash> {
    cid::Multihash::from_bytes(key).ok()
}
