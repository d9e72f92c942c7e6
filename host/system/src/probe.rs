//! Which external programs and devices are there.

use std::{
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long a program may take to say its version.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of what it says is read, in bytes.
const MAX_OUTPUT_BYTES: u64 = 64 << 10;

/// The first line that `program args…` prints; `None` when there is no such program, or it fails or
/// takes longer than five seconds.
#[must_use]
pub fn first_line(program: &str, args: &[&str]) -> Option<String> {
    output(program, args)?
        .lines()
        .next()
        .map(|line| line.trim().to_owned())
}

/// Whether the toolchain can build components for `wasm32-wasip2`.
#[must_use]
pub fn has_wasm_target() -> bool {
    let installed = output("rustup", &["target", "list", "--installed"]);
    installed.is_some_and(|text| text.lines().any(|line| line.trim() == "wasm32-wasip2"))
}

/// The device files of GPUs.
#[must_use]
pub fn gpu_devices() -> Vec<&'static str> {
    let known = ["/dev/dri/renderD128", "/dev/nvidia0", "/dev/kfd"];
    known
        .into_iter()
        .filter(|path| Path::new(path).exists())
        .collect()
}

fn output(program: &str, args: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let pipe = child.stdout.take()?;
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let read = pipe.take(MAX_OUTPUT_BYTES).read_to_string(&mut text);
        // Nobody listens any more once the time is up.
        let _ = sender.send(read.ok().map(|_| text));
    });
    let text = receiver.recv_timeout(PATIENCE).ok().flatten();
    if text.is_none() {
        // It may have ended by itself.
        let _ = child.kill();
    }
    let status = child.wait().ok()?;
    text.filter(|_| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_asked_and_absent_or_failing_ones_are_not_there() {
        assert_eq!(first_line("echo", &["one"]).as_deref(), Some("one"));
        assert_eq!(first_line("no-such-program-anywhere", &[]), None);
        assert_eq!(first_line("false", &[]), None);
    }
}
