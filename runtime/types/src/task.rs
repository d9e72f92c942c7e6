//! What is to be computed.

use crate::{Cid, Limits, MAX_MEMORY_BYTES, MAX_STACK_BYTES, Private, Resources};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most inputs of a task.
const MAX_INPUTS: usize = 1024;
/// Longest input name, in bytes: what file systems allow.
const MAX_INPUT_NAME_BYTES: usize = 255;
/// Most directories that a task may change.
const MAX_DIRS: usize = 64;
/// Longest path of one, in bytes.
const MAX_DIR_PATH_BYTES: usize = 1024;
/// Latest time that a task may believe to start at, in seconds since 1970: nanoseconds fit 64 bits.
const MAX_CLOCK_SECONDS: u64 = 9_000_000_000;

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

/// Which field of a task cannot be accepted, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskSpecError {
    /// An input's name is not a plain file name.
    #[error("input name {name:?} is not a plain file name of 1 to {MAX_INPUT_NAME_BYTES} bytes")]
    InputName {
        /// The name.
        name: String,
    },
    /// A directory's path is not absolute, or lies in another one.
    #[error("directory {path:?}: {rule}")]
    DirectoryPath {
        /// The path.
        path: String,
        /// What would be accepted.
        rule: &'static str,
    },
    /// Too many inputs.
    #[error("{count} inputs; at most {MAX_INPUTS} are accepted")]
    TooManyInputs {
        /// How many there are.
        count: usize,
    },
    /// A string contains a NUL, or an environment variable's name an `=`.
    #[error("{field} contains a character that it cannot hold: {text:?}")]
    BadCharacter {
        /// The field.
        field: &'static str,
        /// The text.
        text: String,
    },
    /// Something is said to be encrypted that the task is not given.
    #[error("private.given names {path:?}, which the task is not given")]
    NotGiven {
        /// The path.
        path: String,
    },
    /// A limit has a value that no machine can honour.
    #[error("limit {field} is {value}; it must be {rule}")]
    Limit {
        /// The limit.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What would be accepted.
        rule: &'static str,
    },
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

    /// Checks what the types cannot express.
    ///
    /// # Errors
    ///
    /// [`TaskSpecError`] names the first field that cannot be accepted.
    pub fn validate(&self) -> Result<(), TaskSpecError> {
        if self.inputs.len() > MAX_INPUTS {
            return Err(TaskSpecError::TooManyInputs {
                count: self.inputs.len(),
            });
        }
        self.validate_dirs()?;
        self.validate_private()?;
        if let Some(name) = self.inputs.keys().find(|name| !is_plain_file_name(name)) {
            return Err(TaskSpecError::InputName { name: name.clone() });
        }
        no_characters("argv0", self.argv0.iter(), &['\0'])?;
        no_characters("args", self.args.iter(), &['\0'])?;
        no_characters("env", self.env.values(), &['\0'])?;
        no_characters("env", self.env.keys(), &['\0', '='])?;
        limit(
            "memory_bytes",
            self.limits.memory_bytes,
            1 << 16,
            MAX_MEMORY_BYTES,
            "64KiB to 4GiB",
        )?;
        limit(
            "output_bytes",
            self.limits.output_bytes,
            0,
            1 << 40,
            "at most 1TiB",
        )?;
        limit(
            "stack_bytes",
            self.limits.stack_bytes,
            1 << 12,
            MAX_STACK_BYTES,
            "4KiB to 16MiB",
        )?;
        limit("handles", self.limits.handles, 8, 1 << 20, "8 to 1048576")?;
        limit(
            "table_entries",
            self.limits.table_entries,
            0,
            10_000_000,
            "at most 10000000",
        )?;
        limit(
            "clock",
            self.clock.unwrap_or(0),
            0,
            MAX_CLOCK_SECONDS,
            "at most 9000000000 seconds since 1970",
        )?;
        // Meters count fuel down in a signed 64-bit integer.
        limit(
            "fuel",
            self.limits.fuel.unwrap_or(1),
            1,
            1 << 62,
            "1 to 2^62",
        )
    }
}

impl TaskSpec {
    fn validate_private(&self) -> Result<(), TaskSpecError> {
        let given = |path: &str| match path.strip_prefix("/in/") {
            Some(name) => self.inputs.contains_key(name),
            None if path == Self::STDIN => self.stdin.is_some(),
            None => self.dirs.contains_key(path),
        };
        let mut private = self.private.iter().flat_map(|private| &private.given);
        match private.find(|path| !given(path)) {
            None => Ok(()),
            Some(path) => Err(TaskSpecError::NotGiven { path: path.clone() }),
        }
    }

    fn validate_dirs(&self) -> Result<(), TaskSpecError> {
        if self.dirs.len() > MAX_DIRS {
            return Err(TaskSpecError::TooManyInputs {
                count: self.dirs.len(),
            });
        }
        let root = self.dirs.contains_key(Self::ROOT);
        for path in self.dirs.keys().filter(|path| *path != Self::ROOT) {
            let refuse = |rule| {
                Err(TaskSpecError::DirectoryPath {
                    path: path.clone(),
                    rule,
                })
            };
            let Some(parts) = path.strip_prefix('/') else {
                return refuse("a path from / on is expected");
            };
            if !parts.split('/').all(is_plain_file_name) || path.len() > MAX_DIR_PATH_BYTES {
                return refuse("plain names between single slashes are expected");
            }
            if parts.split('/').next() == Some("in") {
                return refuse("/in is for inputs");
            }
            if root && parts.contains('/') {
                return refuse("with a directory at /, others lie directly in it");
            }
            let inside = |other: &String| {
                path.strip_prefix(other.as_str())
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            if self.dirs.keys().any(inside)
                || ["/out", "/tmp"]
                    .iter()
                    .any(|o| path.starts_with(&format!("{o}/")))
            {
                return refuse("it lies in another directory that the task may change");
            }
        }
        Ok(())
    }
}

fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_INPUT_NAME_BYTES
        && name != "."
        && name != ".."
        && !name.contains(['/', '\0'])
}

