//! COMPONENT: a file, a directory to build, or a CID.

use crate::{failure::Failure, output};
use mc_execution::wasm::{self, MAX_COMPONENT_BYTES};
use mc_options::Global;
use mc_types::{Cid, ErrorCode};
use std::{
    fs::{File, Metadata},
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const TARGET: &str = "wasm32-wasip2";

/// Where a component comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Component {
    File(PathBuf),
    Cid(Cid),
}

/// Finds out what the user means, and builds it if it is a directory.
pub(crate) fn resolve(
    text: &str,
    bin: Option<&str>,
    global: &Global,
) -> Result<Component, Failure> {
    let path = Path::new(text);
    if path.is_dir() {
        return build(path, bin, global).map(Component::File);
    }
    if path.exists() {
        if bin.is_some() {
            let message = format!("--bin: {text} is no directory with several programs");
            return Err(Failure::usage(message));
        }
        return Ok(Component::File(path.to_owned()));
    }
    if let Ok(cid) = text.parse() {
        return Ok(Component::Cid(cid));
    }
    if text.starts_with("oci://") || text.starts_with("docker://") {
        return Err(
            Failure::usage(format!("{text}: OCI references are not supported"))
                .with_hint("give a .wasm file, a directory with a Cargo.toml, or a CID"),
        );
    }
    Err(Failure::new(
        ErrorCode::Path,
        format!("{text}: no such file or directory"),
    )
    .with_hint("give a .wasm file, a directory with a Cargo.toml, or a CID"))
}

/// The bytes of a component, unless it exceeds the limit for components.
pub(crate) fn read(path: &Path, metadata: &Metadata) -> Result<Vec<u8>, Failure> {
    let max = MAX_COMPONENT_BYTES;
    let mut read = Vec::new();
    // What is no file has no length beforehand.
    if metadata.len() <= max {
        let file = File::open(path).map_err(|e| Failure::path(path, &e))?;
        let mut file = file.take(max.saturating_add(1));
        file.read_to_end(&mut read)
            .map_err(|e| Failure::path(path, &e))?;
    }
    let bytes = u64::try_from(read.len()).unwrap_or(u64::MAX);
    let bytes = bytes.max(metadata.len());
    if bytes > max {
        let too_large = wasm::Error::TooLarge { bytes, max };
        return Err(Failure::from(too_large).about(&path.display().to_string()));
    }
    Ok(read)
}

/// Builds the package in `dir` for the target of components, and gives the component.
fn build(dir: &Path, bin: Option<&str>, global: &Global) -> Result<PathBuf, Failure> {
    if !dir.join("Cargo.toml").is_file() {
        return Err(Failure::new(
            ErrorCode::Build,
            format!("{} has no Cargo.toml", dir.display()),
        )
        .with_hint("give a .wasm file, or the directory of a Rust package"));
    }
    ensure_target(global)?;
    output::note(global, &format!("building {}", dir.display()));
    let mut cargo = clean("cargo");
    cargo.args(["build", "--release", "--target", TARGET]);
    cargo
        .arg("--message-format=json-render-diagnostics")
        .current_dir(dir);
    if let Some(bin) = bin {
        cargo.args(["--bin", bin]);
    }
    // With `--quiet` its output is shown only if it fails.
    let said = if global.quiet {
        Stdio::piped()
    } else {
        Stdio::inherit()
    };
    let built = cargo.stderr(said).output().map_err(|e| no_cargo(&e))?;
    if !built.status.success() {
        if global.quiet {
            output::error(String::from_utf8_lossy(&built.stderr).trim_end());
        }
        return Err(Failure::new(
            ErrorCode::Build,
            format!("{} does not build", dir.display()),
        ));
    }
    only_component(dir, &String::from_utf8_lossy(&built.stdout))
}

/// The component among what cargo says it has built.
fn only_component(dir: &Path, messages: &str) -> Result<PathBuf, Failure> {
    let executable = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message.get("executable")?.as_str().map(PathBuf::from)
    };
    let built: Vec<_> = messages.lines().filter_map(executable).collect();
    match built.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::new(
            ErrorCode::Build,
            format!("{} has no binary", dir.display()),
        )),
        several => {
            let name = |path: &PathBuf| path.file_stem().map(|n| n.to_string_lossy().into_owned());
            let names: Vec<_> = several.iter().filter_map(name).collect();
            let message = format!(
                "{} has several binaries: {}",
                dir.display(),
                names.join(", ")
            );
            Err(Failure::new(ErrorCode::Build, message).with_hint("choose one with --bin NAME"))
        }
    }
}

