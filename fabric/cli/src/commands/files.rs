//! `add`, `get`, `cat`, `ls`, `stat`, `car`

use crate::{
    client::{NodeClient, file_pieces, write_to_disk},
    failure::Failure,
    job, keys, out, output, progress, sealed, terminal,
};
use futures::{StreamExt, TryStreamExt, stream};
use mc_content::{
    AddOptions, BlockSource, CountingSink, Key, car, links,
    unixfs::{self, Entity, EntryKind, Skipped, Symlinks},
};
use mc_options::{Add, Car, Cat, ContentPath, From, Get, Global, Layer, Links, Look, SymlinksName};
use mc_types::{Cid, Digest, ErrorCode, cid};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::{
    collections::HashSet,
    fs::Metadata,
    io::{IsTerminal, Read, Write},
    os::unix::fs::FileTypeExt,
    path::Path,
    process::ExitCode,
    time::Duration,
};

const DONE: Result<ExitCode, Failure> = Ok(ExitCode::SUCCESS);
/// Entries that are looked at together.
const LOOKS: usize = 16;
/// Bytes of a layer that are read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// How files become blocks.
fn add_options(args: &Add, key: Option<Key>) -> AddOptions {
    AddOptions {
        key,
        chunk_bytes: usize::try_from(args.chunk_size.0).unwrap_or(usize::MAX),
        cid_version: match args.cid_version {
            0 => cid::Version::V0,
            _ => cid::Version::V1,
        },
        raw_leaves: args.raw_leaves,
        modes: args.preserve_mode,
        skipped: args.skip_unreadable.then(Skipped::default),
        for_guests: false,
        symlinks: match args.symlinks {
            SymlinksName::Keep => Symlinks::Keep,
            SymlinksName::Follow => Symlinks::Follow,
            SymlinksName::Refuse => Symlinks::Refuse,
        },
    }
}

pub(super) async fn only_hash(args: &Add) -> Result<ExitCode, Failure> {
    let (options, given) = (add_options(args, None), AddSource::of(&args.path)?);
    let added = unixfs::add_path(given.path(), &CountingSink::default(), &options).await;
    let added = added.map_err(|error| unreadable(error.into(), &options))?;
    tell_skipped(&options);
    output::line(&added.cid.to_string())?;
    DONE
}

/// Adds content and pins it under its own CID, so that it stays until the user unpins it.
pub(super) async fn add(
    global: &Global,
    client: &NodeClient,
    args: &Add,
) -> Result<ExitCode, Failure> {
    let given = AddSource::of(&args.path)?;
    let progress = progress::bytes(global, "adding", bytes_in(given.path()));
    let key = args.key_file.as_deref().map(keys::read_or_create);
    let options = add_options(args, key.transpose()?);
    let added = client.add(given.path(), &options, &progress).await;
    let cid = added.map_err(|failure| unreadable(failure, &options))?;
    progress.finish_and_clear();
    tell_skipped(&options);
    let name = args.name.clone().unwrap_or_else(|| cid.to_string());
    let pin = client.pin(&name, cid).await?;
    // The output is for another program.
    let only_cid = global.quiet || !std::io::stdout().is_terminal();
    let path = args.path.display().to_string();
    output::value(global, &pin, |pin| match only_cid {
        true => pin.cid.to_string(),
        false => format!("{} {}", pin.cid, terminal::escaped(&path)),
    })?;
    DONE
}

/// The content to add: a path, or the bytes from standard input or another pipe.
enum AddSource<'a> {
    Path(&'a Path),
    Read(tempfile::NamedTempFile),
}

impl<'a> AddSource<'a> {
    fn of(path: &'a Path) -> Result<Self, Failure> {
        let is_pipe = |metadata: Metadata| metadata.file_type().is_fifo();
        if path != Path::new("-") && !std::fs::metadata(path).is_ok_and(is_pipe) {
            return Ok(Self::Path(path));
        }
        let read = job::spooled(path.to_str())?;
        Ok(read.map_or(Self::Path(path), Self::Read))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Path(path) => path,
            Self::Read(file) => file.path(),
        }
    }
}

/// Lists what was left out, even with `--quiet`.
fn tell_skipped(options: &AddOptions) {
    for skipped in options.skipped.iter().flat_map(Skipped::take) {
        output::error(&format!("left out: {}", terminal::escaped(&skipped)));
    }
}

fn unreadable(failure: Failure, options: &AddOptions) -> Failure {
    if failure.code() == ErrorCode::Path && options.skipped.is_none() {
        return failure.with_hint("to leave out unreadable entries: --skip-unreadable");
    }
    failure
}

