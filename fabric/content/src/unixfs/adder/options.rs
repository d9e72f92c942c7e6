//! How files become blocks, and what is left out.

use crate::{Error, limits::CHUNK_BYTES, seal::Key};
use mc_types::{cid, with_causes};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

/// How symbolic links inside a directory are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Symlinks {
    /// As links.
    #[default]
    Keep,
    /// As their targets.
    Follow,
    /// Not at all: the whole is refused.
    Refuse,
}

/// What was left out because it could not be read, and why.
#[derive(Debug, Clone, Default)]
pub struct Skipped(Arc<Mutex<BTreeMap<PathBuf, String>>>);

impl Skipped {
    /// Records an entry that is left out. `None` for an error that concerns more than one entry.
    fn note(&self, error: &Error) -> Option<()> {
        let (Error::Path { path, .. } | Error::Unsupported { path, .. }) = error else {
            return None;
        };
        let mut skipped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        skipped.insert(path.clone(), with_causes(error));
        Some(())
    }

    /// What was left out so far: each with its path and the reason.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        let mut skipped = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *skipped).into_values().collect()
    }
}

/// How files become blocks. The defaults are those that every node uses: other values give other CIDs.
#[derive(Debug, Clone)]
pub struct AddOptions {
    /// Bytes of a leaf: from 1 KiB to 1 MiB.
    pub chunk_bytes: usize,
    /// The version of CIDs: 0 or 1. Version 0 wraps leaves in nodes, unless `raw_leaves` says otherwise.
    pub cid_version: cid::Version,
    /// Whether leaves are bytes and nothing else; by default those of version 1 are.
    pub raw_leaves: Option<bool>,
    /// Whether permissions are kept. By default they are not, so that the same content has the same CID on
    /// every machine.
    pub modes: bool,
    /// How symbolic links are added.
    pub symlinks: Symlinks,
    /// Leaves out entries that cannot be read, and records them; otherwise such an entry fails the whole.
    pub skipped: Option<Skipped>,
    /// Leaves out entries that no guest sees: those that are neither file, directory nor link; names and link targets
    /// that are not UTF-8; and changes in transit into a directory of the user.
    pub for_guests: bool,
    /// Encrypts everything. Leaves are then of the usual size, whatever `chunk_bytes` says.
    pub key: Option<Key>,
}

impl Default for AddOptions {
    fn default() -> Self {
        Self {
            chunk_bytes: CHUNK_BYTES,
            cid_version: cid::Version::V1,
            raw_leaves: None,
            modes: false,
            symlinks: Symlinks::default(),
            skipped: None,
            for_guests: false,
            key: None,
        }
    }
}

/// Why an entry that guests do not see cannot be added.
pub(in crate::unixfs) const NO_FILE: &str = "neither a file nor a directory";
pub(in crate::unixfs) const NAME_NOT_UTF8: &str = "its name is not UTF-8";
pub(in crate::unixfs) const TARGET_NOT_UTF8: &str = "the target of the symbolic link is not UTF-8";

impl AddOptions {
    /// Continues without an entry that cannot be added, if the options allow it.
    pub(in crate::unixfs) fn leave_out(&self, error: Error) -> Result<(), Error> {
        if let Error::Unsupported { reason, .. } = &error
            && self.for_guests
            && [NO_FILE, NAME_NOT_UTF8, TARGET_NOT_UTF8].contains(reason)
        {
            return Ok(());
        }
        let noted = self.skipped.as_ref();
        noted.and_then(|skipped| skipped.note(&error)).ok_or(error)
    }
}
