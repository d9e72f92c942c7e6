//! Compares two processors: the same programs, stopped on one and resumed on the other.
//!
//! `mc-cross RESUMES NATIVE OTHER...`: the program `mc-wasm` of this machine, and that of another one with whatever runs
//! it here. `cargo xtask cross` builds both.

#![expect(
    clippy::print_stdout,
    reason = "the report is what this command is for"
)]

use anyhow::{Context, Result, ensure};
use mc_artifacts::{guest, root};
use serde_json::Value;
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// Guests whose outcome follows from the task alone, with options and arguments.
const GUESTS: &[(&str, &[&str], &[&str])] = &[
    ("clocks", &[], &[]),
    ("compute", &[], &[]),
    ("echo_world", &["--env", "A=b"], &["one", "two"]),
    ("exit_failure", &[], &[]),
    ("memory_hog", &["--memory", "16MiB"], &[]),
    ("output_flood", &["--output", "64KiB"], &[]),
    ("std_files", &[], &[]),
    ("ticks", &["--fuel", "20000000"], &[]),
    ("trap_recursion", &["--stack", "256KiB"], &[]),
    ("trap_unreachable", &[], &[]),
    ("working_set", &["--fuel", "50000000"], &[]),
];
/// Of the vectors' own options, those that `outcomes.json` does not have.
const WORLD: &[&str] = &["--env", "A=b", "--stdin"];

/// Positions follow from this, so that a report can be made again.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

