//! Where a task's standard output and standard error go.

use crate::log::LogFiles;
use mc_content::{AddOptions, BlockSink, Error, Key, TaskKey, unixfs};
use mc_types::Cid;
use std::path::Path;

/// Where a task's standard output and standard error go.
#[derive(Debug, Clone)]
pub enum Streams {
    /// To files, which others may read while they grow.
    Files(LogFiles),
    /// To memory.
    Memory,
    /// To those of this process.
    Inherit,
    /// To those of this process, and to memory.
    Copy,
}

impl Streams {
    /// Adds the output of both streams, encrypted if there is a key. Streams in memory are passed in.
    ///
    /// # Errors
    ///
    /// The sink's, and [`Error::Path`] for files.
    pub async fn add<S: BlockSink>(
        &self,
        (stdout, stderr): (&[u8], &[u8]),
        key: Option<&TaskKey>,
        sink: &S,
    ) -> Result<(Cid, Cid), Error> {
        if let Self::Files(files) = self {
            return files.add(key, sink).await;
        }
        let key = |path| key.map(|key| key.result(path));
        Ok((
            add_bytes(stdout, key(TaskKey::STDOUT), sink).await?,
            add_bytes(stderr, key(TaskKey::STDERR), sink).await?,
        ))
    }
}

impl LogFiles {
    /// Adds what both have, encrypted if there is a key.
    ///
    /// # Errors
    ///
    /// The sink's, and [`Error::Path`].
    pub async fn add<S: BlockSink>(
        &self,
        key: Option<&TaskKey>,
        sink: &S,
    ) -> Result<(Cid, Cid), Error> {
        let key = |path| key.map(|key| key.result(path));
        Ok((
            add_file(&self.stdout, key(TaskKey::STDOUT), sink).await?,
            add_file(&self.stderr, key(TaskKey::STDERR), sink).await?,
        ))
    }
}

fn options(key: Option<Key>) -> AddOptions {
    AddOptions {
        key,
        ..AddOptions::default()
    }
}

async fn add_bytes<S: BlockSink>(bytes: &[u8], key: Option<Key>, sink: &S) -> Result<Cid, Error> {
    let added = unixfs::add_reader(bytes, sink, &options(key)).await?;
    Ok(added.cid)
}

/// Adds the output in a file. Returns none if the output is empty.
async fn add_file<S: BlockSink>(path: &Path, key: Option<Key>, sink: &S) -> Result<Cid, Error> {
    let added = if path.exists() {
        unixfs::add_path(path, sink, &options(key)).await?
    } else {
        unixfs::add_reader(tokio::io::empty(), sink, &options(key)).await?
    };
    Ok(added.cid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_content::{CountingSink, MemoryBlocks};

    #[tokio::test]
    async fn what_was_written_is_the_same_content_wherever_it_went() {
        let dir = tempfile::tempdir().unwrap();
        let files = LogFiles::within(dir.path());
        std::fs::write(&files.stdout, "text").unwrap();
        let sink = CountingSink::default();
        let of_files = Streams::Files(files).add((b"", b""), None, &sink).await;
        let of_memory = Streams::Memory.add((b"text", b""), None, &sink).await;
        assert_eq!(of_files.unwrap(), of_memory.unwrap());
        let (key, blocks) = (TaskKey::generate(), MemoryBlocks::default());
        let streams = Streams::Memory;
        let sealed = streams.add((b"text", b""), Some(&key), &blocks).await;
        let (stdout, _) = sealed.unwrap();
        let entity = (stdout, Some(key.result(TaskKey::STDOUT)));
        let read = unixfs::read_to_vec(&blocks, entity, 64).await.unwrap();
        assert_eq!(read, b"text");
    }
}
