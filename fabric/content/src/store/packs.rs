//! Large blocks, one after the other in files of some hundred megabytes.
//!
//! A block is written once, and its place goes into the index of the engine, which would write it twice: to
//! its journal and to its tables. Bytes that no place leads to are holes, and take up no room on disk.
//!
//! Only the writer changes a pack, and only by appending. Bytes at its end that the index does not know were never
//! acknowledged, and are cut off when the store is opened.

use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

/// A pack is full once it is this long, in bytes.
const PACK_BYTES: u64 = 256 << 20;
/// Packs that are kept open.
const MAX_OPEN: usize = 128;

/// Where a block is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockPlace {
    pub(super) pack: u32,
    pub(super) offset: u64,
    pub(super) length: u32,
    /// CRC-32 of the bytes: enough to see that a disk gives back something else.
    pub(super) checksum: u32,
}

impl BlockPlace {
    pub(super) const BYTES: usize = 20;

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let fields = self.pack.to_be_bytes().into_iter();
        let fields = fields
            .chain(self.offset.to_be_bytes())
            .chain(self.length.to_be_bytes())
            .chain(self.checksum.to_be_bytes());
        for (to, from) in bytes.iter_mut().zip(fields) {
            *to = from;
        }
        bytes
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (pack, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(Self {
            pack: u32::from_be_bytes(*pack),
            offset: u64::from_be_bytes(*offset),
            length: u32::from_be_bytes(*length),
            checksum: u32::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

/// How much of a pack is written, and how much of that is still needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Extent {
    pub(super) end: u64,
    pub(super) live: u64,
}

impl Extent {
    pub(super) fn to_bytes(self) -> [u8; 16] {
        (u128::from(self.end) << 64 | u128::from(self.live)).to_be_bytes()
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (end, live) = bytes.split_first_chunk()?;
        Some(Self {
            end: u64::from_be_bytes(*end),
            live: u64::from_be_bytes(live.try_into().ok()?),
        })
    }
}

/// The files.
#[derive(Debug)]
pub(super) struct Packs {
    dir: PathBuf,
    open: Mutex<HashMap<u32, Arc<File>>>,
}

impl Packs {
    /// Opens the packs in `dir`. `known` are those of the index. Other packs are removed, and unacknowledged bytes in
    /// known packs are cut off.
    pub(super) fn open(dir: PathBuf, known: &BTreeMap<u32, Extent>) -> io::Result<Self> {
        fs::create_dir_all(&dir)?;
        for entry in fs::read_dir(&dir)? {
            let path = entry?.path();
            let Some(extent) = number(&path).and_then(|number| known.get(&number)) else {
                fs::remove_file(&path)?;
                continue;
            };
            let file = OpenOptions::new().write(true).open(&path)?;
            if file.metadata()?.len() > extent.end {
                file.set_len(extent.end)?;
            }
        }
        Ok(Self {
            dir,
            open: Mutex::default(),
        })
    }

    fn path(&self, pack: u32) -> PathBuf {
        self.dir.join(format!("{pack:08}.pack"))
    }

    fn file(&self, pack: u32) -> io::Result<Arc<File>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = open.get(&pack) {
            return Ok(Arc::clone(file));
        }
        let path = self.path(pack);
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false);
        let file = Arc::new(file.open(path)?);
        if is_new {
            // A file that a power cut leaves without a name is lost.
            File::open(&self.dir)?.sync_all()?;
        }
        if open.len() >= MAX_OPEN {
            // Those that are being read stay open until then.
            open.clear();
        }
        open.insert(pack, Arc::clone(&file));
        Ok(file)
    }

    /// The bytes at a place, if they are what was written there.
    pub(super) fn read(&self, place: BlockPlace) -> io::Result<Option<Bytes>> {
        let length = usize::try_from(place.length).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length];
        match self
            .file(place.pack)?
            .read_exact_at(&mut bytes, place.offset)
        {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let is_same = crc32fast::hash(&bytes) == place.checksum;
        Ok(is_same.then(|| bytes.into()))
    }

    /// The bytes at a place, whatever they are.
    pub(super) fn read_raw(&self, place: BlockPlace) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut at = place.offset;
        let end = place.offset + u64::from(place.length);
        let file = self.file(place.pack)?;
        let mut buffer = [0; 4096];
        while at < end {
            let read = file.read_at(&mut buffer, at)?;
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(read);
            if wanted == 0 {
                break;
            }
            bytes.extend_from_slice(buffer.get(..wanted).unwrap_or_default());
            at += u64::try_from(wanted).unwrap_or(u64::MAX);
        }
        Ok(bytes)
    }

