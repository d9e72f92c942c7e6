//! The outcome of a task: the statement that honest peers agree on.

use crate::Cid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a task ended. Failures of the machine are not among them: those are retried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Termination {
    /// The component returned or called `exit`.
    Exited {
        /// Its exit code.
        code: u8,
    },
    /// The component trapped.
    Trapped {
        /// Why.
        kind: TrapKind,
    },
    /// [`Limits::fuel`](crate::Limits::fuel) was used up.
    OutOfFuel,
    /// The component gave up when it was refused more than [`Limits::memory_bytes`](crate::Limits::memory_bytes).
    MemoryLimit,
    /// More than [`Limits::output_bytes`](crate::Limits::output_bytes) was written to the standard streams.
    OutputLimit,
}

/// Why a component trapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrapKind {
    /// `unreachable`: an abort, a failed assertion or a panic.
    Unreachable,
    /// An access outside linear memory.
    MemoryOutOfBounds,
    /// An access outside a table.
    TableOutOfBounds,
    /// A call through an empty table slot.
    NullReference,
    /// A call through a table slot of another type.
    IndirectCallToWrongType,
    /// An integer was divided by zero.
    DivisionByZero,
    /// An integer operation overflowed.
    IntegerOverflow,
    /// A float that no integer can hold was converted to one.
    BadConversionToInteger,
    /// Calls were nested too deeply.
    StackOverflow,
    /// Anything else: an uncaught exception, or a violation of the canonical ABI. Outcomes do not tell these apart,
    /// because older outcomes did not.
    Other,
}

impl std::fmt::Display for TrapKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable",
            Self::MemoryOutOfBounds => "memory out of bounds",
            Self::TableOutOfBounds => "table out of bounds",
            Self::NullReference => "null reference",
            Self::IndirectCallToWrongType => "indirect call to a function of another type",
            Self::DivisionByZero => "division by zero",
            Self::IntegerOverflow => "integer overflow",
            Self::BadConversionToInteger => "bad conversion to integer",
            Self::StackOverflow => "stack overflow",
            Self::Other => "uncaught exception, or something else that no guest may do",
        })
    }
}

/// Which counter measured the fuel, and by which table of costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Meter {
    /// The fuel of wasmtime 48: for programs that the meter below cannot count.
    #[serde(rename = "wasmtime-48")]
    Wasmtime48,
    /// Operators and bytes, by the first version of the table of costs.
    #[serde(rename = "operators-1")]
    Operators1,
}

/// The result of a task. Nothing in it may differ between honest peers, so peers can compare CIDs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The task.
    #[serde(with = "crate::cid::portable")]
    pub task: Cid,
    /// How it ended.
    pub end: Termination,
    /// Everything written to standard output: a UnixFS file.
    #[serde(with = "crate::cid::portable")]
    pub stdout: Cid,
    /// Everything written to standard error: a UnixFS file.
    #[serde(with = "crate::cid::portable")]
    pub stderr: Cid,
    /// The contents of `/out`: a UnixFS directory.
    #[serde(with = "crate::cid::portable")]
    pub outputs: Cid,
    /// What [`TaskSpec::dirs`](crate::TaskSpec::dirs) hold in the end: UnixFS directories.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        with = "crate::cid::portable::map"
    )]
    pub dirs: BTreeMap<String, Cid>,
    /// Units of fuel used.
    pub fuel: u64,
    /// The counter that gave `fuel`.
    pub meter: Meter,
}
