//! Tells the compiler which commit this is, and for which machine it compiles: `mc-wasm version` says so. Has the linker
//! keep one of several functions that are the same, where it can.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Without optimisation many functions are compiled to the same code: with this the program is 3 MB smaller. LLVM's linker,
/// which Rust has for x86-64 Linux, can do that, GNU's cannot.
const FOLD: &str = "-Wl,--icf=all";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = git(&["rev-parse", "--short=12", "HEAD"]);
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=COMMIT={commit}");
    // Each commit and each checkout adds a line to this file.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    if let Some(log) = log.filter(|log| Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    let target = told("TARGET");
    println!("cargo::rustc-env=TARGET={target}");
    if folds(&target) {
        println!("cargo::rustc-link-arg-bins={FOLD}");
    }
}

#[expect(clippy::disallowed_methods, reason = "cargo tells it this way")]
fn told(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

/// Whether a program can be linked so that functions that are the same are one: by the linker and with the flags that
/// everything else here is linked with.
fn folds(target: &str) -> bool {
    if told("CARGO_CFG_TARGET_OS") != "linux" {
        return false;
    }
    let dir = PathBuf::from(told("OUT_DIR"));
    let (program, linked) = (dir.join("folds.rs"), dir.join("folds"));
    if std::fs::write(&program, "fn main() {}").is_err() {
        return false;
    }
    let mut rustc = Command::new(told("RUSTC"));
    let flags = told("CARGO_ENCODED_RUSTFLAGS");
    rustc.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    let linker = told("RUSTC_LINKER");
    if !linker.is_empty() {
        rustc.arg(format!("-Clinker={linker}"));
    }
    rustc
        .args(["--target", target, "-C"])
        .arg(format!("link-arg={FOLD}"));
    rustc.arg(&program).arg("-o").arg(&linked);
    let status = rustc.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What git says, if there is one and this is one of its checkouts.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
