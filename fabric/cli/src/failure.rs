//! Errors as the user sees them: a code, what was wrong, and what to type instead.

use crate::exit;
use mc_gateway::{api::ErrorBody, backend};
use mc_types::ErrorCode;
use std::{io::Write, path::Path, process::ExitCode};

/// Why a command cannot do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure(ErrorBody);

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self(ErrorBody {
            code,
            message: message.into(),
            hint: None,
        })
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Usage, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// A file or directory that is in the way of the command.
    pub(crate) fn path(path: &Path, error: &std::io::Error) -> Self {
        Self::new(ErrorCode::Path, format!("{}: {error}", path.display()))
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// This failure, said to be about `what`.
    #[must_use]
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message);
        self
    }

    /// What was wrong.
    pub(crate) fn message(&self) -> &str {
        &self.0.message
    }

    pub(crate) const fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// Tells the user, and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        let mut stderr = std::io::stderr().lock();
        // A closed standard error leaves nobody to tell.
        let _ = if json {
            let body = serde_json::to_string(&self.0).unwrap_or_default();
            writeln!(stderr, "{body}")
        } else {
            let written = writeln!(stderr, "error[{}]: {}", self.0.code, self.0.message);
            let explain = format!("mc-wasm explain {}", self.0.code);
            let hint = self.0.hint.as_deref().unwrap_or(&explain);
            written.and_then(|()| writeln!(stderr, "  help: {hint}"))
        };
        ExitCode::from(exit::of_error(self.0.code))
    }
}

/// Prints what clap says, and gives the exit code: help and versions are no errors.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // A closed stream leaves nobody to tell.
    let _ = error.print();
    if error.use_stderr() {
        let _ = writeln!(
            std::io::stderr(),
            "  help: mc-wasm explain {}",
            ErrorCode::Usage
        );
        return ExitCode::from(exit::USAGE);
    }
    ExitCode::SUCCESS
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

impl From<mc_content::Error> for Failure {
    fn from(error: mc_content::Error) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<mc_engine::Error> for Failure {
    fn from(error: mc_engine::Error) -> Self {
        let failure = Self::new(error.code(), error.to_string());
        match error {
            mc_engine::Error::CoreModule { .. } => {
                failure.with_hint("build it as a command for WASI: for --target wasm32-wasip2")
            }
            mc_engine::Error::NotWasm { .. } => {
                failure.with_hint("give a .wasm component, or a directory with a Cargo.toml")
            }
            _ => failure,
        }
    }
}

impl From<mc_node::Error> for Failure {
    fn from(error: mc_node::Error) -> Self {
        backend::Error::from(error).0.into()
    }
}

impl From<mc_node::config::ConfigError> for Failure {
    fn from(error: mc_node::config::ConfigError) -> Self {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        Self::usage(format!("{error}{}", cause.unwrap_or_default()))
            .with_hint("mc-wasm config print")
    }
}
