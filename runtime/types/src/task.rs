//! What is to be computed.

mod encoding;
mod validate;

pub use validate::TaskSpecError;

use crate::{Cid, Limits, Private, Resources};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// The technology that runs a task, with what only its tasks have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskKind {
    /// A WASI 0.2 command component.
    Wasm {
        /// The component: a UnixFS file or a raw block.
        component: Cid,
    },
}

impl TaskKind {
    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> KindName {
        match self {
            Self::Wasm { .. } => KindName::Wasm,
        }
    }

    /// The program. All of it must be available before the task can start.
    #[must_use]
    pub const fn program(&self) -> &Cid {
        match self {
            Self::Wasm { component } => component,
        }
    }
}

/// What a kind of task is called, in tasks and messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// Of [`TaskKind::Wasm`].
    Wasm,
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wasm => "wasm",
        })
    }
}

/// What honest peers may be expected to agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Determinism {
    /// The outcome depends on the task alone: it may be cached, compared and audited.
    #[default]
    Deterministic,
    /// The task may see the outside world, so it can only be retried.
    Relaxed,
}

/// A unit of computation. Two tasks with the same CID compute the same thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSpec {
    /// What runs it, and what is run.
    pub kind: TaskKind,
    /// The program's own name, its zeroth argument; absent means `task`, so that the task does not depend on the path
    /// of its program.
    pub argv0: Option<String>,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Files and directories by name, readable under `/in/<name>`.
    pub inputs: BTreeMap<String, Cid>,
    /// What standard input reads; absent means empty.
    pub stdin: Option<Cid>,
    /// Directories by absolute path that the task may change, and their initial content.
    pub dirs: BTreeMap<String, Cid>,
    /// The start time that the task sees, in seconds since 1970; absent means 2026-01-01.
    pub clock: Option<u64>,
    /// Bounds on the execution.
    pub limits: Limits,
    /// What peers may be expected to agree on.
    pub determinism: Determinism,
    /// Which parts of it are encrypted; absent if neither any part nor the results are.
    pub private: Option<Private>,
}

impl TaskSpec {
    /// What standard input is called among what is given.
    pub const STDIN: &str = "/dev/stdin";
    /// The path of a directory beneath all that the task has of its own.
    pub const ROOT: &str = "/";

    /// A deterministic task that runs `component` without arguments, inputs or special limits.
    #[must_use]
    pub fn wasm(component: Cid) -> Self {
        Self {
            kind: TaskKind::Wasm { component },
            argv0: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            inputs: BTreeMap::new(),
            stdin: None,
            dirs: BTreeMap::new(),
            clock: None,
            limits: Limits::default(),
            determinism: Determinism::default(),
            private: None,
        }
    }

    /// This task with `args` as its arguments.
    #[must_use]
    pub fn with_args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Whether the input at `path` is encrypted: `/in/<name>`, a directory of the task's own, or [`TaskSpec::STDIN`].
    #[must_use]
    pub fn is_private(&self, path: &str) -> bool {
        let given = self.private.as_ref().map(|private| &private.given);
        given.is_some_and(|given| given.contains(path))
    }

    /// The most that it takes of a machine.
    #[must_use]
    pub const fn resources(&self) -> Resources {
        match self.kind {
            TaskKind::Wasm { .. } => Resources::of_limits(&self.limits),
        }
    }

    /// How many files it may make, if so many count as memory; 0 otherwise.
    #[must_use]
    pub const fn files_in_memory(&self) -> u64 {
        match self.kind {
            TaskKind::Wasm { .. } => match Resources::memory_of_files(self.limits.scratch_files) {
                0 => 0,
                _ => self.limits.scratch_files,
            },
        }
    }

    /// Every CID whose DAG must be available before the task can start.
    pub fn roots(&self) -> impl Iterator<Item = Cid> {
        std::iter::once(*self.kind.program())
            .chain(self.inputs.values().copied())
            .chain(self.stdin)
            .chain(self.dirs.values().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid;

    #[test]
    fn a_kind_is_called_as_it_is_encoded() {
        let (_, kind) = crate::canonical::encode(&KindName::Wasm).unwrap();
        let (_, name) = crate::canonical::encode(&KindName::Wasm.to_string()).unwrap();
        assert_eq!(kind, name);
    }

    #[test]
    fn roots_are_component_inputs_and_stdin() {
        let mut task = TaskSpec::wasm(cid::of(cid::RAW, b"component"));
        let input = cid::of(cid::RAW, b"input");
        let stdin = cid::of(cid::RAW, b"stdin");
        task.inputs.insert("a".to_owned(), input);
        task.stdin = Some(stdin);
        assert_eq!(
            task.roots().collect::<Vec<_>>(),
            [*task.kind.program(), input, stdin]
        );
    }
}
