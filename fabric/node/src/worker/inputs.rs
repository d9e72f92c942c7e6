//! Making a task's inputs ready as files of the host.

use crate::content::Source;
use mc_content::{Error, unixfs};
use mc_types::TaskSpec;
use std::path::{Path, PathBuf};

/// Most bytes of all inputs of one task on disk.
const MAX_INPUT_BYTES: u64 = 1 << 40;

/// The files of an attempt, below its scratch directory.
#[derive(Debug)]
pub(super) struct Files {
    /// What the guest sees as `/in`.
    pub(super) inputs: PathBuf,
    /// What the guest sees as `/out`.
    pub(super) outputs: PathBuf,
    /// What the guest reads as standard input, if anything.
    pub(super) stdin: Option<PathBuf>,
}

/// Writes the inputs of `task`, fetching what is missing.
pub(super) async fn prepare(source: &Source, task: &TaskSpec, dir: &Path) -> Result<Files, Error> {
    let files = Files {
        inputs: dir.join("in"),
        outputs: dir.join("out"),
        stdin: task.stdin.map(|_| dir.join("stdin")),
    };
    for dir in [&files.inputs, &files.outputs] {
        let created = tokio::fs::create_dir(dir).await;
        created.map_err(|source| Error::Path {
            path: dir.clone(),
            source,
        })?;
    }
    let mut left = MAX_INPUT_BYTES;
    for (name, cid) in &task.inputs {
        left -= unixfs::export(source, *cid, &files.inputs.join(name), left).await?;
    }
    if let (Some(cid), Some(path)) = (task.stdin, &files.stdin) {
        unixfs::export(source, cid, path, left).await?;
    }
    Ok(files)
}
