//! The whole test suite: `cargo xtask test [ARGUMENTS OF cargo test]`.
//!
//! First what it needs of the machine, then `cargo test --release --workspace`. This program is also what runs each
//! test binary ([`runner`]), so that it is known how long each test took.

use crate::{command::succeed, requirements};
use anyhow::{Context, Result, ensure};
use mc_artifacts::{root, target_dir};
use std::{
    fs::{self, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

/// The slowest tests that are printed in the end.
const SLOWEST: usize = 10;
/// Where the runners write how long tests took.
const TIMES: &str = "SUITE_TEST_TIMES";
/// Tests that run at a time. Most wait for a term or for another process more than they compute.
const THREADS: &str = "6";

pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<()> {
    requirements::provide()?;
    let times = target_dir().join("test-times");
    fs::create_dir_all(target_dir())?;
    fs::write(&times, "")?;
    let mut test = mc_artifacts::cargo();
    test.args(["test", "--release"])
        .args(scope(arguments.collect()));
    let status = test
        .current_dir(root())
        .env("PATH", requirements::path()?)
        .env(TIMES, &times)
        .env(runner_variable()?, runner_command()?)
        .status()
        .context("cargo test")?;
    slowest(&times)?;
    ensure!(status.success(), "tests failed");
    Ok(())
}

/// The tests against the QUIC that others use, which are a workspace of their own.
pub(crate) fn with_libp2p_quic() -> Result<()> {
    let mut cargo = mc_artifacts::cargo();
    cargo
        .args(["test", "--release"])
        .env("CARGO_TARGET_DIR", target_dir().join("libp2p-quic"))
        .current_dir(root().join("conformance/libp2p-quic"));
    succeed(&mut cargo)
}

/// All of the workspace, unless some of it is named.
fn scope(mut arguments: Vec<String>) -> Vec<String> {
    let named = |argument: &String| argument == "-p" || argument.starts_with("--package");
    if !arguments.iter().any(named) {
        arguments.insert(0, "--workspace".to_owned());
    }
    arguments
}

/// Tells cargo who runs the programs that it has built.
fn runner_variable() -> Result<String> {
    let rustc = Command::new("rustc").arg("-vV").output().context("rustc")?;
    let version = String::from_utf8(rustc.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc -vV names no host")?;
    let host = host.to_uppercase().replace('-', "_");
    Ok(format!("CARGO_TARGET_{host}_RUNNER"))
}

fn runner_command() -> Result<String> {
    let this = std::env::current_exe()?;
    // Cargo divides this at spaces, and has no quotes; an array is read from configuration files only.
    let this = this.to_str().filter(|path| !path.contains(' '));
    let this = this.context("the target directory has a space in its path")?;
    Ok(format!("{this} runner"))
}

/// Runs a test binary, and writes down how long each test took, by a flag that libtest only has with
/// `RUSTC_BOOTSTRAP`. What the tests themselves start does not see that variable.
pub(crate) fn runner(arguments: impl Iterator<Item = String>) -> Result<ExitCode> {
    let mut arguments = arguments;
    let binary = arguments.next().context("runner BINARY [ARGUMENTS]")?;
    let mut test = Command::new(&binary);
    test.args(arguments).env("RUST_TEST_THREADS", THREADS);
    if is_harness(Path::new(&binary)) {
        test.args(["-Z", "unstable-options", "--report-time"]);
        test.env("RUSTC_BOOTSTRAP", "1");
    }
    let mut child = test
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| binary.clone())?;
    let mut lines = BufReader::new(child.stdout.take().context("it is piped")?);
    let mut times = times()?;
    let mut line = Vec::new();
    let mut out = std::io::stdout().lock();
    while lines.read_until(b'\n', &mut line)? > 0 {
        out.write_all(&line)?;
        if let Some((seconds, name)) = time_of(&String::from_utf8_lossy(&line)) {
            writeln!(times, "{seconds} {name}")?;
        }
        line.clear();
    }
    let status = child.wait()?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}

/// Whether cargo built it as a test: examples in the documentation are run by this too, and know no flags.
fn is_harness(binary: &Path) -> bool {
    let dir = binary.parent().and_then(Path::file_name);
    dir.is_some_and(|dir| dir == "deps")
}

fn times() -> Result<fs::File> {
    let path = std::env::var_os(TIMES).map_or_else(|| PathBuf::from("/dev/null"), PathBuf::from);
    let file = OpenOptions::new().append(true).open(&path);
    file.with_context(|| path.display().to_string())
}

/// Seconds and name from a line such as `test jobs::are_listed ... ok <1.234s>`.
fn time_of(line: &str) -> Option<(f64, &str)> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let (_, time) = rest.split_once('<')?;
    let seconds = time.trim_end().strip_suffix("s>")?.parse().ok()?;
    Some((seconds, name))
}

fn slowest(times: &Path) -> Result<()> {
    let text = fs::read_to_string(times)?;
    let mut tests: Vec<(f64, &str)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(seconds, name)| Some((seconds.parse().ok()?, name)))
        .collect();
    tests.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("the slowest of {} tests:", tests.len());
    for (seconds, name) in tests.iter().take(SLOWEST) {
        println!("{seconds:8.1} s  {name}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_test_is_read_from_its_line() {
        let line = "test jobs::are_listed ... ok <1.234s>\n";
        assert_eq!(time_of(line), Some((1.234, "jobs::are_listed")));
        assert_eq!(time_of("test jobs::are_listed ... ignored"), None);
        assert_eq!(time_of("running 3 tests"), None);
    }

    #[test]
    fn the_workspace_is_tested_unless_a_package_is_named() {
        let scope = |arguments: &[&str]| scope(arguments.iter().map(ToString::to_string).collect());
        assert_eq!(scope(&["--no-run"]), ["--workspace", "--no-run"]);
        assert_eq!(scope(&["-p", "mc-node"]), ["-p", "mc-node"]);
    }
}
