//! The same on another processor: `cargo xtask cross`. Its program is built by Debian's cross compiler, and run by QEMU.

use crate::{
    command::{cargo, succeed},
    requirements,
};
use anyhow::{Context, Result, bail};
use mc_artifacts::{root, target_dir};
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";
const COMPILER: &str = "aarch64-linux-gnu-gcc";
/// The emulator, with the libraries of that processor.
const RUN: &[&str] = &["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"];
/// Stops of each guest, half of them on each processor.
const RESUMES: &str = "50";

pub(crate) fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut resumes = RESUMES.to_owned();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--resumes" => resumes = arguments.next().context("--resumes N")?,
            other => bail!("unknown argument {other:?}"),
        }
    }
    requirements::provide_for_crossing(TARGET)?;
    let both = ["--package", "mc-cli", "--package", "mc-conformance"];
    cargo(&root(), &[&["build", "--release"], &both[..]].concat())?;
    let mut build = mc_artifacts::cargo();
    build
        .args([
            "build",
            "--release",
            "--package",
            "mc-cli",
            "--target",
            TARGET,
        ])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER)
        .env("CC_aarch64_unknown_linux_gnu", COMPILER)
        .current_dir(root());
    succeed(&mut build)?;
    let target = target_dir();
    let mut compare = Command::new(target.join("release/mc-cross"));
    compare
        .arg(resumes)
        .arg(target.join("release/mc-wasm"))
        .args(RUN)
        .arg(target.join(TARGET).join("release/mc-wasm"));
    succeed(&mut compare)
}