/// The length of a file. Directories are not counted beforehand.
fn bytes_in(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Connects to the peers that were named.
async fn meet(client: &NodeClient, from: &From) -> Result<(), Failure> {
    for address in &from.from {
        client.connect(address).await?;
    }
    Ok(())
}

/// Waits for the content at a place, and says after a while that the search goes on.
async fn while_found<T>(
    global: &Global,
    client: &NodeClient,
    place: &ContentPath,
    work: impl Future<Output = T>,
) -> T {
    progress::while_found(global, client, &place.cid.to_string(), work).await
}

pub(super) async fn get(
    global: &Global,
    client: &NodeClient,
    args: &Get,
) -> Result<ExitCode, Failure> {
    let output = args.output.clone();
    let output = output.unwrap_or_else(|| args.place.name().into());
    if output == Path::new("-") {
        let hint = format!("to print a file: mc-wasm cat {}", args.place);
        return Err(Failure::usage("get prints nothing").with_hint(hint));
    }
    out::place(&output)?;
    meet(client, &args.from).await?;
    let timeout = args.from.timeout();
    let found = client.resolve(&args.place, keys::opened(&args.opened)?, timeout);
    let found = while_found(global, client, &args.place, found).await;
    let found = found.map_err(|e| sealed::perhaps(e, &args.opened))?;
    let progress = progress::bytes(global, "getting", None);
    let blocks = client.dag(found.cid, timeout, progress.clone());
    let blocks = while_found(global, client, &args.place, blocks).await?;
    let links = args.links.unwrap_or(Links::Refuse);
    let written = write_to_disk(&blocks, found, &output, links).await;
    written.map_err(|e| sealed::perhaps(e, &args.opened))?;
    progress.finish_and_clear();
    sealed::tell(global, &args.opened, sealed::names_in(&output));
    DONE
}

pub(super) async fn cat(
    global: &Global,
    client: &NodeClient,
    args: &Cat,
) -> Result<ExitCode, Failure> {
    meet(client, &args.from).await?;
    let timeout = args.from.timeout();
    let found = client.resolve(&args.place, keys::opened(&args.opened)?, timeout);
    let found = while_found(global, client, &args.place, found).await?;
    match print(global, client, args, found.clone()).await {
        Err(failure) if failure.code() == ErrorCode::CorruptContent => {
            let blocks = client.blocks(timeout);
            Err(another_kind(&blocks, found, EntryKind::File, failure).await)
        }
        printed => printed,
    }
}

async fn print(
    global: &Global,
    client: &NodeClient,
    args: &Cat,
    found: Entity,
) -> Result<ExitCode, Failure> {
    let (timeout, stdout) = (args.from.timeout(), tokio::io::stdout());
    if args.offset == 0 && args.length.is_none() {
        let hidden = indicatif::ProgressBar::hidden();
        let blocks = client.dag(found.cid, timeout, hidden);
        let blocks = while_found(global, client, &args.place, blocks).await?;
        unixfs::cat(&blocks, found, stdout, u64::MAX).await?;
        return DONE;
    }
    let end = args
        .length
        .map_or(u64::MAX, |length| args.offset.saturating_add(length.0));
    let blocks = client.blocks(timeout);
    unixfs::cat_range(&blocks, found, args.offset..end, stdout).await?;
    DONE
}

/// An entry of a directory, or what a place is.
#[derive(Debug, Serialize)]
struct Entry {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    cid: String,
    kind: &'static str,
    /// Bytes of a file.
    size: u64,
    /// Permissions, in octal, if they were kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
}

async fn look<S: BlockSource>(blocks: &S, name: String, entity: Entity) -> Result<Entry, Failure> {
    let cid = entity.cid;
    let stat = unixfs::stat(blocks, entity).await?;
    Ok(Entry {
        name,
        cid: cid.to_string(),
        kind: kind_name(stat.kind),
        size: stat.file_bytes,
        mode: stat.mode.map(|mode| format!("{mode:04o}")),
    })
}

/// Why content cannot be read as a certain kind: because it is of another kind, or because of `failure`.
async fn another_kind<S: BlockSource>(
    blocks: &S,
    entity: Entity,
    wanted: EntryKind,
    failure: Failure,
) -> Failure {
    let cid = entity.cid;
    match unixfs::stat(blocks, entity).await {
        Ok(stat) if stat.kind != wanted => {
            let (is, wanted) = (kind_name(stat.kind), kind_name(wanted));
            let message = format!("{cid} is no {wanted}: it is a {is}");
            let hint = match stat.kind {
                EntryKind::File => format!("to print it: mc-wasm cat {cid}"),
                EntryKind::Directory => format!("to list it: mc-wasm ls {cid}"),
                EntryKind::Symlink => format!("see what it is: mc-wasm stat {cid}"),
            };
            Failure::new(ErrorCode::Path, message).with_hint(hint)
        }
        _ => failure,
    }
}

const fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Symlink => "symlink",
    }
}

