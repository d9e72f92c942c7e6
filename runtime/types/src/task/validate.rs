//! What a task must keep to that types cannot express.

use super::TaskSpec;
use crate::{MAX_MEMORY_BYTES, MAX_STACK_BYTES};

/// Most inputs of a task.
const MAX_INPUTS: usize = 1024;
/// Longest input name, in bytes: what file systems allow.
const MAX_INPUT_NAME_BYTES: usize = 255;
/// Most directories that a task may change.
const MAX_DIRS: usize = 64;
/// Longest path of one, in bytes.
const MAX_DIR_PATH_BYTES: usize = 1024;
/// Latest start time that a task may have, in seconds since 1970: its nanoseconds fit 64 bits.
const MAX_CLOCK_SECONDS: u64 = 9_000_000_000;

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
    /// The list of encrypted inputs names one that the task does not have.
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
    use crate::{Limits, cid};

    fn task() -> TaskSpec {
        TaskSpec::wasm(cid::of(cid::RAW, b"component"))
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
}
