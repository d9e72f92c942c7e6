//! From blocks to a state that a guest can go on with.

use super::error::CheckpointError;
use crate::blocks::Blocks;
use mc_checkpoint::{
    meter,
    snapshot::{BadCheckpoint, Blob, Checkpoint, CheckpointKind, Reader},
};
use mc_content::{
    BlockSource, Error, Key,
    seal::{Cipher, SealContext},
};
use mc_engine::{MemoryImage, Resume};
use mc_types::{Cid, TaskSpec, cid};
use mc_wasi::State;
use std::{io::Write, sync::Arc};
use tokio::runtime::Handle;

/// Bytes of the state of a world, without the content of files.
const WORLD_BYTES: u64 = 64 << 20;

/// What a checkpoint has.
#[expect(
    missing_debug_implementations,
    reason = "it gives blocks from anywhere"
)]
pub struct Loaded {
    /// What the guest goes on with.
    pub resume: Resume,
    stdout: Blob,
    stderr: Blob,
    get: Box<Get>,
}

/// Gives the bytes of a block.
type Get = dyn Fn(&Cid) -> Result<Vec<u8>, CheckpointError> + Send + Sync;

impl Loaded {
    /// Writes all that the guest wrote before, block by block. Blocks, as [`load`] does.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    pub fn write_output(
        &self,
        stdout: &mut dyn Write,
        stderr: &mut dyn Write,
    ) -> Result<(), CheckpointError> {
        self.stdout.write_to(stdout, &self.get)?;
        self.stderr.write_to(stderr, &self.get)
    }
}

/// The bytes of a block. If there is a key, all blocks but headers and nodes are encrypted.
fn fetch(
    source: &Arc<dyn Blocks>,
    runtime: &Handle,
    cipher: Option<&Cipher>,
    cid: &Cid,
) -> Result<Vec<u8>, CheckpointError> {
    let bytes = runtime.block_on(source.get(cid))?;
    match cipher.filter(|_| cid.codec() == cid::RAW) {
        None => Ok(bytes.to_vec()),
        Some(cipher) => {
            let opened = cipher.open(SealContext::Block, &bytes);
            Ok(opened.map_err(|source| Error::Sealed { cid: *cid, source })?)
        }
    }
}

/// The task that a checkpoint is of, whose block is given.
///
/// # Errors
///
/// [`CheckpointError::Bad`].
pub fn task_of(block: &[u8]) -> Result<Cid, CheckpointError> {
    Ok(Checkpoint::read(block)?.task)
}

/// Reads the checkpoint `cid` of `task` from `source`, decrypts it with the key, and checks all that can be checked
/// without the program. Memory is read only when the guest is resumed. Blocks on `runtime`, so a runtime's own threads
/// must not call it.
///
/// # Errors
///
/// [`CheckpointError`] says why the task cannot go on from it.
pub fn load(
    cid: &Cid,
    (task_cid, task): (&Cid, &TaskSpec),
    key: Option<&Key>,
    source: &Arc<dyn Blocks>,
    runtime: &Handle,
) -> Result<Loaded, CheckpointError> {
    let cipher = key.map(Key::cipher);
    let get = |cid: &Cid| fetch(source, runtime, cipher.as_ref(), cid);
    let (later, handle, key_later) = (Arc::clone(source), runtime.clone(), key.map(Key::cipher));
    let get_later = move |cid: &Cid| fetch(&later, &handle, key_later.as_ref(), cid);
    let checkpoint = Checkpoint::read(&get(cid)?)?;
    checkpoint.is_of(task_cid, task.kind.program())?;
    if checkpoint.kind != CheckpointKind::Wasm || checkpoint.host != mc_wasi::STATE_VERSION {
        return Err(BadCheckpoint::Version {
            format: checkpoint.format,
            pass: checkpoint.pass,
        }
        .into());
    }
    let limits = &task.limits;
    let (frames, globals) = (meter::FRAMES_BYTES.into(), meter::GLOBALS_BYTES.into());
    let world = limits.scratch_bytes.saturating_add(WORLD_BYTES);
    for stream in [&checkpoint.stdout, &checkpoint.stderr] {
        stream.within("its output", limits.output_bytes)?;
    }
    let world = checkpoint.world.read("its world", world, get)?;
    let world = State::from_bytes(&world)?;
    if world.output_bytes() != (checkpoint.stdout.bytes, checkpoint.stderr.bytes) {
        return Err(BadCheckpoint::Block("another amount of output than the guest wrote").into());
    }
    let memories = checkpoint.memories.iter().map(|memory| {
        let image: Box<dyn MemoryImage> = Box::new(Image {
            reader: memory.reader(),
            source: Arc::clone(source),
            runtime: runtime.clone(),
            cipher: key.map(Key::cipher),
        });
        image
    });
    Ok(Loaded {
        resume: Resume {
            position: checkpoint.position,
            paid: checkpoint.paid,
            frames: checkpoint.frames.read("its stack", frames, get)?,
            globals: checkpoint.globals.read("its globals", globals, get)?,
            memories: memories.collect(),
            memory_refused: checkpoint.memory_refused,
            world,
        },
        stdout: checkpoint.stdout,
        stderr: checkpoint.stderr,
        get: Box::new(get_later),
    })
}

/// A memory whose pages are read as they are needed.
struct Image {
    reader: Reader,
    source: Arc<dyn Blocks>,
    runtime: Handle,
    cipher: Option<Cipher>,
}

impl MemoryImage for Image {
    fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    fn next(&mut self) -> std::io::Result<Option<(u64, Vec<u8>)>> {
        let (source, runtime, cipher) = (&self.source, &self.runtime, self.cipher.as_ref());
        let get = |cid: &Cid| fetch(source, runtime, cipher, cid);
        self.reader.next(get).map_err(std::io::Error::other)
    }
}
