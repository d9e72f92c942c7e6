//! Helia, the IPFS implementation for Node.js, for the tests of interoperability.

use crate::{root, target_dir};
use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const FILES: [&str; 4] = [
    "helia.mjs",
    "node20.mjs",
    "package.json",
    "package-lock.json",
];

/// The script that is Helia, installed with what it needs: once for each version of it.
///
/// # Errors
///
/// What npm says, or why a file cannot be written.
pub fn helia() -> io::Result<PathBuf> {
    let scripts = root().join("conformance/interop/helia");
    let installed = target_dir().join("interop/helia");
    fs::create_dir_all(&installed)?;
    for file in FILES {
        fs::copy(scripts.join(file), installed.join(file))?;
    }
    let wanted = fs::read(scripts.join("package-lock.json"))?;
    let note = installed.join("node_modules/.lock-of-this");
    if fs::read(&note).ok().as_ref() != Some(&wanted) {
        npm_ci(&installed)?;
        fs::write(note, wanted)?;
    }
    Ok(installed.join("helia.mjs"))
}

fn npm_ci(dir: &Path) -> io::Result<()> {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(dir)
        .stdin(Stdio::null());
    let output = npm.output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(io::Error::other(format!("npm ci: {said}")))
}
