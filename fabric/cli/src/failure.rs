//! Errors as users see them: a code, what was wrong, and what to type instead.

use crate::{exit, foreign, terminal};
use clap::error::ErrorKind;
use mc_api::ErrorBody;
use mc_execution::{ExecutionError, wasm};
use mc_types::{ErrorCode, with_causes};
use std::{
    ffi::OsString,
    io::{self, Write},
    path::Path,
    process::ExitCode,
    time::Duration,
};

/// Why a command cannot do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    body: ErrorBody,
    /// The reader of the output has gone. This is not reported.
    is_closed: bool,
    /// Content does not have the form that it should have.
    is_malformed: bool,
    /// The node has too much to do, and says after what time to ask again.
    again_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ErrorBody::new(code, message).into()
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Usage, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message)
    }

    /// A file or directory that is in the way of the command.
    pub(crate) fn path(path: &Path, error: &io::Error) -> Self {
        Self {
            is_closed: error.kind() == io::ErrorKind::BrokenPipe,
            ..Self::new(ErrorCode::Path, format!("{}: {error}", path.display()))
        }
    }

    #[must_use]
    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.body.hint = Some(hint.into());
        self
    }

    /// This failure, said to be about `what`.
    #[must_use]
    pub(crate) fn about(mut self, what: &str) -> Self {
        self.body.message = format!("{what}: {}", self.body.message);
        self
    }

    /// This failure, after which the node wants to be asked again in a while.
    #[must_use]
    pub(crate) fn with_pause(mut self, again_after: Option<Duration>) -> Self {
        self.again_after = again_after;
        self
    }

    /// After what time to ask the same node again, if it said so.
    pub(crate) const fn again_after(&self) -> Option<Duration> {
        self.again_after
    }

    /// What was wrong.
    pub(crate) fn message(&self) -> &str {
        &self.body.message
    }

    /// What to do about it, if that is known.
    pub(crate) fn hint(&self) -> Option<&str> {
        self.body.hint.as_deref()
    }

    pub(crate) const fn code(&self) -> ErrorCode {
        self.body.code
    }

    /// Whether another node, or the same one later, may succeed: this one does not answer, or does not reach the
    /// database that it shares with others.
    pub(crate) const fn is_away(&self) -> bool {
        matches!(self.code(), ErrorCode::NodeUnreachable | ErrorCode::Ledger)
    }

    /// Whether content was found that does not have the form that it should have, as encrypted content has not.
    pub(crate) const fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Tells the user, and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        if self.is_closed {
            return ExitCode::from(exit::CLOSED);
        }
        let body = &self.body;
        let text = if json {
            let json = serde_json::to_string(body).unwrap_or_default();
            terminal::escaped_json(&json).into_owned()
        } else {
            let explain = format!("mc-wasm explain {}", body.code);
            let hint = body.hint.as_deref().unwrap_or(&explain);
            // Further lines are indented, so that none of them looks like another error.
            let shown = |text: &str| terminal::escaped_lines(text).replace('\n', "\n  ");
            let (code, message, hint) = (body.code, shown(&body.message), shown(hint));
            format!("error[{code}]: {message}\n  help: {hint}")
        };
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr(), "{text}");
        ExitCode::from(exit::of_error(body.code))
    }
}

/// Whether errors are to be JSON, though the command line could not be read.
fn wants_json(args: impl IntoIterator<Item = OsString>) -> bool {
    let mut is_value = false;
    for arg in args.into_iter().take_while(|arg| arg != "--") {
        if arg == "--format=json" || (is_value && arg == "json") {
            return true;
        }
        is_value = arg == "--format";
    }
    false
}

/// What clap says, without what it says each time.
fn message(error: &clap::Error, text: &str) -> String {
    if matches!(
        error.kind(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        return "no command is given".to_owned();
    }
    let always = ["\n\nUsage:", "\n\nFor more information"];
    let ends = always.iter().filter_map(|always| text.find(always));
    let message = text.get(..ends.min().unwrap_or(text.len())).unwrap_or(text);
    message.trim().trim_start_matches("error: ").to_owned()
}

/// Prints what clap says, and gives the exit code: help and versions are no errors.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        return match error.print() {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::from(exit::CLOSED),
            _ => ExitCode::SUCCESS,
        };
    }
    let text = error.render().to_string();
    if wants_json(std::env::args_os()) {
        return Failure::usage(message(error, &text)).report(true);
    }
    let steers = |arg: OsString| {
        let arg = arg.to_string_lossy();
        terminal::escaped(&arg) != arg
    };
    // A closed standard error leaves nobody to tell.
    let _ = if std::env::args_os().any(steers) {
        write!(io::stderr(), "{}", terminal::escaped_lines(&text))
    } else {
        // With its colours.
        error.print()
    };
    let code = ErrorCode::Usage;
    let _ = writeln!(io::stderr(), "  help: mc-wasm explain {code}");
    ExitCode::from(exit::USAGE)
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self {
            body,
            is_closed: false,
            is_malformed: false,
            again_after: None,
        }
    }
}

