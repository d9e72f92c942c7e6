//! What is to be computed.

mod validate;

pub use validate::TaskSpecError;

use crate::{Cid, Limits, Private, Resources};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The technology that runs a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// A WASI 0.2 command component.
    #[default]
    Wasm,
}

impl TaskKind {
    /// What it is called in tasks and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
        }
    }
}

/// What honest peers may be expected to agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Determinism {
    /// The outcome depends on the task alone: it may be cached, compared and audited.
    #[default]
    Deterministic,
    /// The task may see the outside world: it can be retried, nothing more.
    Relaxed,
}

/// A unit of computation. Two tasks with the same CID compute the same thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// How to read the other fields.
    pub kind: TaskKind,
    /// The component: a UnixFS file or a raw block.
    #[serde(with = "crate::cid::portable")]
    pub component: Cid,
    /// The program's own name, its zeroth argument; absent means `task`, so that a task is the same wherever its
    /// program lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv0: Option<String>,
    /// Arguments after the program's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Files and directories by name, readable under `/in/<name>`.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        with = "crate::cid::portable::map"
    )]
    pub inputs: BTreeMap<String, Cid>,
    /// What standard input reads; absent means empty.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "crate::cid::portable::option"
    )]
    pub stdin: Option<Cid>,
    /// Directories by absolute path that the task may change, and what they hold in the beginning.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        with = "crate::cid::portable::map"
    )]
    pub dirs: BTreeMap<String, Cid>,
    /// When the task believes to start, in seconds since 1970; absent means 2026-01-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<u64>,
    /// Bounds on the execution.
    pub limits: Limits,
    /// What peers may be expected to agree on.
    pub determinism: Determinism,
    /// What of it is encrypted; absent if nothing is, and results are not either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
            kind: TaskKind::Wasm,
            component,
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

    /// Whether what the guest finds at `path` is encrypted: `/in/<name>`, a directory of its own, or
    /// [`TaskSpec::STDIN`].
    #[must_use]
    pub fn is_private(&self, path: &str) -> bool {
        let given = self.private.as_ref().map(|private| &private.given);
        given.is_some_and(|given| given.contains(path))
    }

    /// The most that it takes of a machine.
    #[must_use]
    pub const fn resources(&self) -> Resources {
        match self.kind {
            TaskKind::Wasm => Resources::of_limits(&self.limits),
        }
    }

    /// Every CID whose DAG must be at hand before the task can start.
    pub fn roots(&self) -> impl Iterator<Item = Cid> {
        std::iter::once(self.component)
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
        let (_, kind) = crate::canonical::encode(&TaskKind::Wasm).unwrap();
        let (_, name) = crate::canonical::encode(&TaskKind::Wasm.name()).unwrap();
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
            [task.component, input, stdin]
        );
    }
}
