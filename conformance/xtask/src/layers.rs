//! Who may depend on whom: crates, and files within a crate.

use crate::circles;
use anyhow::{Context, Result, bail, ensure};
use mc_artifacts::root;
use std::collections::BTreeMap;

/// The crates of the workspace, each with those that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("mc-types", &[]),
    ("mc-wasi", &["mc-types"]),
    ("mc-checkpoint", &["mc-types"]),
    ("mc-engine", &["mc-types", "mc-wasi", "mc-checkpoint"]),
    ("mc-system", &["mc-types"]),
    ("mc-directories", &[]),
    ("mc-content", &["mc-types", "mc-directories"]),
    ("mc-bitswap", &["mc-types"]),
    ("mc-scheduler", &["mc-types"]),
    ("mc-ledger", &["mc-types"]),
    ("mc-quic", &[]),
    ("mc-protocol", &["mc-types"]),
    (
        "mc-net",
        &["mc-types", "mc-protocol", "mc-bitswap", "mc-quic"],
    ),
    // What the machine has, for defaults and bounds; neither a network nor a store.
    ("mc-config", &["mc-types", "mc-system"]),
    ("mc-supervision", &["mc-types"]),
    // Neither a database, nor blocks, nor a network: tests are all of these.
    (
        "mc-coordinator",
        &["mc-types", "mc-scheduler", "mc-protocol", "mc-supervision"],
    ),
    ("mc-api", &["mc-types"]),
    ("mc-gateway", &["mc-types", "mc-content", "mc-api"]),
    (
        "mc-execution",
        &[
            "mc-types",
            "mc-wasi",
            "mc-checkpoint",
            "mc-engine",
            "mc-directories",
            "mc-content",
        ],
    ),
    (
        "mc-worker",
        &[
            "mc-types",
            "mc-content",
            "mc-protocol",
            "mc-execution",
            "mc-supervision",
        ],
    ),
    (
        "mc-node",
        &[
            "mc-types",
            "mc-system",
            "mc-config",
            "mc-content",
            "mc-scheduler",
            "mc-coordinator",
            "mc-ledger",
            "mc-protocol",
            "mc-net",
            "mc-api",
            "mc-gateway",
            "mc-execution",
            "mc-supervision",
            "mc-worker",
        ],
    ),
    ("mc-options", &["mc-types", "mc-config"]),
    (
        "mc-cli",
        &[
            "mc-types",
            // The files that a run has left are the user's.
            "mc-wasi",
            "mc-directories",
            "mc-system",
            "mc-config",
            "mc-content",
            "mc-api",
            "mc-execution",
            "mc-node",
            "mc-options",
        ],
    ),
    ("mc-artifacts", &[]),
    ("mc-postgres", &[]),
    (
        "mc-conformance",
        &[
            "mc-types",
            "mc-content",
            "mc-protocol",
            "mc-net",
            "mc-node",
            "mc-artifacts",
            "mc-postgres",
        ],
    ),
    (
        "mc-bench",
        &[
            "mc-types",
            "mc-wasi",
            "mc-engine",
            "mc-system",
            "mc-content",
            "mc-net",
            "mc-quic",
            "mc-execution",
            // For the features of libraries alone.
            "mc-node",
            "mc-artifacts",
            "mc-conformance",
        ],
    ),
    (
        "mc-experiment",
        &["mc-artifacts", "mc-conformance", "mc-postgres"],
    ),
    ("xtask", &["mc-artifacts"]),
];

/// Libraries that only their homes may use.
const HOMES: &[(&str, &[&str])] = &[
    ("wasmtime", &["mc-engine"]),
    ("wasmtime-wasi", &["mc-engine"]),
    ("wasm-encoder", &["mc-checkpoint"]),
    ("wasmparser", &["mc-checkpoint"]),
    ("fjall", &["mc-content"]),
    ("sqlx", &["mc-ledger"]),
    ("axum", &["mc-gateway"]),
    ("hyper", &["mc-gateway"]),
    ("hyper-util", &["mc-gateway"]),
    // The benchmark compares with streams of its own.
    ("libp2p", &["mc-net", "mc-bitswap", "mc-quic", "mc-bench"]),
    ("quinn", &["mc-quic"]),
    ("quinn-proto", &["mc-quic"]),
    ("clap", &["mc-options", "mc-cli"]),
];

