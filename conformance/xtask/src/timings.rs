//! What it costs to build this repository: `cargo xtask timings [COMMIT]`.
//!
//! A clone of the commit is built from nothing in a directory of its own, as a newcomer would, so that any two commits
//! can be compared on one machine. The result is a table for `conformance/README.md`.

use crate::command::succeed;
use anyhow::{Context, Result, ensure};
use mc_artifacts::{root, target_dir};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

/// Starts of a command of which the median is taken.
const STARTS: usize = 21;
/// A crate in the middle of the tree, that much depends on.
const EDITED: &str = "fabric/node/src/lib.rs";

pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let commit = arguments.next().unwrap_or_else(|| "HEAD".to_owned());
    let place = Place::new(&commit)?;
    println!("| what | processor time | clock |\n|---|---|---|");
    let first = place.cargo(&["build", "--release"])?;
    row("`cargo run --release`, from nothing: compiling", &first);
    let second = place.cargo(&["test", "--release", "--workspace", "--no-run"])?;
    let again = second.crates.intersection(&first.crates).count();
    let what = format!("the test command after it: compiling, libraries once more: {again}");
    row(&what, &second);
    let clippy = place.cargo(&["clippy", "--release", "--workspace", "--all-targets"])?;
    row("clippy after them", &clippy);
    place.edit()?;
    row(
        "one line changed in `fabric/node`: `cargo build --release`",
        &place.cargo(&["build", "--release"])?,
    );
    place.edit()?;
    let tests = place.cargo(&["test", "--release", "--package", "mc-node"])?;
    row("the same: `cargo test --release --package mc-node`", &tests);
    let binary = place.target.join("release/mc-wasm");
    let megabytes = fs::metadata(&binary)?.len() / 1_000_000;
    println!("| size of `mc-wasm` | {megabytes} MB | |");
    println!(
        "| start of `mc-wasm version` | | {:.1} ms |",
        start(&binary)?
    );
    Ok(())
}

/// A clone of one commit, and a target directory for it; both removed when dropped.
struct Place {
    clone: PathBuf,
    target: PathBuf,
}

impl Place {
    fn new(commit: &str) -> Result<Self> {
        let dir = target_dir().join("timings");
        let place = Self {
            clone: dir.join("clone"),
            target: dir.join("target"),
        };
        place.remove();
        fs::create_dir_all(&dir)?;
        let mut clone = Command::new("git");
        clone.args(["clone", "--quiet", "--shared"]).arg(root());
        succeed(clone.arg(&place.clone))?;
        let mut checkout = Command::new("git");
        checkout.arg("-C").arg(&place.clone);
        succeed(checkout.args(["checkout", "--quiet", "--detach", commit]))?;
        // Downloads are not what is measured.
        let mut fetch = mc_artifacts::cargo();
        succeed(fetch.args(["fetch", "--locked"]).current_dir(&place.clone))?;
        Ok(place)
    }

    fn remove(&self) {
        for dir in [&self.clone, &self.target] {
            // It may not be there.
            let _ = fs::remove_dir_all(dir);
        }
    }

    /// Runs cargo, and says what it took.
    fn cargo(&self, arguments: &[&str]) -> Result<Cost> {
        let mut cargo = mc_artifacts::cargo();
        cargo
            .args(arguments)
            .current_dir(&self.clone)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let (begun, before) = (Instant::now(), processor_seconds()?);
        let mut child = cargo.spawn().context("cargo")?;
        let said = BufReader::new(child.stderr.take().context("it is piped")?);
        let lines = said.lines().collect::<Result<Vec<_>, _>>()?;
        let status = child.wait()?;
        ensure!(status.success(), "{arguments:?}: {}", lines.join("\n"));
        Ok(Cost {
            processor: processor_seconds()? - before,
            clock: begun.elapsed().as_secs_f64(),
            crates: lines.iter().filter_map(|line| compiled(line)).collect(),
        })
    }

    /// Changes one line.
    fn edit(&self) -> Result<()> {
        let path = self.clone.join(EDITED);
        let mut file = fs::OpenOptions::new().append(true).open(&path)?;
        let number = file.metadata()?.len();
        let line = format!("\n/// Changed.\npub const CHANGED_{number}: u64 = {number};\n");
        Ok(file.write_all(line.as_bytes())?)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.remove();
    }
}

/// What a command took, in seconds, and the libraries of others that it compiled.
struct Cost {
    processor: f64,
    clock: f64,
    crates: BTreeSet<String>,
}

/// The library and version of a line such as `   Compiling serde v1.0.229`; none for a crate of ours, which has a path.
fn compiled(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("Compiling ")?;
    (!rest.contains('(')).then(|| rest.to_owned())
}

/// Processor seconds of all children that have ended, and of theirs: fields 16 and 17 of proc_pid_stat(5), in hundredths.
fn processor_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').context("/proc/self/stat")?;
    let fields = rest.split_whitespace().skip(13).take(2);
    let ticks = fields.map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(ticks / 100.0)
}

fn start(binary: &Path) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let output = Command::new(binary).arg("version").output()?;
        ensure!(output.status.success(), "mc-wasm version failed");
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    times.get(STARTS / 2).copied().context("a median")
}

fn row(what: &str, cost: &Cost) {
    println!(
        "| {what} | {} | {} |",
        minutes(cost.processor),
        minutes(cost.clock)
    );
}

fn minutes(seconds: f64) -> String {
    if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.1} min", seconds / 60.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_of_others_are_counted() {
        assert_eq!(
            compiled("   Compiling serde v1.0.229").as_deref(),
            Some("serde v1.0.229")
        );
        assert_eq!(
            compiled("   Compiling mc-node v0.0.0 (/x/fabric/node)"),
            None
        );
        assert_eq!(compiled("    Finished `release` profile"), None);
    }
}
