//! Why a component cannot be loaded, or an execution has no outcome.

use mc_types::ErrorCode;
use std::{path::PathBuf, time::Duration};

/// Why a component cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no WebAssembly.
    #[error("this is not WebAssembly but {looks_like}")]
    NotWasm {
        /// What they look like.
        looks_like: &'static str,
    },
    /// A core module that is no command of WASI preview 1.
    #[error("this core WebAssembly module is no command: {reason}")]
    CoreModule {
        /// What it lacks.
        reason: String,
    },
    /// It needs what the sandbox does not offer.
    #[error("the component imports what is not offered here: {}", some(names))]
    UnsupportedImports {
        /// The interfaces.
        names: Vec<String>,
    },
    /// It imports what is offered in another form.
    #[error("the component imports what is not offered here in this form: {reason}")]
    ImportForm {
        /// Which import, and how it differs.
        reason: String,
    },
    /// It is written with proposals for WebAssembly that are not offered.
    #[error("the component needs {}, not offered here", names.join(" and "))]
    Proposals {
        /// Their names.
        names: Vec<&'static str>,
    },
    /// It is a library or a server, not a command.
    #[error("the component is not a command: {}", exported(exports))]
    NotACommand {
        /// What it exports.
        exports: Vec<String>,
    },
    /// What it exports to be run by is of another type.
    #[error("the component is not a command: its {export} {reason}")]
    RunForm {
        /// The interface.
        export: String,
        /// How it differs.
        reason: String,
    },
    /// It is malformed.
    #[error("the component is malformed: {reason}")]
    Invalid {
        /// Where and why.
        reason: String,
    },
    /// It is valid, and the compiler cannot take it.
    #[error("the component cannot be compiled here: {reason}")]
    Uncompilable {
        /// Why.
        reason: String,
    },
    /// It is larger than anything that is compiled.
    #[error("the component has {bytes} bytes; at most {max} are accepted")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// A compiler in another process refused it.
    #[error("{message}")]
    Refused {
        /// The code of its reason.
        code: ErrorCode,
        /// Its reason.
        message: String,
    },
    /// The directory of compiled code cannot be used.
    #[error("cannot use the cache directory {path}")]
    Cache {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// wasmtime could not be started.
    #[error("the WebAssembly engine failed: {0}")]
    Engine(String),
}

/// The most names of imports in a message. `inspect` lists them all.
const MOST_NAMES: usize = 8;

/// The first of many names, and how many more there are.
fn some(names: &[String]) -> String {
    let said: Vec<_> = names.iter().take(MOST_NAMES).map(String::as_str).collect();
    let said = said.join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => said,
        more => format!("{said} and {more} more"),
    }
}

/// What a component exports that is no command of WASI 0.2.
fn exported(names: &[String]) -> String {
    if let Some(run) = names.iter().find(|name| name.starts_with("wasi:cli/run@")) {
        return format!("it exports {run}, and WASI 0.2 is what is offered here");
    }
    let names = match names {
        [] => "nothing".to_owned(),
        names => some(names),
    };
    format!("it does not export wasi:cli/run but {names}")
}

impl Error {
    /// The stable code that users see.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::NotWasm { .. } => ErrorCode::NotWasm,
            Self::CoreModule { .. } => ErrorCode::CoreModule,
            Self::UnsupportedImports { .. } | Self::ImportForm { .. } => {
                ErrorCode::UnsupportedImport
            }
            Self::Proposals { .. } => ErrorCode::UnsupportedProposal,
            Self::NotACommand { .. }
            | Self::RunForm { .. }
            | Self::Invalid { .. }
            | Self::Uncompilable { .. }
            | Self::TooLarge { .. } => ErrorCode::InvalidComponent,
            Self::Refused { code, .. } => *code,
            Self::Cache { .. } => ErrorCode::Storage,
            Self::Engine(_) => ErrorCode::Internal,
        }
    }

    /// Whether it is the component's fault, and so the same on every machine.
    #[must_use]
    pub const fn is_components_fault(&self) -> bool {
        !matches!(self, Self::Cache { .. } | Self::Engine(_))
    }
}

/// Why an execution has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It took longer than it was given.
    #[error("not finished after {after:?}")]
    Timeout {
        /// What it was given.
        after: Duration,
    },
    /// It was called off.
    #[error("called off")]
    Cancelled,
    /// It was stopped, to go on elsewhere.
    #[error("stopped at a checkpoint")]
    Left,
    /// The state that it was to go on with is not one of its own.
    #[error("the checkpoint does not fit: {reason}")]
    Refused {
        /// What does not fit.
        reason: String,
    },
    /// It exceeds its limits from the start, on every machine.
    #[error("the component exceeds its limits from the start: {reason}")]
    TooMuch {
        /// What it has too much of.
        reason: String,
    },
    /// The reader of its output has gone.
    #[error("the reader of the output has gone")]
    OutputClosed,
    /// A file or directory of the user cannot be read, or no longer.
    #[error("{0}")]
    Unreadable(String),
    /// An input is invalid, on every machine.
    #[error("{0}")]
    Unusable(String),
    /// The machine failed.
    #[error("{0}")]
    Host(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_command_says_in_few_words_what_it_is() {
        let said = |exports: &[&str]| {
            let exports = exports.iter().map(ToString::to_string).collect();
            Error::NotACommand { exports }.to_string()
        };
        assert!(said(&["wasi:cli/run@0.3.0"]).contains("WASI 0.2 is what is offered"));
        assert!(said(&[]).contains("but nothing"));
        let many: Vec<_> = (0..30).map(|n| format!("a:b/c{n}")).collect();
        let names: Vec<_> = many.iter().map(String::as_str).collect();
        let said = said(&names);
        assert!(said.ends_with("a:b/c7 and 22 more"), "{said}");
    }
}
