//! The user's own directories, `--dir HOST::GUEST`: only what the task changed is changed, and nothing is lost.

mod changes;
mod elsewhere;
mod links;
mod meanwhile;
mod modes;

use mc_artifacts::guest;
use mc_conformance::Node;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Both commands that give a task a directory: `run`, and `submit` to a node.
const COMMANDS: [&str; 2] = ["run", "submit"];

fn arguments(command: &str, dirs: &[&str], node: &Node, steps: &[&str]) -> Vec<String> {
    let mut arguments = vec!["--node".to_owned(), node.api.clone(), command.to_owned()];
    for dir in dirs {
        arguments.extend(["--dir".to_owned(), (*dir).to_owned()]);
    }
    arguments.push(guest("files").display().to_string());
    arguments.push("--".to_owned());
    arguments.extend(steps.iter().map(ToString::to_string));
    arguments
}

/// Puts options before the first `--dir`.
fn with(mut arguments: Vec<String>, options: &[&str]) -> Vec<String> {
    let at = arguments.iter().position(|it| it == "--dir").unwrap();
    arguments.splice(at..at, options.iter().map(ToString::to_string));
    arguments
}

/// What `mc-wasm-left-…` in a directory is called.
fn left_in(dir: &Path) -> PathBuf {
    let mut names = names(dir).into_iter();
    let left = names.find(|name| name.starts_with("mc-wasm-left-"));
    dir.join(left.expect("what the task left"))
}

/// A project: a script that can be executed, a text, a directory with a file, a link.
fn project(dir: &Path) {
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("script.sh"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(dir.join("script.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.join("text"), "as it was").unwrap();
    fs::write(dir.join("sub/inner"), "inner").unwrap();
    std::os::unix::fs::symlink("text", dir.join("link")).unwrap();
}

/// A project of that name, in a directory of its own.
fn new_project(name: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let proj = dir.path().join(name);
    project(&proj);
    (dir, proj)
}

/// What can be seen of everything below a directory: contents, modes, times, inodes.
fn state(dir: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        let metadata = path.symlink_metadata().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if metadata.is_dir() {
            let inner = state(&path).into_iter();
            found.extend(inner.map(|(inner, what)| (format!("{name}/{inner}"), what)));
            found.push((name, format!("{:o}", metadata.mode())));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let (mode, inode) = (metadata.mode(), metadata.ino());
        let (seconds, nanos) = (metadata.mtime(), metadata.mtime_nsec());
        found.push((name, format!("{text:?} {mode:o} {inode} {seconds}.{nanos}")));
    }
    found
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
