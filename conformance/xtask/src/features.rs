//! One set of features for every command: what `cargo run` has compiled is there for the tests, the benchmarks and for
//! clippy.
//!
//! Cargo resolves features for the packages that a command selects. A library that one command selects with fewer of
//! them than another is compiled twice, and all that depends on it too. Here each command of this repository is resolved
//! and compared with the whole workspace. What differs is mended by naming the features in the root's manifest: a crate
//! that depends on everything, which is the other way, would make the smallest crate wait for the largest.
//!
//! Packages without `mc-node` (`cargo test -p mc-types`) are not compared: they have fewer features since they have a
//! fraction of the tree.

use crate::layers::tree;
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// What the commands of the READMEs, of this program and of `.ci/run` select.
const COMMANDS: &[&[&str]] = &[
    &["--package", "mc-cli", "--edges", "normal,build"],
    &["--package", "mc-cli"],
    &["--package", "mc-node"],
    &["--package", "mc-bench"],
    &["--package", "mc-conformance"],
    &["--package", "mc-cli", "--package", "mc-experiment"],
    &["--package", "xtask"],
];

/// Of each library, the sets of features with which it is compiled.
type Features = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn check() -> Result<()> {
    let all = resolved(&["--workspace"])?;
    let without_compilers = resolved(&["--workspace", "--edges", "no-proc-macro,no-build"])?;
    let mut violations = twice(&all, &without_compilers);
    for command in COMMANDS {
        violations.extend(differences(&command.join(" "), &resolved(command)?, &all));
    }
    if violations.is_empty() {
        return Ok(());
    }
    bail!(
        "libraries are compiled more than once:\n  {}",
        violations.join("\n  ")
    );
}

/// Libraries that one command has in two forms. One of them may be for procedural macros and build scripts, which are
/// compiled with another profile in any case.
fn twice(all: &Features, without_compilers: &Features) -> Vec<String> {
    let mut violations = Vec::new();
    for (library, sets) in all {
        let of_targets = without_compilers.get(library).cloned().unwrap_or_default();
        let of_compilers = sets.difference(&of_targets).count();
        if of_targets.len() > 1 || of_compilers > 1 {
            violations.push(format!("{library}: {sets:?}"));
        }
    }
    violations
}

fn differences(command: &str, one: &Features, all: &Features) -> Vec<String> {
    let none = BTreeSet::new();
    let mut violations = Vec::new();
    for (library, sets) in one {
        let others = all.get(library).unwrap_or(&none);
        if !sets.is_subset(others) {
            violations.push(format!(
                "{library}: with {command} {sets:?}, in the whole workspace {others:?}"
            ));
        }
    }
    violations
}

fn resolved(selection: &[&str]) -> Result<Features> {
    let arguments = [&["--prefix=none", "--format={p}|{f}"], selection].concat();
    let features = parse(&tree(&arguments)?);
    ensure!(
        !features.is_empty(),
        "cargo tree says nothing of {selection:?}"
    );
    Ok(features)
}

/// Reads lines such as `serde v1.0.229|default,derive,std (*)`.
fn parse(tree: &str) -> Features {
    let mut features = Features::new();
    for line in tree.lines() {
        let Some((package, set)) = line.split_once('|') else {
            continue;
        };
        // A path or `(proc-macro)` may follow.
        let name: Vec<_> = package.split(' ').take(2).collect();
        let set = set.trim_end_matches("(*)").trim().to_owned();
        features.entry(name.join(" ")).or_default().insert(set);
    }
    features
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = "mc-cli v0.0.0 (/somewhere)|\n\
        serde v1.0.229|default,std\n\
        serde_derive v1.0.229 (proc-macro)|default\n\n\
        serde v1.0.229|default,std (*)\n";

    #[test]
    fn one_set_of_features_is_none_too_many() {
        let all = parse(ALL);
        assert_eq!(all.len(), 3);
        assert_eq!(twice(&all, &all), Vec::<String>::new());
        assert_eq!(differences("", &all, &all), Vec::<String>::new());
    }

    #[test]
    fn a_second_set_is_named() {
        let one = parse("serde v1.0.229|default,derive,std\n");
        let found = differences("--package x", &one, &parse(ALL));
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("serde v1.0.229: with --package x"),
            "{found:?}"
        );
        let both = parse(&format!("{ALL}serde v1.0.229|std\n"));
        assert_eq!(twice(&both, &both).len(), 1);
        assert_eq!(twice(&both, &parse(ALL)), Vec::<String>::new());
    }
}
