//! The bytes of a file.

use super::page::Page;
use crate::{At, Errno, Inputs, PAGE_BYTES, Result, Stop, Storage};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// Bytes of all files of a guest together that stay in memory.
pub(super) const HELD_BYTES: u64 = 16 << 20;
/// Largest file, in bytes: what a signed offset can express.
pub(super) const MAX_FILE_BYTES: u64 = i64::MAX as u64;

/// Bytes that were given, under pages that were written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Data {
    /// The source of the bytes that are on no page, and how many of them are left.
    given: Option<(At, u64)>,
    size: u64,
    /// By number. A page is the unit of copying when a given file is changed, and of growth of a written file.
    pages: BTreeMap<u64, Page>,
    /// Whether it was ever changed.
    changed: bool,
}

impl Data {
    pub(super) const fn given(at: At, size: u64) -> Self {
        Self {
            given: Some((at, size)),
            size,
            pages: BTreeMap::new(),
            changed: false,
        }
    }

    /// What it was given as, if nothing was changed since.
    pub(super) fn as_given(&self) -> Option<&At> {
        let (at, _) = self.given.as_ref()?;
        (!self.changed).then_some(at)
    }

    /// Where bytes of it were given, regardless of later changes.
    pub(super) fn origin(&self) -> Option<&At> {
        self.given.as_ref().map(|(at, _)| at)
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// How many bytes count against the quota: none before the guest changes the file, all of them after that.
    pub(super) const fn charged(&self) -> u64 {
        if self.given.is_some() && !self.changed {
            0
        } else {
            self.size
        }
    }

    /// Whether no page is longer than pages are, or beyond the end.
    pub(super) fn is_sound(&self) -> bool {
        let is_page = |(number, page): (&u64, &Page)| {
            let end = number.checked_mul(PAGE_BYTES);
            let end = end.and_then(|start| start.checked_add(page.len() as u64));
            page.len() as u64 <= PAGE_BYTES && end.is_some_and(|end| end <= self.size)
        };
        self.size <= MAX_FILE_BYTES && self.pages.iter().all(is_page)
    }

    /// Reads as many bytes as there are from `offset` on.
    pub(super) fn read(
        &self,
        offset: u64,
        into: &mut [u8],
        inputs: &mut dyn Inputs,
    ) -> Result<usize> {
        let left = usize::try_from(self.size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = left.min(into.len());
        let mut rest = into.get_mut(..length).unwrap_or_default();
        let mut offset = offset;
        while !rest.is_empty() {
            let within = to_usize(offset % PAGE_BYTES);
            let page = self.pages.get(&(offset / PAGE_BYTES));
            let until = match page {
                Some(_) => to_usize(PAGE_BYTES) - within,
                None => to_usize(self.unwritten(offset)),
            };
            let (part, tail) = rest.split_at_mut(until.min(rest.len()));
            match page {
                Some(page) => page.read(within, part)?,
                None => self.read_given(offset, part, inputs)?,
            }
            offset += part.len() as u64;
            rest = tail;
        }
        Ok(length)
    }

    /// Bytes from `offset` to the next page that was written.
    fn unwritten(&self, offset: u64) -> u64 {
        let next = self.pages.range(offset / PAGE_BYTES..).next();
        next.map_or(u64::MAX, |(page, _)| page * PAGE_BYTES - offset)
    }

    fn read_given(&self, offset: u64, into: &mut [u8], inputs: &mut dyn Inputs) -> Result<()> {
        let mut filled = 0;
        if let Some((at, length)) = &self.given {
            let there = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
            let part = there.min(into.len());
            if let Some(part) = into.get_mut(..part).filter(|part| !part.is_empty()) {
                filled = inputs.read(at, offset, part)?;
            }
        }
        into.get_mut(filled..).unwrap_or_default().fill(0);
        Ok(())
    }

    /// The length of the file after `bytes` were written at `offset`.
    pub(super) fn size_after(&self, offset: u64, bytes: usize) -> Result<u64, Errno> {
        let end = offset.checked_add(bytes as u64);
        let end = end.filter(|end| *end <= MAX_FILE_BYTES);
        Ok(end.ok_or(Errno::FileTooLarge)?.max(self.size))
    }

    /// Writes `bytes` at `offset`. The caller has checked [`Self::size_after`], and passes the total size of all files
    /// afterwards: beyond [`HELD_BYTES`], the bytes go outside of memory, if there is a place for them.
    pub(super) fn write(
        &mut self,
        offset: u64,
        bytes: &[u8],
        all: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<()> {
        let storage = match all > HELD_BYTES {
            true => inputs.storage(),
            false => None,
        };
        let (mut offset, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let within = to_usize(offset % PAGE_BYTES);
            let (part, tail) = rest.split_at(rest.len().min(to_usize(PAGE_BYTES) - within));
            let page = self.page(offset / PAGE_BYTES, inputs)?;
            if let Some(storage) = &storage {
                page.store(storage)?;
            }
            page.write(within, part)?;
            offset += part.len() as u64;
            rest = tail;
        }
        self.size = self.size.max(offset);
        self.changed = true;
        Ok(())
    }

    /// A page to write to, with the bytes that were given.
    fn page(&mut self, number: u64, inputs: &mut dyn Inputs) -> Result<&mut Page> {
        let mut page = Vec::new();
        if !self.pages.contains_key(&number) {
            let start = number * PAGE_BYTES;
            let given = self.given.as_ref().map_or(0, |(_, length)| *length);
            let length = given.saturating_sub(start).min(PAGE_BYTES);
            page.resize(to_usize(length), 0);
            self.read_given(start, &mut page, inputs)?;
        }
        let page = || Page::Held(page);
        Ok(self.pages.entry(number).or_insert_with(page))
    }

    /// Keeps all that was written outside of memory.
    pub(super) fn store(&mut self, storage: &Arc<dyn Storage>) -> Result<(), Stop> {
        self.pages
            .values_mut()
            .try_for_each(|page| page.store(storage))
    }

    /// Cuts the file off or extends it with zeros.
    pub(super) fn resize(&mut self, size: u64) {
        if size < self.size {
            let (last, within) = (size / PAGE_BYTES, to_usize(size % PAGE_BYTES));
            self.pages.split_off(&(last + 1));
            if let Some(page) = self.pages.get_mut(&last) {
                page.truncate(within);
            }
            if let Some((_, length)) = &mut self.given {
                *length = size.min(*length);
            }
        }
        self.size = size;
        self.changed = true;
    }
}

/// What is at most [`PAGE_BYTES`], or as much as memory can address.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
