//! Where a guest's standard output and error go.

use crate::invocation::Output;
use std::{fs::File, io::Write, path::PathBuf};

/// Takes what a guest writes, at once, so that others can read along.
#[derive(Debug)]
pub(crate) enum Sink {
    File(File),
    /// A file that is made when the first byte is written: most guests write to one stream at most.
    Unmade(PathBuf),
    Stdout,
    Stderr,
    Memory(Vec<u8>),
    /// What was written to a stream of the process as well.
    Copy(Box<Self>, Vec<u8>),
}

impl Sink {
    /// The sink of `output`, which stands for standard output unless `stderr` is set.
    pub(crate) fn open(output: &Output, stderr: bool) -> std::io::Result<Self> {
        Ok(match output {
            Output::Inherit if stderr => Self::Stderr,
            Output::Inherit => Self::Stdout,
            Output::File(path) => Self::Unmade(path.clone()),
            Output::Append(path) => {
                Self::File(File::options().create(true).append(true).open(path)?)
            }
            Output::Copy => {
                let stream = Self::open(&Output::Inherit, stderr)?;
                Self::Copy(Box::new(stream), Vec::new())
            }
            Output::Memory => Self::Memory(Vec::new()),
        })
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self {
            Self::File(file) => file.write_all(bytes),
            Self::Unmade(path) => {
                if let Some(dir) = path.parent() {
                    std::fs::create_dir_all(dir)?;
                }
                let mut file = File::create(path)?;
                file.write_all(bytes)?;
                *self = Self::File(file);
                Ok(())
            }
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Self::Stderr => std::io::stderr().lock().write_all(bytes),
            Self::Copy(stream, memory) => {
                stream.write_all(bytes)?;
                memory.extend_from_slice(bytes);
                Ok(())
            }
            Self::Memory(memory) => {
                memory.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// What has been kept in memory so far.
    pub(crate) const fn bytes(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) | Self::Copy(_, bytes) => bytes.as_slice(),
            Self::File(_) | Self::Unmade(_) | Self::Stdout | Self::Stderr => &[],
        }
    }

    /// What was kept in memory.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Memory(bytes) | Self::Copy(_, bytes) => bytes,
            Self::File(_) | Self::Unmade(_) | Self::Stdout | Self::Stderr => Vec::new(),
        }
    }
}