fn no_characters<'a>(
    field: &'static str,
    mut texts: impl Iterator<Item = &'a String>,
    forbidden: &[char],
) -> Result<(), TaskSpecError> {
    match texts.find(|text| text.contains(forbidden)) {
        Some(text) => Err(TaskSpecError::BadCharacter {
            field,
            text: text.clone(),
        }),
        None => Ok(()),
    }
}

fn limit(
    field: &'static str,
    value: u64,
    least: u64,
    most: u64,
    rule: &'static str,
) -> Result<(), TaskSpecError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(TaskSpecError::Limit { field, value, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid;

    fn task() -> TaskSpec {
        TaskSpec::wasm(cid::of(cid::RAW, b"component"))
    }

    #[test]
    fn a_kind_is_called_as_it_is_encoded() {
        let (_, kind) = crate::canonical::encode(&TaskKind::Wasm).unwrap();
        let (_, name) = crate::canonical::encode(&TaskKind::Wasm.name()).unwrap();
        assert_eq!(kind, name);
    }

    #[test]
    fn default_task_is_valid() {
        assert_eq!(task().validate(), Ok(()));
    }

    #[test]
    fn input_names_cannot_leave_the_input_directory() {
        for name in ["", ".", "..", "../x", "a/b", "/etc", "nul\0"] {
            let mut task = task();
            task.inputs.insert(name.to_owned(), cid::of(cid::RAW, b""));
            assert!(
                matches!(task.validate(), Err(TaskSpecError::InputName { .. })),
                "{name:?}"
            );
        }
    }

    #[test]
    fn limits_outside_their_range_are_named() {
        let mut task = task();
        task.limits.memory_bytes = MAX_MEMORY_BYTES + 1;
        let error = task.validate().unwrap_err().to_string();
        assert!(error.contains("memory_bytes"), "{error}");
        task.limits = Limits {
            fuel: Some(0),
            ..Limits::default()
        };
        let error = task.validate().unwrap_err().to_string();
        assert!(error.contains("fuel"), "{error}");
    }

    #[test]
    fn directories_are_absolute_and_apart() {
        for path in [
            "", "work", "/work/", "//work", "/a/../b", "/in", "/in/x", "/out/x", "/tmp/x", "/a/b",
        ] {
            let mut task = task();
            task.dirs.insert("/a".to_owned(), cid::of(cid::RAW, b""));
            task.dirs.insert(path.to_owned(), cid::of(cid::RAW, b""));
            assert!(
                matches!(task.validate(), Err(TaskSpecError::DirectoryPath { .. })),
                "{path:?}"
            );
        }
        let mut task = task();
        for path in ["/work", "/home/user", "/out", "/tmp", "/workshop", "/inner"] {
            task.dirs.insert(path.to_owned(), cid::of(cid::RAW, b""));
        }
        assert_eq!(task.validate(), Ok(()));
        // Beneath all of them one may lie.
        task.dirs.insert("/".to_owned(), cid::of(cid::RAW, b""));
        let refused = task.validate();
        assert!(
            matches!(&refused, Err(TaskSpecError::DirectoryPath { path, .. }) if path == "/home/user"),
            "{refused:?}"
        );
        task.dirs.remove("/home/user");
        assert_eq!(task.validate(), Ok(()));
    }

    #[test]
    fn programs_are_called_by_what_is_a_string_in_c() {
        let mut task = task();
        task.argv0 = Some("/bin/ls".to_owned());
        assert_eq!(task.validate(), Ok(()));
        task.argv0 = Some("l\0s".to_owned());
        assert!(matches!(
            task.validate(),
            Err(TaskSpecError::BadCharacter { field: "argv0", .. })
        ));
    }

    #[test]
    fn only_what_is_given_can_be_private() {
        let mut task = task();
        let some = cid::of(cid::RAW, b"");
        task.inputs.insert("a".to_owned(), some);
        task.dirs.insert("/work".to_owned(), some);
        let mut private = crate::Private {
            key: crate::KeyId::new([0; 32]),
            given: ["/in/a", "/work"].map(str::to_owned).into(),
        };
        task.private = Some(private.clone());
        assert_eq!(task.validate(), Ok(()));
        assert!(task.is_private("/work") && !task.is_private("/in/b"));
        for path in [TaskSpec::STDIN, "/in/b", "/in", "/out", "a", ""] {
            private.given.insert(path.to_owned());
            task.private = Some(private.clone());
            let refused = task.validate();
            assert!(
                matches!(refused, Err(TaskSpecError::NotGiven { .. })),
                "{path}"
            );
            private.given.remove(path);
        }
    }

    #[test]
    fn environment_names_cannot_hold_an_equals_sign() {
        let mut task = task();
        task.env.insert("A=B".to_owned(), "c".to_owned());
        assert!(matches!(
            task.validate(),
            Err(TaskSpecError::BadCharacter { field: "env", .. })
        ));
    }

    #[test]
    fn roots_are_component_inputs_and_stdin() {
        let mut task = task();
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
