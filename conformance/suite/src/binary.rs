//! Which binary is under test.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// The path of the binary under test; built once per process when it is the workspace's own.
///
/// # Panics
///
/// When it cannot be built, with cargo's messages.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("CONFORMANCE_BINARY") {
        Some(path) => PathBuf::from(path),
        None => build(),
    })
}

#[expect(
    clippy::panic,
    clippy::expect_used,
    reason = "without a binary there is nothing to test"
)]
fn build() -> PathBuf {
    let output = mc_artifacts::cargo()
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "mc-cli",
            "--message-format=json",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    if !output.status.success() {
        panic!(
            "cargo build failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    };
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    lines
        .lines()
        .rev()
        .find_map(executable)
        .expect("cargo names the executable")
}