    /// Writes bytes to their places, and waits until they are on disk.
    pub(super) fn write(&self, writes: &[(BlockPlace, Bytes)]) -> io::Result<()> {
        let mut last = None;
        for (place, bytes) in writes {
            let file = self.file(place.pack)?;
            file.write_all_at(bytes, place.offset)?;
            match last.replace((place.pack, file)) {
                Some((pack, file)) if pack != place.pack => file.sync_data()?,
                _ => {}
            }
        }
        match last {
            Some((_, file)) => file.sync_data(),
            None => Ok(()),
        }
    }

    /// Frees the disk space of a removed block. A failure does no harm: the space becomes free with the rest of the
    /// pack.
    pub(super) fn free(&self, place: BlockPlace) {
        use rustix::fs::{FallocateFlags, fallocate};
        let Ok(file) = self.file(place.pack) else {
            return;
        };
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if let Err(error) = fallocate(&file, hole, place.offset, u64::from(place.length)) {
            tracing::debug!(%error, "no hole");
        }
    }

    /// Removes an empty pack.
    pub(super) fn remove(&self, pack: u32) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&pack);
        // If it stays, it goes when the store is opened again.
        let _ = fs::remove_file(self.path(pack));
    }
}

/// Which pack a file is.
fn number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".pack")?.parse().ok()
}

/// Where the next blocks go.
#[derive(Debug, Clone)]
pub(super) struct Extents {
    pub(super) by_pack: BTreeMap<u32, Extent>,
}

impl Extents {
    /// The pack that is written to.
    pub(super) fn current(&self) -> u32 {
        self.by_pack.keys().next_back().copied().unwrap_or(0)
    }

    /// Takes a place for a block.
    pub(super) fn take(&mut self, bytes: &[u8]) -> BlockPlace {
        let mut pack = self.current();
        if self.by_pack.get(&pack).is_some_and(|e| e.end >= PACK_BYTES) {
            pack += 1;
        }
        let extent = self.by_pack.entry(pack).or_default();
        let place = BlockPlace {
            pack,
            offset: extent.end,
            // A block is far shorter.
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            checksum: crc32fast::hash(bytes),
        };
        extent.end += u64::from(place.length);
        extent.live += u64::from(place.length);
        place
    }

    /// A block was removed; returns whether its pack is useless now.
    pub(super) fn give_back(&mut self, place: BlockPlace) -> bool {
        let current = self.current();
        let Some(extent) = self.by_pack.get_mut(&place.pack) else {
            return false;
        };
        extent.live = extent.live.saturating_sub(u64::from(place.length));
        let is_empty = extent.live == 0 && place.pack != current;
        if is_empty {
            self.by_pack.remove(&place.pack);
        }
        is_empty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_extents_survive_their_bytes() {
        let place = BlockPlace {
            pack: 7,
            offset: 1 << 40,
            length: 1 << 20,
            checksum: 0xdead_beef,
        };
        assert_eq!(BlockPlace::parse(&place.to_bytes()), Some(place));
        let extent = Extent { end: 9, live: 5 };
        assert_eq!(Extent::parse(&extent.to_bytes()), Some(extent));
        for bytes in [&[][..], &[0; 15], &[0; 17], &[0; 19], &[0; 21]] {
            assert_eq!(BlockPlace::parse(bytes), None);
            assert_eq!(Extent::parse(bytes), None);
        }
    }

    #[test]
    fn what_is_read_is_what_was_written_or_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut extents = Extents {
            by_pack: BTreeMap::new(),
        };
        let packs = Packs::open(dir.path().to_owned(), &extents.by_pack).unwrap();
        let blocks: Vec<Bytes> = (0..5_u8).map(|n| vec![n; 10_000].into()).collect();
        let writes: Vec<_> = blocks
            .iter()
            .map(|bytes| (extents.take(bytes), bytes.clone()))
            .collect();
        packs.write(&writes).unwrap();
        for (place, bytes) in &writes {
            assert_eq!(packs.read(*place).unwrap().as_ref(), Some(bytes));
        }
        packs.free(writes[1].0);
        assert_eq!(packs.read(writes[1].0).unwrap(), None);
        assert_eq!(packs.read(writes[2].0).unwrap().as_ref(), Some(&blocks[2]));
        // What comes after what the index knows is cut off.
        extents.by_pack.get_mut(&0).unwrap().end = 20_000;
        fs::write(dir.path().join("00000009.pack"), "unknown").unwrap();
        let packs = Packs::open(dir.path().to_owned(), &extents.by_pack).unwrap();
        assert_eq!(packs.read(writes[0].0).unwrap().as_ref(), Some(&blocks[0]));
        assert_eq!(packs.read(writes[4].0).unwrap(), None);
        assert!(!dir.path().join("00000009.pack").exists());
    }
}
