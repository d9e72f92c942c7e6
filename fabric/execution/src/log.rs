//! What a running attempt has written so far.

use bytes::Bytes;
use mc_types::LogStream;
use std::{
    fs::{DirBuilder, File},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// The most bytes of one answer; the coordinator asks again for more.
const MAX_READ_BYTES: u64 = 64 << 10;

/// The files that take the standard output and standard error of one attempt.
#[derive(Debug, Clone)]
pub struct LogFiles {
    /// Of standard output.
    pub stdout: PathBuf,
    /// Of standard error.
    pub stderr: PathBuf,
}

impl LogFiles {
    /// The files of the attempt whose directory this is.
    #[must_use]
    pub fn within(dir: &Path) -> Self {
        Self {
            stdout: dir.join("stdout"),
            stderr: dir.join("stderr"),
        }
    }

    /// Makes both empty, in a directory that only its owner can enter.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub fn create(&self) -> std::io::Result<[File; 2]> {
        if let Some(dir) = self.stdout.parent() {
            let mut private = DirBuilder::new();
            private.recursive(true).mode(0o700).create(dir)?;
        }
        Ok([File::create(&self.stdout)?, File::create(&self.stderr)?])
    }

    /// Bytes that are in both.
    pub async fn bytes(&self) -> u64 {
        let mut bytes = 0_u64;
        for path in [&self.stdout, &self.stderr] {
            // Most attempts never write to one of them.
            let file = tokio::fs::metadata(path).await;
            bytes = bytes.saturating_add(file.map_or(0, |file| file.len()));
        }
        bytes
    }

    /// At most 64 KiB from `offset` on; empty when nothing is there yet. The caller asks again for more.
    ///
    /// # Errors
    ///
    /// The file system's.
    pub async fn read(&self, stream: LogStream, offset: u64) -> std::io::Result<Bytes> {
        let path = match stream {
            LogStream::Stdout => &self.stdout,
            LogStream::Stderr => &self.stderr,
        };
        let mut file = match tokio::fs::File::open(path).await {
            Ok(file) => file,
            // The attempt still fetches its inputs.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Bytes::new()),
            Err(e) => return Err(e),
        };
        file.seek(std::io::SeekFrom::Start(offset)).await?;
        let mut bytes = Vec::new();
        file.take(MAX_READ_BYTES).read_to_end(&mut bytes).await?;
        Ok(bytes.into())
    }
}
