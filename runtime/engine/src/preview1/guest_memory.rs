//! A module's memory, every access to which is checked.

use mc_wasi::{Errno, Result};
use std::ops::Range;

/// Most buffers of one call.
const MAX_BUFFERS: u32 = 1024;
/// Most bytes that one call moves, so that a guest can be stopped between calls. Any call may read or write less than
/// requested.
const MAX_MOVED_BYTES: usize = 16 << 20;

/// The memory of a module that calls.
pub(super) struct GuestMemory<'a>(&'a mut [u8]);

impl<'a> GuestMemory<'a> {
    pub(super) const fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    /// `length` bytes from `at` on. POSIX leaves open what a bad address gives; here it gives [`Errno::Invalid`], which
    /// every call may return.
    pub(super) fn bytes(&mut self, at: u32, length: u32) -> Result<&mut [u8], Errno> {
        let start = at as usize;
        let range = start..start.saturating_add(length as usize);
        self.0.get_mut(range).ok_or(Errno::Invalid)
    }

    pub(super) fn write(&mut self, at: u32, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::Overflow)?;
        self.bytes(at, length)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn write_u8(&mut self, at: u32, value: u8) -> Result<(), Errno> {
        self.write(at, &[value])
    }

    pub(super) fn write_u16(&mut self, at: u32, value: u16) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn write_u32(&mut self, at: u32, value: u32) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, at: u32, value: u64) -> Result<(), Errno> {
        self.write(at, &value.to_le_bytes())
    }

    fn array<const N: usize>(&mut self, at: u32) -> Result<[u8; N], Errno> {
        let start = at as usize;
        let bytes = self.0.get(start..).and_then(<[u8]>::first_chunk);
        bytes.copied().ok_or(Errno::Invalid)
    }

    pub(super) fn u8(&mut self, at: u32) -> Result<u8, Errno> {
        Ok(u8::from_le_bytes(self.array(at)?))
    }

    pub(super) fn u16(&mut self, at: u32) -> Result<u16, Errno> {
        Ok(u16::from_le_bytes(self.array(at)?))
    }

    pub(super) fn u32(&mut self, at: u32) -> Result<u32, Errno> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    pub(super) fn u64(&mut self, at: u32) -> Result<u64, Errno> {
        Ok(u64::from_le_bytes(self.array(at)?))
    }

    /// A path or name.
    pub(super) fn text(&mut self, at: u32, length: u32) -> Result<String, Errno> {
        // No path that is accepted is longer, and a longer one is not copied.
        if length > 1 << 16 {
            return Err(Errno::NameTooLong);
        }
        let bytes = self.bytes(at, length)?;
        let text = std::str::from_utf8(bytes).map_err(|_| Errno::IllegalByteSequence)?;
        Ok(text.to_owned())
    }

    /// The buffers of a call that reads or writes several, cut off at [`MAX_MOVED_BYTES`] altogether.
    pub(super) fn buffers(&mut self, at: u32, count: u32) -> Result<Vec<Range<usize>>, Errno> {
        if count > MAX_BUFFERS {
            return Err(Errno::Invalid);
        }
        let mut left = MAX_MOVED_BYTES;
        (0..count)
            .map(|index| {
                let entry = at.checked_add(index * 8).ok_or(Errno::Invalid)?;
                let start = self.u32(entry)? as usize;
                let length = self.u32(entry.checked_add(4).ok_or(Errno::Invalid)?)? as usize;
                self.0
                    .get(start..start.saturating_add(length))
                    .ok_or(Errno::Invalid)?;
                let moved = length.min(left);
                left -= moved;
                Ok(start..start + moved)
            })
            .collect()
    }

    /// One of [`Self::buffers`].
    pub(super) fn buffer(&mut self, range: Range<usize>) -> Result<&mut [u8], Errno> {
        self.0.get_mut(range).ok_or(Errno::Invalid)
    }
}