pub(super) async fn ls(
    global: &Global,
    client: &NodeClient,
    args: &Look,
) -> Result<ExitCode, Failure> {
    meet(client, &args.from).await?;
    let blocks = client.blocks(args.from.timeout());
    let entries = async {
        let found = client.resolve(
            &args.place,
            keys::opened(&args.opened)?,
            args.from.timeout(),
        );
        let found = found.await?;
        let entries = match unixfs::entries(&blocks, found.clone()).await {
            Ok(entries) => entries,
            Err(error) => {
                let wanted = EntryKind::Directory;
                return Err(another_kind(&blocks, found, wanted, error.into()).await);
            }
        };
        let looked = entries
            .into_iter()
            .map(|(name, entity)| look(&blocks, name, entity));
        let looked = stream::iter(looked).buffered(LOOKS);
        looked.try_collect::<Vec<_>>().await
    };
    let entries = while_found(global, client, &args.place, entries).await;
    let entries = entries.map_err(|e| sealed::perhaps(e, &args.opened))?;
    sealed::tell(
        global,
        &args.opened,
        entries.iter().map(|entry| &*entry.name),
    );
    let line = |entry: &Entry| {
        let slash = if entry.kind == "directory" { "/" } else { "" };
        let size = entry.size.to_string();
        vec![entry.cid.clone(), size, format!("{}{slash}", entry.name)]
    };
    output::value(global, &entries, |entries| {
        output::table(&entries.iter().map(line).collect::<Vec<_>>())
    })?;
    DONE
}

pub(super) async fn stat(
    global: &Global,
    client: &NodeClient,
    args: &Look,
) -> Result<ExitCode, Failure> {
    meet(client, &args.from).await?;
    let timeout = args.from.timeout();
    let entry = async {
        let found = client.resolve(&args.place, keys::opened(&args.opened)?, timeout);
        look(&client.blocks(timeout), String::new(), found.await?).await
    };
    let entry = while_found(global, client, &args.place, entry).await;
    let entry = entry.map_err(|e| sealed::perhaps(e, &args.opened))?;
    output::value(global, &entry, |entry| {
        let mode = entry.mode.as_ref().map(|mode| format!(", mode {mode}"));
        let mode = mode.unwrap_or_default();
        format!("{} {}, {} bytes{mode}", entry.cid, entry.kind, entry.size)
    })?;
    DONE
}

pub(super) async fn car(
    global: &Global,
    client: &NodeClient,
    command: &Car,
) -> Result<ExitCode, Failure> {
    match command {
        Car::Export {
            place,
            output,
            from,
        } => {
            let output = output.as_deref().filter(|path| *path != Path::new("-"));
            output.map_or(Ok(()), out::new_file)?;
            meet(client, from).await?;
            let cid = client.resolve(place, None, from.timeout()).await?.cid;
            let car = Exported {
                client,
                cid,
                timeout: from.timeout(),
            };
            match output {
                None => car.write(&mut std::io::stdout().lock()).await?,
                Some(path) => car.write_to(path).await?,
            }
        }
        Car::Import { path, no_pin } => {
            // It is read twice.
            let given = AddSource::of(path)?;
            let roots = import(client, (path.as_path(), given.path()), *no_pin).await?;
            let roots: Vec<_> = roots.iter().map(ToString::to_string).collect();
            if roots.is_empty() {
                let path = path.display();
                let note =
                    format!("{path} names no roots: its blocks are stored, but nothing keeps them");
                output::note(global, &note);
            }
            output::value(global, &roots, |roots| roots.join("\n"))?;
        }
    }
    DONE
}

pub(super) async fn layer(
    global: &Global,
    client: &NodeClient,
    command: &Layer,
) -> Result<ExitCode, Failure> {
    let layer = match command {
        Layer::Add { path } => {
            let progress = progress::bytes(global, "adding", bytes_in(path));
            let options = mc_content::AddOptions::default();
            let cid = client.add(path, &options, &progress).await?;
            progress.finish_and_clear();
            client.add_layer(cid).await?
        }
        Layer::Rm { digest } => {
            return client
                .remove_layer(digest)
                .await
                .map(|()| ExitCode::SUCCESS);
        }
        Layer::Get {
            digest,
            size,
            output,
            from,
        } => {
            out::new_file(output)?;
            meet(client, from).await?;
            let layer = client.layer(digest, *size, from.timeout()).await?;
            leave_layer(client, layer.cid, digest, output).await?;
            layer
        }
    };
    output::value(global, &layer, |layer| {
        format!("{} {}", layer.digest, layer.cid)
    })?;
    DONE
}

