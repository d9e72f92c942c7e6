//! Filling the memories of a guest that is about to go on.

use super::image::{MemoryImage, PAGE_BYTES};
use mc_checkpoint::meter::Ask;
use mc_wasi::Stop;

/// Memories that are being filled.
#[derive(Default)]
pub(crate) struct Restoring(Vec<Filling>);

struct Filling {
    image: Box<dyn MemoryImage>,
    /// What was announced and not given yet.
    next: Option<Vec<u8>>,
    /// The first bytes that were given, which are needed once more.
    first: u64,
    /// Where the last bytes ended.
    end: u64,
}

impl Filling {
    fn new(image: Box<dyn MemoryImage>) -> Self {
        Self {
            image,
            next: None,
            first: 0,
            end: 0,
        }
    }

    fn advance(&mut self) -> Result<u64, Stop> {
        let read = self.image.next();
        let read = read.map_err(|error| Stop::Host(format!("a checkpoint: {error}")))?;
        let Some((address, bytes)) = read else {
            return Ok(u64::MAX);
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let end = address.saturating_add(length);
        if address < self.end || end > self.image.bytes() || length == 0 {
            return Err(Stop::Host(
                "a checkpoint's memory overlaps itself".to_owned(),
            ));
        }
        if address == 0 {
            let mut first = [0; 8];
            for (to, from) in first.iter_mut().zip(&bytes) {
                *to = *from;
            }
            self.first = u64::from_le_bytes(first);
        }
        self.end = end;
        self.next = Some(bytes);
        Ok(address)
    }
}

impl Restoring {
    pub(super) fn of(images: Vec<Box<dyn MemoryImage>>) -> Self {
        Self(images.into_iter().map(Filling::new).collect())
    }

    fn memory(&mut self, memory: u32) -> Result<&mut Filling, Stop> {
        let index = usize::try_from(memory).unwrap_or(usize::MAX);
        let memory = self.0.get_mut(index);
        memory.ok_or_else(|| Stop::Host("a checkpoint lacks a memory".to_owned()))
    }

    /// Answers what is asked of a memory.
    pub(crate) fn answer(&mut self, memory: u32, what: u32) -> Result<u64, Stop> {
        let memory = self.memory(memory)?;
        match Ask::of(what) {
            Some(Ask::Pages) => Ok(memory.image.bytes() / PAGE_BYTES),
            Some(Ask::Address) => memory.advance(),
            Some(Ask::First) => Ok(memory.first),
            None => Err(Stop::Trap("what is asked of a memory is not known")),
        }
    }

    /// The bytes of the address that was given last.
    pub(crate) fn bytes(&mut self, memory: u32) -> Result<Vec<u8>, Stop> {
        let next = self.memory(memory)?.next.take();
        next.ok_or(Stop::Trap("no bytes were announced"))
    }
}