impl From<mc_content::Error> for Failure {
    fn from(error: mc_content::Error) -> Self {
        if let mc_content::Error::Path { path, source } = &error {
            return Self::path(path, source);
        }
        let failure = Self {
            is_malformed: matches!(error, mc_content::Error::Malformed { .. }),
            ..Self::new(error.code(), with_causes(&error))
        };
        match mc_node::Error::Content(error).hint() {
            Some(hint) => failure.with_hint(hint),
            None => failure,
        }
    }
}

impl From<ExecutionError> for Failure {
    fn from(error: ExecutionError) -> Self {
        match error {
            ExecutionError::Program(error) => error.into(),
            ExecutionError::Content(error) => error.into(),
            error => {
                let code = error.code().unwrap_or(ErrorCode::Infrastructure);
                Self::new(code, with_causes(&error))
            }
        }
    }
}

impl From<wasm::Error> for Failure {
    fn from(error: wasm::Error) -> Self {
        let failure = Self::new(error.code(), with_causes(&error));
        match error {
            wasm::Error::CoreModule { .. } => {
                failure.with_hint("build it as a command for WASI: for --target wasm32-wasip2")
            }
            wasm::Error::UnsupportedImports { names } => match foreign::hint(&names) {
                Some(hint) => failure.with_hint(hint),
                None => failure,
            },
            wasm::Error::NotWasm { .. } => {
                failure.with_hint("give a .wasm component, or a directory with a Cargo.toml")
            }
            _ => failure,
        }
    }
}

impl From<mc_node::Error> for Failure {
    fn from(error: mc_node::Error) -> Self {
        ErrorBody::from(error).into()
    }
}

impl From<mc_config::ConfigError> for Failure {
    fn from(error: mc_config::ConfigError) -> Self {
        Self::usage(with_causes(&error)).with_hint("mc-wasm config print")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed;
    use std::io::ErrorKind;

    fn said(words: &[&str]) -> String {
        let error = typed::refused(words);
        message(&error, &error.render().to_string())
    }

    #[test]
    fn what_was_typed_wrongly_is_said_without_what_is_always_said() {
        let text = said(&["run", "x.wasm", "--memroy", "1MiB"]);
        assert!(text.starts_with("unexpected argument '--memroy'"), "{text}");
        assert!(text.contains("--memory"), "{text}");
        assert!(!text.contains("Usage:"), "{text}");
        assert_eq!(said(&[]), "no command is given");
    }

    #[test]
    fn errors_are_json_if_that_was_typed_wherever_the_rest_went_wrong() {
        let wants = |words: &[&str]| wants_json(words.iter().map(OsString::from));
        for json in [
            &["mc-wasm", "--format", "json", "nonsense"][..],
            &["mc-wasm", "nonsense", "--format=json"],
        ] {
            assert!(wants(json), "{json:?}");
        }
        for text in [
            &["mc-wasm", "ps"][..],
            &["mc-wasm", "--format", "text", "json"],
            &["mc-wasm", "run", "x.wasm", "--", "--format=json"],
        ] {
            assert!(!wants(text), "{text:?}");
        }
    }

    #[test]
    fn an_error_of_content_keeps_its_code_and_says_its_cause_once() {
        let path = mc_content::Error::Path {
            path: "/d/f".into(),
            source: io::Error::other("no luck"),
        };
        let failure = Failure::from(path);
        assert_eq!(failure.code(), ErrorCode::Path);
        assert_eq!(failure.message(), "/d/f: no luck");
        let full = Failure::from(mc_content::Error::DiskFull);
        assert_eq!(full.code(), ErrorCode::Storage);
        assert!(full.hint().is_some_and(|hint| hint.contains("gc")));
        let malformed = Failure::from(mc_content::Error::Malformed {
            cid: mc_types::Cid::default(),
            reason: "cut off".to_owned(),
        });
        assert!(malformed.is_malformed() && !full.is_malformed());
    }

    #[test]
    fn nobody_is_told_that_nobody_reads() {
        let closed = Failure::path(Path::new("standard output"), &ErrorKind::BrokenPipe.into());
        assert_eq!(closed.report(false), ExitCode::from(exit::CLOSED));
        let missing = Failure::path(Path::new("x"), &ErrorKind::NotFound.into()).about("the key");
        assert!(missing.message().starts_with("the key: x: "), "{missing:?}");
        assert_eq!(missing.report(true), ExitCode::from(exit::NOT_THERE));
    }

    #[test]
    fn another_node_is_asked_only_if_this_one_is_away() {
        for (code, away) in [
            (ErrorCode::NodeUnreachable, true),
            (ErrorCode::Ledger, true),
            (ErrorCode::NotFound, false),
            (ErrorCode::Overloaded, false),
        ] {
            assert_eq!(Failure::new(code, "x").is_away(), away, "{code}");
        }
    }
}