/// Adds the target if rustup is there and says that it is missing. Without rustup, cargo will say.
fn ensure_target(global: &Global) -> Result<(), Failure> {
    let installed = clean("rustup")
        .args(["target", "list", "--installed"])
        .output();
    let Ok(installed) = installed else {
        return Ok(());
    };
    if String::from_utf8_lossy(&installed.stdout)
        .lines()
        .any(|line| line.trim() == TARGET)
    {
        return Ok(());
    }
    output::note(global, &format!("adding the target {TARGET}"));
    let added = clean("rustup")
        .args(["target", "add", TARGET])
        .stdout(Stdio::null())
        .status();
    if added.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Failure::new(
        ErrorCode::Build,
        format!("the target {TARGET} cannot be added"),
    )
    .with_hint(format!("rustup target add {TARGET}")))
}

/// A command without what an outer `cargo run` has put into the environment, which would make the
/// inner one build something else.
fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let leaked = name_text.starts_with("CARGO_") && name_text != "CARGO_HOME";
        if leaked
            || matches!(
                &*name_text,
                "CARGO" | "RUSTFLAGS" | "RUSTC" | "RUSTC_WRAPPER"
            )
        {
            command.env_remove(name);
        }
    }
    command
}

fn no_cargo(error: &std::io::Error) -> Failure {
    Failure::new(
        ErrorCode::Build,
        format!("cargo cannot be started: {error}"),
    )
    .with_hint("install Rust with rustup, or give a .wasm file")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed;

    #[test]
    fn what_never_ends_is_not_read_to_its_end() {
        let zeros = Path::new("/dev/zero");
        let metadata = std::fs::metadata(zeros).unwrap();
        let failure = read(zeros, &metadata).unwrap_err();
        assert_eq!(failure.code(), ErrorCode::InvalidComponent, "{failure:?}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "bytes").unwrap();
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!(read(&file, &metadata).unwrap(), b"bytes");
    }

    #[test]
    fn what_is_typed_is_a_file_or_a_cid() {
        let global = typed::global(&[]);
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.wasm");
        std::fs::write(&file, "").unwrap();
        let text = file.to_str().unwrap();
        let found = resolve(text, None, &global).unwrap();
        assert_eq!(found, Component::File(file.clone()));
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
        let found = resolve(cid, None, &global).unwrap();
        assert_eq!(found, Component::Cid(cid.parse().unwrap()));
        let empty = dir.path().to_str().unwrap();
        for (text, bin, code) in [
            (text, Some("x"), ErrorCode::Usage),
            ("oci://r.example/x", None, ErrorCode::Usage),
            ("/nonexistent/x.wasm", None, ErrorCode::Path),
            (empty, None, ErrorCode::Build),
        ] {
            let failure = resolve(text, bin, &global).unwrap_err();
            assert_eq!(failure.code(), code, "{text}");
            assert!(
                failure.message().contains(text) || bin.is_some(),
                "{failure:?}"
            );
        }
    }

    #[test]
    fn of_several_binaries_one_has_to_be_chosen() {
        let dir = Path::new("package");
        let built = |names: &[&str]| {
            let line = |name: &&str| format!("{{\"executable\":\"/t/{name}.wasm\"}}\n");
            let lines: String = names.iter().map(line).collect();
            only_component(dir, &format!("{{\"reason\":\"x\"}}\nno json\n{lines}"))
        };
        assert_eq!(built(&["a"]).unwrap(), Path::new("/t/a.wasm"));
        let none = built(&[]).unwrap_err();
        assert!(none.message().contains("no binary"), "{none:?}");
        let several = built(&["a", "b"]).unwrap_err();
        assert!(
            several.message().ends_with("several binaries: a, b"),
            "{several:?}"
        );
        assert!(several.hint().is_some_and(|hint| hint.contains("--bin")));
    }
}
