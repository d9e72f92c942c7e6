//! Committed tasks with their committed outcomes.

use mc_conformance::binary;
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Options that a vector is run with, for those that need any.
const OPTIONS: &[(&str, &[&str])] = &[
    ("loop", &["--fuel", "100000"]),
    ("memory-4gib", &["--memory", "4GiB"]),
    ("memory-limit", &["--memory", "8MiB"]),
    ("output-limit", &["--output", "1000"]),
    ("recursion", &["--stack", "64KiB"]),
    ("clock", &["--clock", "1000000000"]),
];

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors")
}

/// What a run of a vector comes to.
fn outcome(name: &str, wasm: &Path, engine: &str, cache: &Path) -> Value {
    let options = OPTIONS.iter().find(|(vector, _)| *vector == name);
    let options = options.map_or(&[][..], |(_, options)| options);
    let mut command = Command::new(binary());
    command
        .env("MC_WASM_CACHE_DIR", cache)
        .args(["--quiet", "--format", "json", "run", "--engine", engine])
        .args(options);
    let mut arguments = vec![];
    if name == "world" {
        command
            .args(["--env", "A=b", "--stdin"])
            .arg(dir().join("stdin.txt"));
        arguments = vec!["one", "", "drei und vier", "ü"];
    }
    command.arg(wasm).arg("--").args(&arguments);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let job: Value = serde_json::from_slice(&output.stdout).expect(&told);
    json!({
        "options": options,
        "arguments": arguments,
        "task_cid": job["task_cid"],
        "outcome_cid": job["outcome_cid"],
        "stdout_cid": job["stdout_cid"],
        "outputs_cid": job["outputs_cid"],
        "fuel": job["fuel"],
        "exit_code": job["exit_code"],
        "trap": job["trap"],
        "failure": job["failure"],
    })
}

#[test]
fn vectors_have_their_committed_outcomes_on_every_engine() {
    let path = dir().join("outcomes.json");
    let mut known: Map<String, Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let bless = std::env::var_os("MC_BLESS").is_some();
    let mut names: Vec<_> = fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    assert!(names.len() >= 15, "{names:?}");
    let cache = tempfile::tempdir().unwrap();
    for name in names {
        let wasm = dir().join(format!("{name}.wasm"));
        if bless && !wasm.exists() {
            fs::write(
                &wasm,
                wat::parse_file(dir().join(format!("{name}.wat"))).unwrap(),
            )
            .unwrap();
        }
        for engine in ["cranelift", "pulley"] {
            let outcome = outcome(&name, &wasm, engine, cache.path());
            if bless && !known.contains_key(&name) {
                known.insert(name.clone(), outcome.clone());
            }
            assert_eq!(known.get(&name), Some(&outcome), "{name} on {engine}");
        }
    }
    if bless {
        let text = serde_json::to_string_pretty(&known).unwrap();
        fs::write(&path, format!("{text}\n")).unwrap();
    }
}