/// The only crates that others may use in their tests.
const TEST_ONLY: &[&str] = &["mc-artifacts", "mc-postgres"];

/// A dependency of a crate of the workspace.
struct Dependency {
    from: String,
    to: String,
    /// Whether only tests use it.
    of_tests: bool,
}

/// Reads the workspace and checks it.
pub(crate) fn check() -> Result<()> {
    let mut crates = Vec::new();
    let mut dependencies = Vec::new();
    for of_tests in [false, true] {
        let kinds = if of_tests { "dev" } else { "normal,build" };
        let arguments = [
            "--workspace",
            "--depth=1",
            "--prefix=depth",
            "--edges",
            kinds,
        ];
        for line in tree(&arguments)?.lines() {
            let (depth, package) = line.split_at_checked(1).unwrap_or_default();
            let name = package.split(' ').next().unwrap_or_default().to_owned();
            match depth {
                "0" => crates.push(name),
                "1" => dependencies.push(Dependency {
                    from: crates.last().cloned().unwrap_or_default(),
                    to: name,
                    of_tests,
                }),
                _ => {}
            }
        }
    }
    // Each was named twice.
    crates.sort();
    crates.dedup();
    let violations = violations(&crates, &dependencies);
    if violations.is_empty() {
        return circles::check();
    }
    bail!("the layers are broken:\n  {}", violations.join("\n  "));
}

/// What `cargo tree` prints.
pub(crate) fn tree(arguments: &[&str]) -> Result<String> {
    let mut cargo = mc_artifacts::cargo();
    cargo.args(["tree", "--locked"]).args(arguments);
    let output = cargo.current_dir(root()).output().context("cargo tree")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

fn violations(crates: &[String], dependencies: &[Dependency]) -> Vec<String> {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let mut violations = Vec::new();
    for name in crates
        .iter()
        .filter(|name| !allowed.contains_key(name.as_str()))
    {
        violations.push(format!("{name} has no place among the layers"));
    }
    for Dependency { from, to, of_tests } in dependencies {
        if let Some((_, homes)) = HOMES.iter().find(|(library, _)| library == to)
            && !homes.contains(&from.as_str())
        {
            violations.push(format!(
                "{from} uses {to}, whose home is {}",
                homes.join(", ")
            ));
        }
        let ours = allowed.contains_key(to.as_str());
        let may = allowed
            .get(from.as_str())
            .is_some_and(|may| may.contains(&to.as_str()));
        let in_tests = *of_tests && TEST_ONLY.contains(&to.as_str());
        if ours && !may && !in_tests {
            violations.push(format!("{from} may not use {to}"));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(from: &str, to: &str, of_tests: bool) -> Vec<String> {
        let crates = [from.to_owned()];
        let dependency = Dependency {
            from: from.to_owned(),
            to: to.to_owned(),
            of_tests,
        };
        violations(&crates, &[dependency])
    }

    #[test]
    fn downward_dependencies_are_allowed_and_others_are_named() {
        assert_eq!(one("mc-net", "mc-bitswap", false), Vec::<String>::new());
        assert_eq!(
            one("mc-engine", "mc-net", false),
            ["mc-engine may not use mc-net"]
        );
        assert_eq!(one("mc-ledger", "mc-scheduler", false).len(), 1);
        assert_eq!(one("mc-worker", "mc-net", false).len(), 1);
        // Options are compiled without a node, which takes long.
        assert_eq!(one("mc-options", "mc-node", false).len(), 1);
        let runs = |name: &str| one(name, "mc-engine", false).is_empty();
        let all = ALLOWED.iter().map(|(name, _)| *name);
        let running: Vec<_> = all.filter(|name| runs(name)).collect();
        assert_eq!(running, ["mc-execution", "mc-bench"]);
        assert_eq!(one("mc-surprise", "serde", false).len(), 1);
    }

    #[test]
    fn heavy_libraries_stay_at_home() {
        assert_eq!(one("mc-ledger", "sqlx", false), Vec::<String>::new());
        assert_eq!(one("mc-node", "sqlx", false).len(), 1);
        assert_eq!(one("mc-node", "wasmtime", true).len(), 1);
    }

    #[test]
    fn guests_are_for_tests() {
        assert_eq!(one("mc-engine", "mc-artifacts", true), Vec::<String>::new());
        assert_eq!(one("mc-engine", "mc-artifacts", false).len(), 1);
    }
}
