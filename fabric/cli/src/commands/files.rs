//! `add`, `get`, `cat`, `ls`, `stat`, `car`

use crate::{
    args::{Add, Car, Cat, From, Get, Global, Layer, Look},
    client::{Client, file_body, file_pieces},
    failure::Failure,
    keys, output, progress,
};
use futures::{StreamExt, TryStreamExt, stream};
use mc_content::{
    BlockSource, CountingSink, car, links,
    unixfs::{self, Entity, Kind},
};
use mc_types::{Cid, ErrorCode};
use serde::Serialize;
use std::{collections::HashSet, io::Write, path::Path, process::ExitCode};

const DONE: Result<ExitCode, Failure> = Ok(ExitCode::SUCCESS);
/// Entries that are looked at together.
const LOOKS: usize = 16;

pub(super) async fn only_hash(args: &Add) -> Result<ExitCode, Failure> {
    let added = unixfs::add_path(&args.path, &CountingSink::default(), &args.options(None)).await?;
    output::line(&added.cid.to_string())?;
    DONE
}

/// Adds, and pins under the content's own CID, so that it stays until the user unpins it.
pub(super) async fn add(global: &Global, client: &Client, args: &Add) -> Result<ExitCode, Failure> {
    let progress = progress::bytes(global, "adding", bytes_in(&args.path));
    let key = args.key_file.as_deref().map(keys::read_or_create);
    let options = args.options(key.transpose()?);
    let cid = client.add(&args.path, &options, &progress).await?;
    progress.finish_and_clear();
    let name = args.name.clone().unwrap_or_else(|| cid.to_string());
    let pin = client.pin(&name, cid).await?;
    output::value(global, &pin, |pin| {
        format!("{} {}", pin.cid, args.path.display())
    })?;
    DONE
}

/// The length of a file. What a directory holds is not counted beforehand.
fn bytes_in(path: &Path) -> Option<u64> {
    let metadata = std::fs::metadata(path).ok()?;
    metadata.is_file().then_some(metadata.len())
}

/// Connects to the peers that were named.
async fn meet(client: &Client, from: &From) -> Result<(), Failure> {
    for address in &from.from {
        client.connect(address).await?;
    }
    Ok(())
}

pub(super) async fn get(global: &Global, client: &Client, args: &Get) -> Result<ExitCode, Failure> {
    meet(client, &args.from).await?;
    let timeout = args.from.timeout();
    let found = client.resolve(&args.place, args.opened.key()?, timeout);
    let found = found.await?;
    let output = args.output.clone();
    let output = output.unwrap_or_else(|| args.place.name().into());
    let progress = progress::bytes(global, "getting", None);
    let blocks = client.dag(found.cid, timeout, progress.clone()).await?;
    unixfs::export(&blocks, found, &output, u64::MAX).await?;
    progress.finish_and_clear();
    DONE
}

pub(super) async fn cat(client: &Client, args: &Cat) -> Result<ExitCode, Failure> {
    meet(client, &args.from).await?;
    let timeout = args.from.timeout();
    let found = client.resolve(&args.place, args.opened.key()?, timeout);
    let found = found.await?;
    let stdout = tokio::io::stdout();
    if args.offset == 0 && args.length.is_none() {
        let hidden = indicatif::ProgressBar::hidden();
        let blocks = client.dag(found.cid, timeout, hidden).await?;
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
    let kind = match stat.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
    };
    Ok(Entry {
        name,
        cid: cid.to_string(),
        kind,
        size: stat.file_bytes,
        mode: stat.mode.map(|mode| format!("{mode:04o}")),
    })
}

pub(super) async fn ls(global: &Global, client: &Client, args: &Look) -> Result<ExitCode, Failure> {
    meet(client, &args.from).await?;
    let blocks = client.blocks(args.from.timeout());
    let found = client.resolve(&args.place, args.opened.key()?, args.from.timeout());
    let entries = unixfs::entries(&blocks, found.await?).await?;
    let looked = entries
        .into_iter()
        .map(|(name, entity)| look(&blocks, name, entity));
    let entries: Vec<_> = stream::iter(looked).buffered(LOOKS).try_collect().await?;
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
    client: &Client,
    args: &Look,
) -> Result<ExitCode, Failure> {
    meet(client, &args.from).await?;
    let timeout = args.from.timeout();
    let found = client.resolve(&args.place, args.opened.key()?, timeout);
    let entry = look(&client.blocks(timeout), String::new(), found.await?).await?;
    output::value(global, &entry, |entry| {
        let mode = entry.mode.as_ref().map(|mode| format!(", mode {mode}"));
        let mode = mode.unwrap_or_default();
        format!("{} {}, {} bytes{mode}", entry.cid, entry.kind, entry.size)
    })?;
    DONE
}

pub(super) async fn car(
    global: &Global,
    client: &Client,
    command: &Car,
) -> Result<ExitCode, Failure> {
    match command {
        Car::Export {
            place,
            output,
            from,
        } => {
            meet(client, from).await?;
            let cid = client.resolve(place, None, from.timeout()).await?.cid;
            let pieces = client.car(&cid, "car-dups=n", from.timeout()).await?;
            match output.as_deref().filter(|path| *path != Path::new("-")) {
                None => export(cid, pieces, &mut std::io::stdout().lock()).await?,
                Some(path) => export_to(cid, pieces, path).await?,
            }
        }
        Car::Import { path, no_pin } => {
            let roots = import(client, path, *no_pin).await?;
            let roots: Vec<_> = roots.iter().map(ToString::to_string).collect();
            output::value(global, &roots, |roots| roots.join("\n"))?;
        }
    }
    DONE
}

pub(super) async fn layer(
    global: &Global,
    client: &Client,
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
        Layer::Get {
            digest,
            size,
            output,
            from,
        } => {
            meet(client, from).await?;
            let layer = client.layer(digest, *size, from.timeout()).await?;
            client.leave(layer.cid.into(), output).await?;
            layer
        }
    };
    output::value(global, &layer, |layer| {
        format!("{} {}", layer.digest, layer.cid)
    })?;
    DONE
}

type Pieces = crate::client::Pieces;

/// Writes a CAR under a temporary name, which becomes `path` once all of it is there.
async fn export_to(cid: Cid, pieces: Pieces, path: &Path) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::path(path, &e);
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    export(cid, pieces, &mut file).await?;
    let persisted = file.persist_noclobber(path).map_err(|e| e.error);
    persisted.map(drop).map_err(failed)
}

/// Verifies a CAR as it arrives: each block, and that none of the DAG is missing.
async fn export(cid: Cid, pieces: Pieces, to: &mut impl Write) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::path(Path::new("output"), &e);
    let mut reader = car::Reader::new(pieces);
    to.write_all(&car::header(&[cid])).map_err(failed)?;
    let mut awaited = HashSet::from([cid]);
    let mut seen = HashSet::new();
    while let Some(block) = reader.next().await? {
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

/// Stores the blocks of a CAR file, and pins the roots that it names.
async fn import(client: &Client, path: &Path, no_pin: bool) -> Result<Vec<Cid>, Failure> {
    let open = async || {
        let file = tokio::fs::File::open(path).await;
        file.map_err(|e| Failure::path(path, &e))
    };
    let mut reader = car::Reader::new(file_pieces(open().await?));
    let roots = reader.roots().await?.to_vec();
    client.import(file_body(open().await?)).await?;
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
