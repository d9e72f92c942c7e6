//! The encoding of a task: one map, including the fields of its kind. Tasks have CIDs, so this encoding must not
//! change; a new kind adds one more optional field.

use super::{Determinism, KindName, TaskKind, TaskSpec};
use crate::{Cid, Limits, Private, cid::portable};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use std::collections::BTreeMap;

/// A task with the parts of all kinds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Encoded {
    kind: KindName,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "portable::option"
    )]
    component: Option<Cid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    argv0: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    args: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<String, String>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        with = "portable::map"
    )]
    inputs: BTreeMap<String, Cid>,
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "portable::option"
    )]
    stdin: Option<Cid>,
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        with = "portable::map"
    )]
    dirs: BTreeMap<String, Cid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    clock: Option<u64>,
    limits: Limits,
    determinism: Determinism,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    private: Option<Private>,
}

impl From<TaskSpec> for Encoded {
    fn from(task: TaskSpec) -> Self {
        let kind = task.kind.name();
        let component = match task.kind {
            TaskKind::Wasm { component } => Some(component),
        };
        Self {
            kind,
            component,
            argv0: task.argv0,
            args: task.args,
            env: task.env,
            inputs: task.inputs,
            stdin: task.stdin,
            dirs: task.dirs,
            clock: task.clock,
            limits: task.limits,
            determinism: task.determinism,
            private: task.private,
        }
    }
}

impl Serialize for TaskSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Encoded::from(self.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TaskSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let encoded = Encoded::deserialize(deserializer)?;
        let kind = match encoded.kind {
            KindName::Wasm => TaskKind::Wasm {
                component: encoded
                    .component
                    .ok_or_else(|| D::Error::missing_field("component"))?,
            },
        };
        Ok(Self {
            kind,
            argv0: encoded.argv0,
            args: encoded.args,
            env: encoded.env,
            inputs: encoded.inputs,
            stdin: encoded.stdin,
            dirs: encoded.dirs,
            clock: encoded.clock,
            limits: encoded.limits,
            determinism: encoded.determinism,
            private: encoded.private,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{canonical, cid};

    /// The smallest task, as others write it.
    #[derive(Serialize)]
    struct Flat {
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none", with = "portable::option")]
        component: Option<Cid>,
        limits: Limits,
        determinism: Determinism,
        #[serde(skip_serializing_if = "Option::is_none")]
        reel: Option<u8>,
    }

    fn flat() -> Flat {
        Flat {
            kind: "wasm",
            component: Some(cid::of(cid::RAW, b"component")),
            limits: Limits::default(),
            determinism: Determinism::default(),
            reel: None,
        }
    }

    #[test]
    fn a_task_and_its_kind_are_one_map() {
        let task = TaskSpec::wasm(cid::of(cid::RAW, b"component"));
        let (_, bytes) = canonical::encode(&task).unwrap();
        assert_eq!(bytes, serde_ipld_dagcbor::to_vec(&flat()).unwrap());
        assert_eq!(canonical::decode::<TaskSpec>(&bytes).unwrap(), task);
    }

    #[test]
    fn what_a_kind_needs_must_be_there_and_nothing_that_is_not_known() {
        let none = Flat {
            component: None,
            ..flat()
        };
        let other = Flat {
            kind: "tape",
            ..flat()
        };
        let more = Flat {
            reel: Some(1),
            ..flat()
        };
        for (flat, named) in [(none, "component"), (other, "tape"), (more, "reel")] {
            let bytes = serde_ipld_dagcbor::to_vec(&flat).unwrap();
            let read = serde_ipld_dagcbor::from_slice::<TaskSpec>(&bytes);
            let refused = read.unwrap_err().to_string();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
