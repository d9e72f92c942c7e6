//! Tests that make networks and mounts of their own.

use rustix::process::geteuid;
use std::process::{Command, Stdio};

/// Says to a test that it was started again.
const AGAIN: &str = "CONFORMANCE_IN_NAMESPACE";

/// Runs the body of a test that needs root. Who is not root has a user namespace in which they are: the test is started
/// once more in there, with mounts and a network of its own.
///
/// # Panics
///
/// When the test fails, or user namespaces cannot be had.
#[expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]
pub fn privileged<F: FnOnce()>(body: F) {
    if geteuid().is_root() {
        body();
        return;
    }
    // What has to be compiled needs the network of the machine.
    let _ = (crate::binary(), mc_artifacts::guest("exit_zero"));
    let test = name::<F>();
    let this = std::env::current_exe().expect("a test has a path");
    // Names of network namespaces are files below /run.
    let script = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";
    let mut again = Command::new("unshare");
    again
        .args(["--user", "--map-root-user", "--net", "--mount", "--"])
        .args(["sh", "-c", script, "sh"])
        .arg(this)
        .args(["--exact", &test, "--nocapture"])
        .env(AGAIN, "1")
        .stdin(Stdio::null());
    let output = again.output().expect("unshare can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let ran = said.contains("1 passed");
    if !output.status.success() || !ran {
        panic!("in a user namespace, {test}:\n{said}\n{errors}");
    }
}

/// The path of the test whose body this is, from the type of its closure: `it::nat::behind_routers::{{closure}}`.
fn name<F>() -> String {
    let path = std::any::type_name::<F>();
    let path = path.split("::{{closure}}").next().unwrap_or_default();
    let name = path.split_once("::").map_or(path, |(_, name)| name);
    name.to_owned()
}

#[cfg(test)]
mod tests {
    fn of<F: FnOnce()>(_body: &F) -> String {
        super::name::<F>()
    }

    #[test]
    fn the_name_of_a_test_is_that_of_its_function() {
        let body = || {};
        let name = "privileged::tests::the_name_of_a_test_is_that_of_its_function";
        assert_eq!(of(&body), name);
    }
}
