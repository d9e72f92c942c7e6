//! Files into and out of real nodes by their command line, with the disk, beside what the machine does with the
//! same bytes at best.

use crate::measurements::median;
use anyhow::{Context, Result, ensure};
use mc_conformance::{Node, NodeOptions};
use mc_types::cid;
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{Read, Write},
    path::Path,
    time::Instant,
};

/// Runs of which the median counts.
const RUNS: usize = 3;
/// Bytes that are read, written and hashed at a time.
const PIECE_BYTES: usize = 8 << 20;
/// Small files, and the bytes of each.
const FILES: u32 = 100_000;
const FILE_BYTES: usize = 1000;

pub(crate) fn measure(mebibytes: usize) -> Result<Value> {
    let dir = tempfile::tempdir()?;
    let large = large(dir.path(), mebibytes)?;
    Ok(json!({ "large": large, "small": small(dir.path())? }))
}

/// One file, added to a node, fetched by another, and written there as a file again.
fn large(dir: &Path, mebibytes: usize) -> Result<Value> {
    let (file, out) = (dir.join("file"), dir.join("out"));
    let bytes = write_noise(&file, mebibytes)?;
    let (mut hash, mut copy) = (Vec::new(), Vec::new());
    let (mut add, mut fetch, mut get) = (Vec::new(), Vec::new(), Vec::new());
    let (mut adding_peak, mut fetching_peak) = (0, 0);
    for _ in 0..RUNS {
        let speed = |begun: Instant| bytes / 1e6 / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        pieces(&file, |piece| {
            std::hint::black_box(cid::of(cid::RAW, piece));
            Ok(())
        })?;
        hash.push(speed(begun));
        let begun = Instant::now();
        let mut written = File::create(&out)?;
        pieces(&file, |piece| Ok(written.write_all(piece)?))?;
        written.sync_data()?;
        copy.push(speed(begun));
        fs::remove_file(&out)?;

        let node = NodeOptions::new().start();
        let begun = Instant::now();
        let cid = added(&node, &file)?;
        add.push(speed(begun));
        let other = NodeOptions::new().bootstrap(&node).start();
        let begun = Instant::now();
        other.mc(["pin", "add", &cid]).expect_code(0);
        fetch.push(speed(begun));
        let begun = Instant::now();
        get_to(&other, &cid, &out)?;
        get.push(speed(begun));
        ensure!(fs::metadata(&out)?.len() == fs::metadata(&file)?.len());
        fs::remove_file(&out)?;
        adding_peak = adding_peak.max(node.peak_memory_bytes());
        fetching_peak = fetching_peak.max(other.peak_memory_bytes());
    }
    fs::remove_file(&file)?;
    let (copy, add) = (median(copy), median(add));
    Ok(json!({
        "mebibytes": mebibytes,
        "sha256_one_core_mb_per_s": median(hash),
        "copy_with_fdatasync_mb_per_s": copy,
        "add_mb_per_s": add,
        "add_to_copy": add / copy,
        "fetch_into_store_mb_per_s": median(fetch),
        "get_into_file_mb_per_s": median(get),
        "peak_of_adding_node_bytes": adding_peak,
        "peak_of_fetching_node_bytes": fetching_peak,
    }))
}

/// A directory of many small files, each another.
fn small(dir: &Path) -> Result<Value> {
    let (files, out) = (dir.join("files"), dir.join("out"));
    fs::create_dir(&files)?;
    for number in 0..FILES {
        let mut bytes = [7; FILE_BYTES];
        for (to, from) in bytes.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        fs::write(files.join(number.to_string()), bytes)?;
    }
    let node = NodeOptions::new().start();
    let begun = Instant::now();
    let cid = added(&node, &files)?;
    let add = begun.elapsed().as_secs_f64();
    let other = NodeOptions::new().bootstrap(&node).start();
    let begun = Instant::now();
    get_to(&other, &cid, &out)?;
    let get = begun.elapsed().as_secs_f64();
    ensure!(fs::read_dir(&out)?.count() == usize::try_from(FILES)?);
    Ok(json!({ "files": FILES, "bytes_each": FILE_BYTES, "add_s": add, "get_from_peer_s": get }))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path in UTF-8")
}

fn added(node: &Node, path: &Path) -> Result<String> {
    let line = node.mc(["add", text(path)?]).expect_code(0).text();
    let cid = line.split_whitespace().next();
    Ok(cid.context("a CID")?.to_owned())
}

fn get_to(node: &Node, cid: &str, path: &Path) -> Result<()> {
    node.mc(["get", cid, "--output", text(path)?])
        .expect_code(0);
    Ok(())
}

/// Reads a file piece by piece.
fn pieces(path: &Path, mut each: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; PIECE_BYTES];
    loop {
        let read = file.read(&mut buffer)?;
        match buffer.get(..read) {
            None | Some([]) => return Ok(()),
            Some(piece) => each(piece)?,
        }
    }
}

/// Writes a file of which no two mebibytes are the same; gives its bytes.
fn write_noise(path: &Path, mebibytes: usize) -> Result<f64> {
    let mut file = File::create(path)?;
    let mut piece = vec![7; 1 << 20];
    for number in 0..u32::try_from(mebibytes)? {
        for (to, from) in piece.iter_mut().zip(number.to_le_bytes()) {
            *to = from;
        }
        file.write_all(&piece)?;
    }
    file.sync_data()?;
    Ok(f64::from(u32::try_from(mebibytes)?) * 1_048_576.0)
}
