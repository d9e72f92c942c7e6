//! The guests that tests run: built once per process, from source, with the ordinary toolchain.
//!
//! `conformance/guests` and `examples` are workspaces of their own, since they are compiled for
//! `wasm32-wasip2`. Cargo's own lock makes concurrent test processes wait for each other.

mod helia;

pub use helia::helia;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

const TARGET: &str = "wasm32-wasip2";

/// The component of the guest `conformance/guests/src/bin/<name>.rs`.
///
/// # Panics
///
/// When the guests cannot be built, or there is none of that name.
#[must_use]
pub fn guest(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    artifact(BUILT.get_or_init(|| build("conformance/guests")), name)
}

/// The component of the example `examples/<name>`.
///
/// # Panics
///
/// When the examples cannot be built, or there is none of that name.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    artifact(BUILT.get_or_init(|| build("examples")), name)
}

/// The cargo that runs this, as if it were typed by hand. Build scripts (that of `ring`) look at what cargo tells a
/// process about its own package, and would make all that depends on them once more for each package that asks.
#[must_use]
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&name);
        }
    }
    // Only the test binary itself was to have it.
    cargo.env_remove("RUSTC_BOOTSTRAP");
    cargo
}

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where cargo puts what it builds here: the directory of the running program that has a file of cargo's own, since it
/// can be set in several ways. (Its `CACHEDIR.TAG` is only in directories that cargo made itself.)
#[must_use]
pub fn target_dir() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let marked = |dir: &&Path| dir.join(".rustc_info.json").is_file();
    let found = this.ancestors().skip(1).find(marked);
    found.map_or_else(|| root().join("target"), Path::to_owned)
}

fn artifact(dir: &Path, name: &str) -> PathBuf {
    let path = dir.join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "there is no guest {name:?} in {}",
        dir.display()
    );
    path
}

/// Builds a guest workspace, and gives the directory of its components.
#[expect(clippy::panic, reason = "without its guest a test cannot run")]
fn build(workspace: &str) -> PathBuf {
    let target_dir = target_dir()
        .join("guests")
        .join(workspace.replace('/', "-"));
    let mut cargo = cargo();
    cargo
        .args([
            "build",
            "--release",
            "--quiet",
            "--locked",
            "--target",
            TARGET,
        ])
        .current_dir(root().join(workspace))
        .env("CARGO_TARGET_DIR", &target_dir);
    // What cargo and rustc were told about the test must not reach the guest's build.
    for name in [
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "CARGO_BUILD_TARGET",
        "RUSTC_WRAPPER",
    ] {
        cargo.env_remove(name);
    }
    match cargo.output() {
        Ok(output) if output.status.success() => target_dir.join(TARGET).join("release"),
        Ok(output) => panic!(
            "the guests in {workspace} could not be built; is the target there \
             (rustup target add {TARGET})?\n{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("cargo could not be started: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::root;
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    /// Where the tests are that run guests.
    const TESTS: &[&str] = &["runtime/engine/tests/it", "conformance/suite/tests/it"];

    /// The files in a directory and those below it.
    fn files(dir: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .flat_map(|path| {
                if path.is_dir() {
                    files(&path)
                } else {
                    vec![path]
                }
            })
            .collect()
    }

    #[test]
    fn every_guest_is_named_by_a_test() {
        let sources = TESTS.iter().flat_map(|dir| files(&root().join(dir)));
        let tests: String = sources
            .map(|file| fs::read_to_string(file).unwrap())
            .collect();
        for guest in files(&root().join("conformance/guests/src/bin")) {
            let name = guest.file_stem().and_then(|name| name.to_str()).unwrap();
            assert!(
                tests.contains(&format!("\"{name}\"")),
                "no test runs the guest {name}"
            );
        }
    }
}
