//! What the guest holds.

use crate::{Errno, NodeId, Result, Stop, error::BadState};
use mc_types::LogStream;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Handles beyond the limit that are kept for standard streams, errors and pollables.
const RESERVE: u32 = 64;

/// Something that the guest holds by a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Handle {
    /// A file or directory.
    Descriptor(Descriptor),
    /// Standard input as a preview-1 descriptor.
    Stdin,
    /// Standard output or error as a preview-1 descriptor.
    Standard(LogStream),
    /// Something to read from.
    Input(Input),
    /// Something to write to.
    Output(Output),
    /// Something to wait for.
    Pollable(Pollable),
    /// A listing in progress.
    Listing {
        /// The directory.
        node: NodeId,
        /// The name that was last given out.
        after: Option<String>,
    },
    /// An error that an operation on a stream ran into.
    Error(Errno),
}

/// A file or directory that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// What it is open for.
    pub node: NodeId,
    /// Whether it may be read.
    pub read: bool,
    /// Whether it may be written to. For a directory, this says nothing about its entries.
    pub write: bool,
    /// Where preview 1 reads and writes next.
    pub offset: u64,
    /// What else it was opened for.
    pub status: Status,
    /// The names after which preview 1 may continue a listing, by the cookies that it was given.
    pub cookies: BTreeMap<u64, String>,
}

impl Descriptor {
    /// A descriptor at the beginning of `node`.
    #[must_use]
    pub const fn new(node: NodeId, read: bool, write: bool) -> Self {
        Self {
            node,
            read,
            write,
            offset: 0,
            status: Status::NONE,
            cookies: BTreeMap::new(),
        }
    }
}

/// The flags of a descriptor besides reading and writing, numbered as in preview 1. Only appending has an effect. The
/// others are always true, since everything here is only memory; they are returned as they were set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status(u8);

impl Status {
    /// Nothing else.
    pub const NONE: Self = Self(0);
    /// Preview 1 writes at the end.
    pub const APPEND: Self = Self(1);
    /// What was written is on disk.
    pub const DATA_SYNC: Self = Self(1 << 1);
    /// No call waits.
    pub const NONBLOCKING: Self = Self(1 << 2);
    /// What was read is on disk.
    pub const READ_SYNC: Self = Self(1 << 3);
    /// What was written is on disk, with all that is known of the file.
    pub const SYNC: Self = Self(1 << 4);
    /// Those that can be changed later, as `fcntl` has it.
    const CHANGEABLE: u8 = Self::APPEND.0 | Self::NONBLOCKING.0;

    /// By their numbers, unless there are others among them.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        u8::try_from(bits)
            .ok()
            .filter(|bits| *bits < 1 << 5)
            .map(Self)
    }

    /// Their numbers.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits of `new` that can be changed, and those of this one that cannot.
    #[must_use]
    pub const fn changed(self, new: Self) -> Self {
        Self((self.0 & !Self::CHANGEABLE) | (new.0 & Self::CHANGEABLE))
    }
}

/// Something to read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file from an offset on.
    File {
        /// The file.
        node: NodeId,
        /// Where to read next.
        offset: u64,
    },
}

/// Something to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// A standard stream.
    Standard(LogStream),
    /// A file.
    File {
        /// The file.
        node: NodeId,
        /// Where to write next; absent for its end, wherever that is by then.
        offset: Option<u64>,
    },
}

/// Something to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pollable {
    /// It is there: nothing but time is ever waited for.
    Ready,
    /// A time on the monotonic clock.
    At(u64),
}

impl Handle {
    /// The file that stays in being as long as this handle does.
    pub(crate) const fn node(&self) -> Option<NodeId> {
        match self {
            Self::Descriptor(Descriptor { node, .. })
            | Self::Input(Input::File { node, .. })
            | Self::Output(Output::File { node, .. })
            | Self::Listing { node, .. } => Some(*node),
            _ => None,
        }
    }
}

/// All that the guest holds. A new handle gets the lowest number that is free, as POSIX has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Handles {
    held: BTreeMap<u32, Handle>,
    /// No number below this one is free.
    lowest: u32,
    max: u32,
}

impl Handles {
    pub(crate) const fn new(max: u32) -> Self {
        Self {
            held: BTreeMap::new(),
            lowest: 0,
            max,
        }
    }

