//! What would have to change so that nodes can run a job that none can run now.

use super::units::{Size, Time, count};
use crate::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The changes that would let some nodes run a job.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// It asks for no more memory than this.
    Memory {
        /// In bytes.
        bytes: u64,
    },
    /// It may make no more files than this, since more would take memory.
    Files {
        /// How many.
        files: u64,
    },
    /// It asks for no more disk for its files than this.
    Scratch {
        /// In bytes.
        bytes: u64,
    },
    /// It asks for no more disk for its output streams than this.
    Output {
        /// In bytes.
        bytes: u64,
    },
    /// It asks for no more time than this.
    AttemptTime {
        /// In milliseconds.
        millis: u64,
    },
    /// It does not ask for this label.
    Label {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
        /// Among the nodes that have another value for this label, the value that most of them have.
        instead: Option<String>,
    },
    /// It does not ask for this node.
    Target {
        /// That node.
        node: NodeId,
    },
    /// A change of a later version, unknown to this one.
    #[default]
    Unknown,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory { bytes } => write!(f, "with memory ≤ {}", Size(*bytes)),
            Self::Files { files } => write!(f, "with files ≤ {files}"),
            Self::Scratch { bytes } => write!(f, "with scratch ≤ {}", Size(*bytes)),
            Self::Output { bytes } => write!(f, "with output ≤ {}", Size(*bytes)),
            Self::AttemptTime { millis } => write!(f, "with timeout ≤ {}", Time(*millis)),
            Self::Label {
                name,
                value,
                instead,
            } => {
                let name = name.escape_debug();
                write!(f, "without {name}={}", value.escape_debug())?;
                match instead {
                    Some(instead) => write!(f, " (some have {name}={})", instead.escape_debug()),
                    None => Ok(()),
                }
            }
            Self::Target { node } => write!(f, "without target_node={node}"),
            Self::Unknown => {
                f.write_str("with a change that only a later version of mc-wasm knows")
            }
        }
    }
}

/// The nodes that come nearest to running a job that no node can run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NearestMiss {
    /// How many they are.
    pub nodes: u32,
    /// What would have to be different, all of it.
    #[serde(deserialize_with = "crate::lenient::list")]
    pub changes: Vec<Change>,
}

impl fmt::Display for NearestMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes: Vec<_> = self.changes.iter().map(ToString::to_string).collect();
        let could = count(self.nodes, "node", "nodes");
        write!(f, "{could} could {}", changes.join(" and "))
    }
}
