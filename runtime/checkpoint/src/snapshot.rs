//! Checkpoints as content: a header that names everything else. `FORMAT.md` has it byte by byte.
//!
//! It neither stores nor fetches: it passes blocks to the caller, and requests them by CID.

mod blob;
mod block;
mod memory;

pub use blob::{Blob, CHUNK_BYTES};
pub use block::{BadCheckpoint, Block, Seal};
pub use memory::{FAN_OUT, Memory, PAGE_BYTES, Pages, Reader};

use crate::PASS_VERSION;
use mc_types::{Cid, canonical};
use serde::{Deserialize, Serialize};

/// The version of the format.
pub const FORMAT: u32 = 1;

/// Who made a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckpointKind {
    /// The runtime: it has all of the guest's state, and the guest does not know of it.
    Wasm,
    /// The guest itself, in its own format: `world` has its state, and all else is empty.
    App,
}

/// A checkpoint: a DAG-CBOR map, whose CID is the checkpoint's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// [`FORMAT`].
    pub format: u32,
    /// [`PASS_VERSION`] of its maker.
    pub pass: u32,
    /// The version of `world`.
    pub host: u32,
    /// Who made it.
    pub kind: CheckpointKind,
    /// The CID of the task. It is text and not a link, since the holder of a checkpoint need not have the task.
    #[serde(with = "text")]
    pub task: Cid,
    /// The component, by its CID.
    #[serde(with = "text")]
    pub component: Cid,
    /// Operators that were executed.
    pub position: u64,
    /// Those of them that had been executed at the last call.
    pub paid: u64,
    /// Whether the guest was ever refused memory.
    pub memory_refused: bool,
    /// What was on the stack, the innermost frame first.
    pub frames: Blob,
    /// The mutable globals.
    pub globals: Blob,
    /// The state of the guest's world, as its own version of the host encodes it.
    pub world: Blob,
    /// The linear memories.
    pub memories: Vec<Memory>,
    /// All that was written to standard output so far.
    pub stdout: Blob,
    /// All that was written to standard error so far.
    pub stderr: Blob,
}

/// CIDs that are no links.
mod text {
    use mc_types::Cid;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(cid: &Cid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(cid)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Cid, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl Checkpoint {
    /// Reads a header, which may come from anywhere, and checks that it is of `task`.
    ///
    /// # Errors
    ///
    /// [`BadCheckpoint`].
    pub fn read(bytes: &[u8]) -> Result<Self, BadCheckpoint> {
        let malformed = |error: canonical::Error| BadCheckpoint::Malformed(error.to_string());
        let checkpoint: Self = canonical::decode(bytes).map_err(malformed)?;
        if checkpoint.format != FORMAT || checkpoint.pass != PASS_VERSION {
            return Err(BadCheckpoint::Version {
                format: checkpoint.format,
                pass: checkpoint.pass,
            });
        }
        for blob in [
            &checkpoint.frames,
            &checkpoint.globals,
            &checkpoint.world,
            &checkpoint.stdout,
            &checkpoint.stderr,
        ] {
            blob.check()?;
        }
        for memory in &checkpoint.memories {
            memory.check()?;
        }
        Ok(checkpoint)
    }

    /// The header as a block.
    ///
    /// # Errors
    ///
    /// When it is larger than what is ever read.
    pub fn to_block(&self) -> Result<Block, canonical::Error> {
        canonical::encode(self)
    }

    /// Refuses a checkpoint of another task or component.
    ///
    /// # Errors
    ///
    /// [`BadCheckpoint::OtherTask`] and [`BadCheckpoint::OtherComponent`].
    pub fn is_of(&self, task: &Cid, component: &Cid) -> Result<(), BadCheckpoint> {
        if self.task != *task {
            return Err(BadCheckpoint::OtherTask(self.task));
        }
        if self.component != *component {
            return Err(BadCheckpoint::OtherComponent(self.component));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            format: FORMAT,
            pass: PASS_VERSION,
            host: 1,
            kind: CheckpointKind::Wasm,
            task: cid::of(cid::DAG_CBOR, b"task"),
            component: cid::of(cid::RAW, b"component"),
            position: 9,
            paid: 8,
            memory_refused: false,
            frames: Blob::write(&[1; 9], &Blob::default(), None, &mut |_| {}),
            globals: Blob::default(),
            world: Blob::default(),
            memories: vec![Memory {
                bytes: 1 << 16,
                root: None,
            }],
            stdout: Blob::default(),
            stderr: Blob::default(),
        }
    }

    fn refused(checkpoint: &Checkpoint) -> BadCheckpoint {
        let (_, bytes) = checkpoint.to_block().unwrap();
        Checkpoint::read(&bytes).unwrap_err()
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let (name, bytes) = checkpoint().to_block().unwrap();
        assert_eq!(name, cid::of(cid::DAG_CBOR, &bytes));
        assert_eq!(Checkpoint::read(&bytes).unwrap(), checkpoint());
    }

    #[test]
    fn whatever_becomes_of_its_bytes_a_header_is_another_one_or_none() {
        let (_, bytes) = checkpoint().to_block().unwrap();
        for length in 0..bytes.len() {
            assert!(Checkpoint::read(&bytes[..length]).is_err(), "{length}");
        }
        for position in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[position] ^= 1;
            if let Ok(read) = Checkpoint::read(&bad) {
                assert_ne!(read, checkpoint(), "{position}");
            }
        }
    }

    #[test]
    fn headers_of_other_versions_are_refused_by_their_number() {
        let (format, pass) = (FORMAT + 1, PASS_VERSION + 1);
        let newer = Checkpoint {
            format,
            ..checkpoint()
        };
        let version = |format, pass| BadCheckpoint::Version { format, pass };
        assert_eq!(refused(&newer), version(format, PASS_VERSION));
        let other = Checkpoint {
            pass,
            ..checkpoint()
        };
        assert_eq!(refused(&other), version(FORMAT, pass));
    }

    #[test]
    fn a_checkpoint_of_another_task_or_component_is_refused() {
        let (own, other) = (checkpoint(), cid::of(cid::RAW, b"other"));
        assert_eq!(own.is_of(&own.task, &own.component), Ok(()));
        let task = own.is_of(&other, &own.component);
        assert_eq!(task, Err(BadCheckpoint::OtherTask(own.task)));
        let component = own.is_of(&own.task, &other);
        assert_eq!(component, Err(BadCheckpoint::OtherComponent(own.component)));
    }

    #[test]
    fn parts_that_contradict_themselves_are_refused_before_any_block_is_fetched() {
        let is_block = |bad: &Checkpoint| matches!(refused(bad), BadCheckpoint::Block(_));
        let mut bad = checkpoint();
        bad.frames.bytes = 1 << 40;
        assert!(is_block(&bad), "fewer chunks than bytes need");
        let mut bad = checkpoint();
        bad.world.chunks.push(cid::of(cid::RAW, b"chunk"));
        assert!(is_block(&bad), "a chunk of no bytes");
        let mut bad = checkpoint();
        bad.frames.chunks = vec![cid::of(cid::DAG_CBOR, b"node")];
        assert!(is_block(&bad), "a chunk that has links");
        for bytes in [1, (1 << 32) + (1 << 16)] {
            let mut bad = checkpoint();
            bad.memories = vec![Memory { bytes, root: None }];
            assert!(is_block(&bad), "a memory of {bytes} bytes");
        }
    }
}