    /// Checks handles that were taken from elsewhere against those with which the task begins.
    pub(crate) fn check(&self, begin: &Self) -> Result<(), BadState> {
        let most = u64::from(self.max.saturating_add(RESERVE));
        if self.max != begin.max || self.held.len() as u64 > most {
            return Err(BadState("another number of handles"));
        }
        let first_free = (0..).zip(self.held.keys()).find(|(i, number)| i != *number);
        let count = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        if self.lowest > first_free.map_or(count, |(free, _)| free) {
            return Err(BadState("a free handle that is passed over"));
        }
        Ok(())
    }

    /// How many handles hold each file.
    pub(crate) fn opens(&self) -> BTreeMap<NodeId, u32> {
        let mut opens = BTreeMap::new();
        for node in self.held.values().filter_map(Handle::node) {
            *opens.entry(node).or_default() += 1;
        }
        opens
    }

    pub(crate) fn insert(&mut self, handle: Handle) -> Result<u32, Errno> {
        self.insert_within(handle, self.max)
    }

    /// Adds a handle that cannot be refused without stopping the guest. A few are allowed beyond the limit, so that a
    /// guest that has reached the limit can still report it.
    pub(crate) fn insert_beyond(&mut self, handle: Handle) -> Result<u32, Errno> {
        self.insert_within(handle, self.max.saturating_add(RESERVE))
    }

    fn insert_within(&mut self, handle: Handle, max: u32) -> Result<u32, Errno> {
        if self.held.len() >= max as usize {
            return Err(Errno::TooManyHandles);
        }
        let number = (self.lowest..=u32::MAX)
            .find(|number| !self.held.contains_key(number))
            .ok_or(Errno::TooManyHandles)?;
        self.lowest = number.saturating_add(1);
        self.held.insert(number, handle);
        Ok(number)
    }

    pub(crate) fn get(&self, number: u32) -> Result<&Handle, Errno> {
        self.held.get(&number).ok_or(Errno::BadDescriptor)
    }

    pub(crate) fn get_mut(&mut self, number: u32) -> Result<&mut Handle, Errno> {
        self.held.get_mut(&number).ok_or(Errno::BadDescriptor)
    }

    pub(crate) fn remove(&mut self, number: u32) -> Result<Handle, Errno> {
        let handle = self.held.remove(&number).ok_or(Errno::BadDescriptor)?;
        self.lowest = self.lowest.min(number);
        Ok(handle)
    }

    /// Puts `handle` in the place of another one, which is returned.
    pub(crate) fn replace(&mut self, number: u32, handle: Handle) -> Result<Handle, Errno> {
        let held = self.held.get_mut(&number).ok_or(Errno::BadDescriptor)?;
        Ok(std::mem::replace(held, handle))
    }

    pub(crate) fn descriptor(&self, number: u32) -> Result<&Descriptor, Errno> {
        match self.get(number)? {
            Handle::Descriptor(descriptor) => Ok(descriptor),
            _ => Err(Errno::BadDescriptor),
        }
    }

    pub(crate) fn descriptor_mut(&mut self, number: u32) -> Result<&mut Descriptor, Errno> {
        match self.get_mut(number)? {
            Handle::Descriptor(descriptor) => Ok(descriptor),
            _ => Err(Errno::BadDescriptor),
        }
    }

    pub(crate) fn pollable(&self, number: u32) -> Result<Pollable, Stop> {
        match self.get(number) {
            Ok(Handle::Pollable(pollable)) => Ok(*pollable),
            _ => Err(Stop::Trap("no such pollable")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowest_free_number_is_given_out() {
        let mut handles = Handles::new(10);
        for expected in 0..5 {
            assert_eq!(handles.insert(Handle::Stdin), Ok(expected));
        }
        handles.remove(3).unwrap();
        handles.remove(1).unwrap();
        assert_eq!(handles.insert(Handle::Stdin), Ok(1));
        assert_eq!(handles.insert(Handle::Stdin), Ok(3));
        assert_eq!(handles.insert(Handle::Stdin), Ok(5));
    }

    #[test]
    fn limit_counts_what_is_held() {
        let mut handles = Handles::new(2);
        handles.insert(Handle::Stdin).unwrap();
        handles.insert(Handle::Stdin).unwrap();
        assert_eq!(handles.insert(Handle::Stdin), Err(Errno::TooManyHandles));
        handles.remove(0).unwrap();
        assert_eq!(handles.insert(Handle::Stdin), Ok(0));
        assert_eq!(handles.remove(7), Err(Errno::BadDescriptor));
    }
}
