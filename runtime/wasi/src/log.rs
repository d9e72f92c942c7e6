//! The standard output streams.

use crate::{Result, Stop};
use mc_types::LogStream;
use serde::{Deserialize, Serialize};

/// An append-only log. The host takes its bytes out and delivers them; the guest's calls never do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Log {
    /// Bytes that were ever written.
    written: u64,
    /// Those that were not taken yet.
    pending: Vec<u8>,
}

impl Log {
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.written = self
            .written
            .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        self.pending.extend_from_slice(bytes);
    }

    pub(crate) const fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// What was written since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pending)
    }
}

/// Both logs, which share a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Logs {
    pub(crate) stdout: Log,
    pub(crate) stderr: Log,
    max_bytes: u64,
}

impl Logs {
    pub(crate) fn new(max_bytes: u64) -> Self {
        Self {
            stdout: Log::default(),
            stderr: Log::default(),
            max_bytes,
        }
    }

    /// Whether these have the limit of `other`, and keep it.
    pub(crate) const fn is_within(&self, other: &Self) -> bool {
        let written = self.stdout.written.checked_add(self.stderr.written);
        self.max_bytes == other.max_bytes
            && matches!(written, Some(written) if written <= self.max_bytes)
    }

    /// Appends all of `bytes`, or as many as the limit allows and then stops the guest.
    pub(crate) fn append(&mut self, stream: LogStream, bytes: &[u8]) -> Result<(), Stop> {
        let used = self.stdout.written().saturating_add(self.stderr.written());
        let left = usize::try_from(self.max_bytes.saturating_sub(used)).unwrap_or(usize::MAX);
        let log = match stream {
            LogStream::Stdout => &mut self.stdout,
            LogStream::Stderr => &mut self.stderr,
        };
        match bytes.get(..left) {
            Some(fits) if fits.len() < bytes.len() => {
                log.append(fits);
                Err(Stop::OutputLimit)
            }
            _ => {
                log.append(bytes);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_shared_and_what_fits_is_kept() {
        let mut logs = Logs::new(5);
        logs.append(LogStream::Stderr, b"ab").unwrap();
        logs.append(LogStream::Stdout, b"cde").unwrap();
        assert_eq!(logs.append(LogStream::Stdout, b""), Ok(()));
        assert_eq!(logs.append(LogStream::Stdout, b"f"), Err(Stop::OutputLimit));
        let mut logs = Logs::new(5);
        assert_eq!(
            logs.append(LogStream::Stdout, b"abcdefgh"),
            Err(Stop::OutputLimit)
        );
        assert_eq!(logs.stdout.take(), b"abcde");
    }

    #[test]
    fn checkpoints_have_streams_as_numbers() {
        for (number, stream) in [(0_u8, LogStream::Stdout), (1, LogStream::Stderr)] {
            assert_eq!(postcard::to_allocvec(&stream).unwrap(), [number]);
        }
    }
}