/// Writes a layer under another name, which becomes `path` once all of it has the digest.
async fn leave_layer(
    client: &NodeClient,
    cid: Cid,
    digest: &Digest,
    path: &Path,
) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::path(path, &e);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = tempfile::tempdir_in(dir.unwrap_or_else(|| Path::new("."))).map_err(failed)?;
    let written = dir.path().join("layer");
    client.leave(cid.into(), &written, Links::Refuse).await?;
    let found = digest_of(&written).map_err(failed)?;
    if found != *digest {
        let message =
            format!("the content found as {digest} has the digest {found}, and was not kept");
        return Err(Failure::new(ErrorCode::CorruptContent, message));
    }
    // It is in its place from now on, and is not removed with the directory.
    let written = tempfile::TempPath::try_from_path(written).map_err(failed)?;
    written.persist_noclobber(path).map_err(|e| failed(e.error))
}

fn digest_of(path: &Path) -> std::io::Result<Digest> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(Digest::new(hasher.finalize().into())),
            read => hasher.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// Content on its way into a CAR file.
struct Exported<'c> {
    client: &'c NodeClient,
    cid: Cid,
    timeout: Option<Duration>,
}

impl Exported<'_> {
    /// Writes it under a temporary name, which becomes `path` once all of it is there.
    async fn write_to(&self, path: &Path) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::path(path, &e);
        let mut file = out::beside(path).map_err(failed)?;
        self.write(&mut file).await?;
        let persisted = file.persist_noclobber(path).map_err(|e| e.error);
        persisted.map(drop).map_err(failed)
    }

    /// Verifies it as it arrives: each block, and that none of the DAG is missing. A broken stream is requested again,
    /// since every node sends it in the same order.
    async fn write(&self, to: &mut impl Write) -> Result<(), Failure> {
        let failed = |e: std::io::Error| Failure::path(Path::new("output"), &e);
        let open = || self.client.car(&self.cid, "car-dups=n", self.timeout);
        let mut tries = self.client.tries();
        self.client.begin(&mut tries);
        let mut reader = car::Reader::new(open().await?);
        to.write_all(&car::header(&[self.cid])).map_err(failed)?;
        let mut awaited: HashSet<_> = links::to_fetch(vec![self.cid])?.into_iter().collect();
        let mut seen = HashSet::new();
        loop {
            let block = match reader.next().await {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(error) => {
                    let lost = Failure::new(ErrorCode::NodeUnreachable, error.to_string());
                    if !self.client.asks_again(&lost, &mut tries).await {
                        return Err(error.into());
                    }
                    self.client.begin(&mut tries);
                    reader = car::Reader::new(open().await?);
                    continue;
                }
            };
            let below = links::of(block.cid(), block.bytes())?;
            if awaited.remove(block.cid()) && seen.insert(*block.cid()) {
                for piece in car::section(&block) {
                    to.write_all(&piece).map_err(failed)?;
                }
                awaited.extend(below.into_iter().filter(|cid| !seen.contains(cid)));
            }
        }
        to.flush().map_err(failed)?;
        match awaited.into_iter().next() {
            None => Ok(()),
            Some(cid) => Err(mc_content::Error::NotFound { cid, peers: None }.into()),
        }
    }
}

/// Stores the blocks of the CAR file at `place`, which is called `path`, and pins the roots that it names.
async fn import(
    client: &NodeClient,
    (path, place): (&Path, &Path),
    no_pin: bool,
) -> Result<Vec<Cid>, Failure> {
    let file = tokio::fs::File::open(place).await;
    let file = file.map_err(|e| Failure::path(path, &e))?;
    let mut reader = car::Reader::new(file_pieces(file));
    let roots = reader.roots().await?.to_vec();
    client.import_file(place).await?;
    if no_pin {
        return Ok(roots);
    }
    if let Some(root) = client.missing(roots.clone()).await?.first() {
        let message = format!("{} does not have all of {root}", path.display());
        let hint = "its blocks are stored, but nothing keeps them; with --no-pin that is no error";
        return Err(Failure::new(ErrorCode::ContentNotFound, message).with_hint(hint));
    }
    for root in &roots {
        client.pin(&root.to_string(), *root).await?;
    }
    Ok(roots)
}

#[cfg(test)]
mod tests;
