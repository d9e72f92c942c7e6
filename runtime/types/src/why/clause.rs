//! What a job asks of a node.

use super::units::{Size, Time};
use crate::{NodeId, Resources, resources::is_zero};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// Something that a node must have to be given a job. A new kind of requirement is a variant here, a line in
/// its `Display`, and a rule in the scheduler.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clause<'a> {
    /// It runs tasks at all.
    Lends,
    /// It is the node that the job names, or is to move to.
    Target {
        /// That node.
        node: Cow<'a, NodeId>,
    },
    /// It lends this much memory.
    Memory {
        /// In bytes.
        bytes: u64,
        /// How many files the job may make, if that takes a part of the memory; 0 otherwise.
        #[serde(default, skip_serializing_if = "is_zero")]
        files: u64,
    },
    /// It lends this much disk for the files that a task writes.
    Scratch {
        /// In bytes.
        bytes: u64,
    },
    /// It lends this much disk for the output streams of a task.
    Output {
        /// In bytes.
        bytes: u64,
    },
    /// It lets an attempt take so long.
    AttemptTime {
        /// In milliseconds.
        millis: u64,
    },
    /// It has this label.
    Label {
        /// Its name.
        name: Cow<'a, str>,
        /// Its value.
        value: Cow<'a, str>,
    },
    /// It announced itself recently.
    Heard,
    /// It is not avoided for failing jobs that others could run.
    Trusted,
    /// One of its slots is free.
    FreeSlot,
    /// This much of the memory that it lends is free. If a node never lends this much, only [`Clause::Memory`] reports
    /// that, not this clause.
    FreeMemory {
        /// In bytes.
        bytes: u64,
        /// As in [`Clause::Memory`].
        #[serde(default, skip_serializing_if = "is_zero")]
        files: u64,
    },
    /// A requirement of a later version, unknown to this one.
    #[default]
    Unknown,
}

impl Clause<'_> {
    /// Whether it stays true or false until somebody changes the node or the job. The other clauses change with time
    /// alone.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        !matches!(
            self,
            Self::Heard | Self::Trusted | Self::FreeSlot | Self::FreeMemory { .. }
        )
    }

    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Clause<'static> {
        match self {
            Self::Lends => Clause::Lends,
            Self::Target { node } => Clause::Target {
                node: Cow::Owned(node.into_owned()),
            },
            Self::Memory { bytes, files } => Clause::Memory { bytes, files },
            Self::Scratch { bytes } => Clause::Scratch { bytes },
            Self::Output { bytes } => Clause::Output { bytes },
            Self::AttemptTime { millis } => Clause::AttemptTime { millis },
            Self::Label { name, value } => Clause::Label {
                name: Cow::Owned(name.into_owned()),
                value: Cow::Owned(value.into_owned()),
            },
            Self::Heard => Clause::Heard,
            Self::Trusted => Clause::Trusted,
            Self::FreeSlot => Clause::FreeSlot,
            Self::Unknown => Clause::Unknown,
            Self::FreeMemory { bytes, files } => Clause::FreeMemory { bytes, files },
        }
    }
}

/// What a node lacks of which the clause does not hold.
impl fmt::Display for Clause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lends => f.write_str("slots for tasks"),
            Self::Target { node } => write!(f, "the id {node}"),
            Self::Memory { bytes, files } => {
                write!(f, "{} of memory{}", Size(*bytes), OfFiles(*files))
            }
            Self::Scratch { bytes } => write!(f, "{} of scratch", Size(*bytes)),
            Self::Output { bytes } => write!(f, "{} of output", Size(*bytes)),
            Self::AttemptTime { millis } => write!(f, "{} for an attempt", Time(*millis)),
            Self::Label { name, value } => {
                // Anybody may have chosen them.
                let (name, value) = (name.escape_debug(), value.escape_debug());
                write!(f, "the label {name}={value}")
            }
            Self::Heard => f.write_str("a recent sign of life"),
            Self::Trusted => f.write_str("trust after failures"),
            Self::FreeSlot => f.write_str("a free slot"),
            Self::Unknown => f.write_str("something that only a later version of mc-wasm knows"),
            Self::FreeMemory { bytes, files } => {
                write!(f, "{} of free memory{}", Size(*bytes), OfFiles(*files))
            }
        }
    }
}

/// The part of some memory that files take, if there are enough of them to count.
struct OfFiles(u64);

impl fmt::Display for OfFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Resources::memory_of_files(self.0) {
            0 => Ok(()),
            bytes => write!(f, " ({} of it for {} files)", Size(bytes), self.0),
        }
    }
}
