//! A part of a file that was written.

use crate::{Stop, Storage};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error as _};
use std::sync::Arc;

/// Bytes of a part of a file, in memory or outside. There may be fewer than it has room for; zeros follow.
#[derive(Debug, Clone)]
pub(super) enum Page {
    /// In memory.
    Held(Vec<u8>),
    /// Elsewhere.
    Stored(Stored),
}

/// A page outside of memory. Its copies share the bytes until one of them is written to.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    place: Arc<StoredPlace>,
    length: usize,
}

/// Where a page is, for as long as somebody needs it.
#[derive(Debug)]
struct StoredPlace {
    storage: Arc<dyn Storage>,
    number: u64,
}

impl Drop for StoredPlace {
    fn drop(&mut self) {
        self.storage.release(self.number);
    }
}

impl StoredPlace {
    fn new(storage: &Arc<dyn Storage>, bytes: &[u8]) -> Result<Arc<Self>, Stop> {
        let place = Self {
            number: storage.allocate()?,
            storage: Arc::clone(storage),
        };
        place.write(0, bytes)?;
        Ok(Arc::new(place))
    }

    fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Stop> {
        self.storage.read(self.number, offset, into)
    }

    fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Stop> {
        self.storage.write(self.number, offset, bytes)
    }
}

impl Stored {
    fn bytes(&self) -> Result<Vec<u8>, Stop> {
        let mut bytes = vec![0; self.length];
        self.place.read(0, &mut bytes)?;
        Ok(bytes)
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Stop> {
        if Arc::strong_count(&self.place) > 1 {
            self.place = StoredPlace::new(&self.place.storage, &self.bytes()?)?;
        }
        if let Some(gap) = offset.checked_sub(self.length).filter(|gap| *gap > 0) {
            self.place.write(self.length, &vec![0; gap])?;
        }
        self.place.write(offset, bytes)?;
        self.length = self.length.max(offset.saturating_add(bytes.len()));
        Ok(())
    }
}

impl Page {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Held(bytes) => bytes.len(),
            Self::Stored(stored) => stored.length,
        }
    }

    /// Copies what there is from `offset` on, and fills up with zeros.
    pub(super) fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), Stop> {
        let length = self.len().saturating_sub(offset).min(into.len());
        let (head, tail) = into.split_at_mut(length);
        match self {
            Self::Held(bytes) => {
                let from = bytes.get(offset..).unwrap_or_default();
                head.copy_from_slice(from.get(..length).unwrap_or_default());
            }
            Self::Stored(_) if head.is_empty() => {}
            Self::Stored(stored) => stored.place.read(offset, head)?,
        }
        tail.fill(0);
        Ok(())
    }

    /// Writes `bytes` at `offset`; they are within the page.
    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Stop> {
        match self {
            Self::Held(held) => {
                let end = offset.saturating_add(bytes.len());
                if held.len() < end {
                    held.resize(end, 0);
                }
                if let Some(part) = held.get_mut(offset..end) {
                    part.copy_from_slice(bytes);
                }
                Ok(())
            }
            Self::Stored(stored) => stored.write(offset, bytes),
        }
    }

    pub(super) fn truncate(&mut self, length: usize) {
        match self {
            Self::Held(bytes) => bytes.truncate(length),
            Self::Stored(stored) => stored.length = stored.length.min(length),
        }
    }

    /// Keeps the bytes outside of memory from now on.
    pub(super) fn store(&mut self, storage: &Arc<dyn Storage>) -> Result<(), Stop> {
        if let Self::Held(bytes) = self {
            let stored = Stored {
                place: StoredPlace::new(storage, bytes)?,
                length: bytes.len(),
            };
            *self = Self::Stored(stored);
        }
        Ok(())
    }
}

/// What cannot be read is equal to nothing.
impl PartialEq for Page {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |page: &Self| match page {
            Self::Held(bytes) => Ok(bytes.clone()),
            Self::Stored(stored) => stored.bytes(),
        };
        match (self, other) {
            (Self::Held(one), Self::Held(other)) => one == other,
            _ => match (bytes(self), bytes(other)) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            },
        }
    }
}

impl Eq for Page {}

/// As its bytes are, wherever they are kept.
impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Held(bytes) => bytes.serialize(serializer),
            Self::Stored(stored) => {
                let bytes = stored.bytes().map_err(S::Error::custom)?;
                bytes.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Page {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::Held)
    }
}