fn main() -> ExitCode {
    match report() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("{error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was the same.
fn report() -> Result<bool> {
    let mut arguments = std::env::args_os().skip(1);
    let resumes = arguments.next().context("RESUMES NATIVE OTHER...")?;
    let resumes: u64 = resumes.to_string_lossy().parse().context("RESUMES")?;
    let native = arguments.next().context("RESUMES NATIVE OTHER...")?;
    let other: Vec<_> = arguments.collect();
    let scratch = tempfile::tempdir()?;
    let here = Processor::new(vec![native], scratch.path().join("here"));
    let there = Processor::new(other, scratch.path().join("there"));
    let programs = programs()?;
    let (mut same, mut resumed, mut tried) = (0, 0, 0);
    let mut position = SEED;
    for program in &programs {
        let (one, other) = (here.run(program)?, there.run(program)?);
        let committed = program.committed.as_ref();
        if one != other || committed.is_some_and(|committed| *committed != one) {
            println!("{}: {one:?} here, {other:?} there", program.name);
            continue;
        }
        same += 1;
        let stops = program.is_guest && one.fuel > 0 && here.stops(program)?;
        for number in 0..if stops { resumes } else { 0 } {
            // Numbers that are spread, not secret (Knuth's MMIX).
            position = position
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (position >> 16) % one.fuel;
            let (from, to) = match number % 2 {
                0 => (&here, &there),
                _ => (&there, &here),
            };
            let Some(file) = from.stop(program, at, scratch.path())? else {
                continue;
            };
            tried += 1;
            let gone_on = to.resume(program, &file)?;
            if gone_on == one {
                resumed += 1;
            } else {
                println!("{} from {at}: {gone_on:?}, not {one:?}", program.name);
            }
        }
    }
    println!(
        "{same} of {} programs: the same outcome and fuel",
        programs.len()
    );
    println!(
        "{resumed} of {tried} checkpoints: resumed to the same outcome on the other processor"
    );
    Ok(same == programs.len() && resumed == tried && tried > 0)
}

/// What is run on both.
struct Program {
    name: String,
    wasm: PathBuf,
    options: Vec<OsString>,
    arguments: Vec<String>,
    is_guest: bool,
    /// What it has to come to.
    committed: Option<Ended>,
}

/// What a run came to.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    outcome: String,
    fuel: u64,
}

impl Ended {
    fn of(view: &Value) -> Option<Self> {
        Some(Self {
            outcome: view.get("outcome_cid")?.as_str()?.to_owned(),
            fuel: view.get("fuel")?.as_u64()?,
        })
    }
}

fn programs() -> Result<Vec<Program>> {
    let vectors = root().join("conformance/vectors");
    let outcomes = std::fs::read(vectors.join("outcomes.json"))?;
    let outcomes: serde_json::Map<String, Value> = serde_json::from_slice(&outcomes)?;
    let texts = |outcome: &Value, name: &str| -> Vec<String> {
        let values = outcome.get(name).and_then(Value::as_array);
        let values = values.into_iter().flatten();
        values
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let mut programs = Vec::new();
    for (name, outcome) in outcomes {
        // Checkpoints of old versions are no programs.
        let wasm = vectors.join(format!("{name}.wasm"));
        let mut options: Vec<OsString> = Vec::new();
        options.extend(texts(&outcome, "options").into_iter().map(OsString::from));
        if name == "world" {
            options.extend(WORLD.iter().map(OsString::from));
            options.push(vectors.join("stdin.txt").into());
        }
        programs.push(Program {
            wasm,
            options,
            arguments: texts(&outcome, "arguments"),
            is_guest: false,
            committed: Ended::of(&outcome),
            name,
        });
    }
    for (name, options, arguments) in GUESTS {
        programs.push(Program {
            name: (*name).to_owned(),
            wasm: guest(name),
            options: options.iter().map(OsString::from).collect(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
            is_guest: true,
            committed: None,
        });
    }
    Ok(programs)
}

/// A processor: the program for it, and how it is started here.
struct Processor {
    command: Vec<OsString>,
    /// Compiled code is of one processor.
    cache: PathBuf,
}

impl Processor {
    fn new(command: Vec<OsString>, cache: PathBuf) -> Self {
        Self { command, cache }
    }

    fn call(&self, arguments: &[OsString]) -> Result<Option<Value>> {
        let (first, rest) = self.command.split_first().context("a program")?;
        let mut command = Command::new(first);
        command
            .args(rest)
            .args(["--quiet", "--format", "json"])
            .args(arguments)
            .env("MC_WASM_CACHE_DIR", &self.cache)
            .env("MC_WASM_DATA_DIR", &self.cache)
            .stdin(Stdio::null());
        let output = command.output().with_context(|| format!("{first:?}"))?;
        let view = serde_json::from_slice(&output.stdout).ok();
        if view.is_none() && !output.status.success() {
            let errors = String::from_utf8_lossy(&output.stderr);
            println!("{arguments:?}: {}: {errors}", output.status);
        }
        Ok(view)
    }

    fn run(&self, program: &Program) -> Result<Ended> {
        let view = self.call(&program.typed(&[]))?;
        let ended = view.as_ref().and_then(Ended::of);
        ended.with_context(|| format!("{} has no outcome", program.name))
    }

    fn stops(&self, program: &Program) -> Result<bool> {
        let view = self.call(&["inspect".into(), program.wasm.clone().into()])?;
        Ok(view.is_some_and(|view| view.get("resumable") == Some(&Value::Bool(true))))
    }

    /// The checkpoint of a run that was stopped; none if it ended before.
    fn stop(&self, program: &Program, at: u64, scratch: &Path) -> Result<Option<PathBuf>> {
        let file = scratch.join("checkpoint");
        let at = at.to_string();
        let stop = [
            "--checkpoint-at".as_ref(),
            at.as_ref(),
            "-o".as_ref(),
            file.as_os_str(),
        ];
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        self.call(&program.typed(&stop))?;
        Ok(file.exists().then_some(file))
    }

    fn resume(&self, program: &Program, file: &Path) -> Result<Ended> {
        let view = self.call(&["resume".into(), file.into()])?;
        ensure!(
            view.is_some(),
            "{} cannot go on from {file:?}",
            program.name
        );
        let ended = view.as_ref().and_then(Ended::of);
        ended.with_context(|| format!("{} has no outcome", program.name))
    }
}

impl Program {
    fn typed(&self, options: &[&std::ffi::OsStr]) -> Vec<OsString> {
        let mut typed: Vec<OsString> = vec!["run".into()];
        typed.extend(options.iter().map(OsString::from));
        typed.extend(self.options.iter().cloned());
        typed.push(self.wasm.clone().into());
        typed.push("--".into());
        typed.extend(self.arguments.iter().map(OsString::from));
        typed
    }
}
