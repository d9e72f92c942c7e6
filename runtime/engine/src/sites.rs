//! Where the sites of a program are kept until somebody asks for them.

use mc_checkpoint::Sites;
use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::{Arc, OnceLock},
};

/// Bytes of the length at the end of what is cached.
const LENGTH_BYTES: usize = 8;

/// Sites, or where to read them.
#[derive(Debug)]
pub(crate) struct Source {
    sites: OnceLock<Arc<Sites>>,
    /// A file, and where in it they are. It stays readable when the cache drops it.
    cached: Option<(File, u64, usize)>,
}

impl Source {
    pub(crate) fn new(sites: Sites) -> Self {
        Self {
            sites: OnceLock::from(Arc::new(sites)),
            cached: None,
        }
    }

    /// Finds the sites that were put behind compiled code which ends at `end` of a file. Nothing if the
    /// program has none.
    pub(crate) fn find(file: File, end: u64) -> Option<Self> {
        let start = end.checked_sub(LENGTH_BYTES as u64)?;
        let mut length = [0; LENGTH_BYTES];
        file.read_exact_at(&mut length, start).ok()?;
        let length = u64::from_le_bytes(length);
        let start = start.checked_sub(length)?;
        let length = usize::try_from(length).ok().filter(|length| *length > 0)?;
        Some(Self {
            sites: OnceLock::new(),
            cached: Some((file, start, length)),
        })
    }

    pub(crate) fn get(&self) -> Result<Arc<Sites>, String> {
        if let Some(sites) = self.sites.get() {
            return Ok(Arc::clone(sites));
        }
        let lost = "where the program can be stopped is not known any more";
        let (file, start, length) = self.cached.as_ref().ok_or(lost)?;
        let mut bytes = vec![0; *length];
        let read = file.read_exact_at(&mut bytes, *start);
        read.map_err(|error| error.to_string())?;
        let sites = Sites::from_bytes(&bytes).ok_or(lost)?;
        Ok(Arc::clone(self.sites.get_or_init(|| Arc::new(sites))))
    }
}

/// What is put behind compiled code: the sites, if there are any, and how long that is.
pub(crate) fn tail(sites: Option<&Sites>) -> Vec<u8> {
    let mut bytes = sites.map(Sites::to_bytes).unwrap_or_default();
    let length = u64::try_from(bytes.len()).unwrap_or_default();
    bytes.extend(length.to_le_bytes());
    bytes
}
