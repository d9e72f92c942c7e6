//! A task's world: what it was given, and what it leaves.

mod collect;
mod host_files;
mod input_reader;
mod inputs;
mod seen;

pub use collect::{TaskOutputs, collect};
pub use input_reader::{InputReader, Root, Seed, Spool, Stdin};
pub use inputs::{DeclaredInputs, TaskInputs};
pub use mc_engine::{Mount as HostMount, Stdin as HostStdin};
pub use seen::Seen;

use mc_content::{TaskKey, unixfs::Entity};
use mc_types::{Cid, TaskSpec};
use mc_wasi::Mount;
use std::collections::BTreeSet;

/// What a guest is called whose task says nothing of it.
const PROGRAM_NAME: &str = "task";
/// What every task has of its own at the top of its tree.
const OWN: [&str; 4] = ["dev", "in", "out", "tmp"];

/// What a guest is called, its zeroth argument.
#[must_use]
pub fn program_name(argv0: Option<&str>) -> String {
    argv0.unwrap_or(PROGRAM_NAME).to_owned()
}

/// The names at the top of a task's tree that do not belong to the directory mounted as `/`, if other `dirs` are
/// mounted too.
#[must_use]
pub fn above_root<'d>(dirs: impl IntoIterator<Item = &'d String>) -> BTreeSet<String> {
    let dirs = dirs.into_iter().map(|dir| dir.trim_start_matches('/'));
    let dirs = dirs.filter(|dir| !dir.is_empty());
    OWN.into_iter().chain(dirs).map(str::to_owned).collect()
}

/// A guest's path relative to its root, without a leading slash.
#[must_use]
pub fn from_root(path: &str) -> &str {
    match path.trim_start_matches('/') {
        "" => ".",
        path => path,
    }
}

/// The directories of a task, and the source of each, if it has one. `/in/NAME` are the task's inputs, which it cannot
/// change; it can change `/out`, `/tmp` and its own directories.
#[must_use]
pub fn mounts<R>(
    inputs: impl IntoIterator<Item = (String, R)>,
    dirs: impl IntoIterator<Item = (String, R)>,
) -> (Vec<Mount>, Vec<Option<R>>) {
    let mut mounts = Vec::new();
    let mut roots = Vec::new();
    let mut add = |path: String, root: Option<R>, writable| {
        mounts.push(Mount {
            path,
            given: root.is_some(),
            writable,
        });
        roots.push(root);
    };
    add("/in".to_owned(), None, false);
    for (name, root) in inputs {
        add(format!("/in/{name}"), Some(root), false);
    }
    let dirs: Vec<_> = dirs.into_iter().collect();
    for path in ["/out", "/tmp"] {
        if dirs.iter().all(|(dir, _)| dir != path) {
            add(path.to_owned(), None, true);
        }
    }
    for (path, root) in dirs {
        add(path, Some(root), true);
    }
    (mounts, roots)
}

/// The directories of `task`, all made from content; `key` decrypts the encrypted ones.
fn of_task(task: &TaskSpec, key: Option<&TaskKey>) -> (Vec<Mount>, Vec<Option<Root>>) {
    let inputs = task.inputs.iter().map(|(name, cid)| {
        let entity = entity(task, key, &format!("/in/{name}"), *cid);
        (name.clone(), Root::Content(entity))
    });
    let dirs = task.dirs.iter().map(|(path, cid)| {
        let entity = entity(task, key, path, *cid);
        (path.clone(), Root::Content(entity))
    });
    mounts(inputs, dirs)
}

/// What the guest of `task` is given at `path`.
fn entity(task: &TaskSpec, key: Option<&TaskKey>, path: &str, cid: Cid) -> Entity {
    let key = key.filter(|_| task.is_private(path));
    (cid, key.map(|key| key.given(path))).into()
}
