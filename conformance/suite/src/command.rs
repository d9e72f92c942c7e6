//! Running one command to its end.

use crate::{binary, wait::within};
use std::{
    ffi::OsStr,
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

/// Longest time of one command, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A command that ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: String,
}

/// Runs `mc-wasm` with `args` and no configuration but theirs.
///
/// # Panics
///
/// When it does not end within two minutes.
pub fn mc<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Finished {
    finish(command(args))
}

/// The same in a directory, for paths that are relative.
///
/// # Panics
///
/// As [`mc`].
pub fn mc_in<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Finished {
    let mut command = command(args);
    command.current_dir(dir);
    finish(command)
}

/// The same, changed before it is started: with variables, say, or another standard input.
///
/// # Panics
///
/// As [`mc`].
pub fn mc_with<S: AsRef<OsStr>>(
    args: impl IntoIterator<Item = S>,
    change: impl FnOnce(&mut Command),
) -> Finished {
    let mut command = command(args);
    change(&mut command);
    finish(command)
}

/// The same, started and not waited for; [`Finished::of`] does that.
///
/// # Panics
///
/// When it cannot be started.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]
pub fn spawn_in<S: AsRef<OsStr>>(dir: &Path, args: impl IntoIterator<Item = S>) -> Child {
    let mut command = command(args);
    let child = command.current_dir(dir).spawn();
    child.expect("the binary can be started")
}

/// `mc-wasm` with `args`, not started yet. Nothing of the caller's configuration reaches it.
pub(crate) fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(binary());
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MC_") {
            command.env_remove(name);
        }
    }
    // What is for the test binary alone would make a cargo that the command starts build everything anew.
    command.env_remove("RUSTC_BOOTSTRAP");
    command
}

/// The same command, in a network namespace if one is named.
pub(crate) fn within_namespace(command: Command, namespace: Option<&str>) -> Command {
    let Some(namespace) = namespace else {
        return command;
    };
    let mut inside = Command::new("ip");
    inside
        .args(["netns", "exec", namespace])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    inside
}

pub(crate) fn finish(command: Command) -> Finished {
    finish_within(command, PATIENCE)
}

/// Runs a command that may take so long.
#[expect(
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]
pub(crate) fn finish_within(mut command: Command, patience: Duration) -> Finished {
    let child = command.spawn().expect("the binary can be started");
    wait(child, patience, &format!("{command:?}"))
}

#[expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a failed expectation is how a test fails"
)]
fn wait(mut child: Child, patience: Duration, what: &str) -> Finished {
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let status = within(patience, || {
        child.try_wait().expect("a child can be waited for")
    });
    let Some(status) = status else {
        end(&mut child);
        panic!("still running after {patience:?}: {what}");
    };
    Finished {
        code: status.code(),
        stdout: stdout.join().expect("the reader ends"),
        stderr: String::from_utf8_lossy(&stderr.join().expect("the reader ends")).into_owned(),
    }
}

/// Reads a pipe on a thread of its own, so that a talkative child cannot block on a full one.
pub(crate) fn drain<R: Read + Send + 'static>(pipe: Option<R>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // A pipe that breaks ends the text; what was read until then still counts.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

pub(crate) fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

impl Finished {
    /// What became of a command that was started before.
    ///
    /// # Panics
    ///
    /// As [`mc`].
    #[must_use]
    pub fn of(child: Child) -> Self {
        wait(child, PATIENCE, "a command")
    }

    /// Standard output as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard output as JSON.
    ///
    /// # Panics
    ///
    /// When it is not JSON, with both streams.
    #[must_use]
    #[expect(clippy::panic, reason = "a failed expectation is how a test fails")]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|e| panic!("not JSON ({e}): {self:#?}"))
    }

    /// This, if it exited with `code`.
    ///
    /// # Panics
    ///
    /// When it did not, with both streams.
    #[expect(clippy::panic, reason = "a failed expectation is how a test fails")]
    pub fn expect_code(self, code: i32) -> Self {
        if self.code == Some(code) {
            return self;
        }
        panic!(
            "exit code {:?}, not {code}\n{}\n{}",
            self.code,
            self.text(),
            self.stderr
        );
    }
}
