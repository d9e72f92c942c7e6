//! What a running attempt has written so far.

use bytes::Bytes;
use mc_types::{Lease, LogStream};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

/// Most bytes of one answer; the coordinator asks again for more.
const MAX_READ_BYTES: u64 = 64 << 10;

/// The files that take the standard output and standard error of one attempt.
#[derive(Debug, Clone)]
pub(super) struct LogFiles {
    pub(super) stdout: PathBuf,
    pub(super) stderr: PathBuf,
}

impl LogFiles {
    /// The files of the attempt that `lease` grants, inside its scratch directory.
    pub(super) fn new(scratch: &Path, lease: &Lease) -> Self {
        Self::within(&scratch.join(format!("{}-{}", lease.job, lease.token)))
    }

    /// The files of the attempt whose directory this is.
    pub(super) fn within(dir: &Path) -> Self {
        Self {
            stdout: dir.join("stdout"),
            stderr: dir.join("stderr"),
        }
    }

    /// Bytes that are in both.
    pub(super) async fn bytes(&self) -> u64 {
        let mut bytes = 0_u64;
        for path in [&self.stdout, &self.stderr] {
            // Most attempts never write to one of them.
            let file = tokio::fs::metadata(path).await;
            bytes = bytes.saturating_add(file.map_or(0, |file| file.len()));
        }
        bytes
    }

    /// At most [`MAX_READ_BYTES`] from `offset` on; none when nothing is there yet.
    pub(super) async fn read(&self, stream: LogStream, offset: u64) -> std::io::Result<Bytes> {
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
