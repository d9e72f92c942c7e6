//! Helia, the IPFS implementation for Node.js, in processes of its own.

use crate::{
    command::{end, finish_within},
    within,
};
use serde_json::Value;
use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::Duration,
};

/// How long adding something to it may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// A Helia node that serves something; ended when dropped.
#[derive(Debug)]
pub struct Helia {
    /// The root of what it serves, if it serves something.
    pub cid: String,
    /// Where it is reached, with its PeerId.
    pub address: String,
    child: Child,
}

/// The script, installed with what it needs.
#[expect(
    clippy::expect_used,
    reason = "without Helia there is nothing to test with"
)]
fn script() -> &'static Path {
    static SCRIPT: OnceLock<PathBuf> = OnceLock::new();
    SCRIPT.get_or_init(|| mc_artifacts::helia().expect("Helia can be installed"))
}

fn command<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut node = Command::new("node");
    node.arg("--no-warnings")
        .arg(script())
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    node
}

/// Runs one of the script's commands to its end; gives what it says.
///
/// # Panics
///
/// When it fails.
#[expect(
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]
pub fn helia<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Value {
    let done = finish_within(command(args), PATIENCE);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    serde_json::from_slice(&done.stdout).expect("it speaks JSON")
}

impl Helia {
    /// Adds a file or directory, and serves it.
    ///
    /// # Panics
    ///
    /// When it does not within five minutes.
    #[must_use]
    pub fn serve(path: &Path) -> Self {
        Self::start([OsStr::new("serve"), path.as_os_str()])
    }

    /// The same, by a peer whose key is of this type: `RSA` or `secp256k1`.
    ///
    /// # Panics
    ///
    /// As [`Self::serve`].
    #[must_use]
    pub fn serve_with_key(path: &Path, key: &str) -> Self {
        Self::start([OsStr::new("serve"), path.as_os_str(), OsStr::new(key)])
    }

    /// A member of a DHT of IPFS: the first, or one that knows another and announces a file, which it serves.
    ///
    /// # Panics
    ///
    /// As [`Self::serve`].
    #[must_use]
    pub fn in_dht(serving: Option<(&Self, &Path)>) -> Self {
        let serving = serving
            .into_iter()
            .flat_map(|(other, path)| [OsStr::new(&other.address), path.as_os_str()]);
        Self::start([OsStr::new("dht")].into_iter().chain(serving))
    }

    /// A peer that wants these blocks and countless others of `address`, and reads nothing of what it is sent.
    ///
    /// # Panics
    ///
    /// As [`Self::serve`].
    #[must_use]
    pub fn flood<'a>(address: &'a str, cids: impl IntoIterator<Item = &'a str>) -> Self {
        Self::start(["flood", address].into_iter().chain(cids))
    }

    #[expect(
        clippy::expect_used,
        reason = "a failed expectation is how a test fails"
    )]
    fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        let mut command = command(args);
        let mut child = command
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node can be started");
        let stdout = child.stdout.take().expect("it is piped");
        let (sender, line) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            // The test may have ended.
            let _ = sender.send(read.map(|_| line));
        });
        let line = within(PATIENCE, || line.try_recv().ok());
        let line = line.and_then(Result::ok).unwrap_or_default();
        let said: Value = serde_json::from_str(&line).expect("it says what it serves");
        let text = |name: &str| said.get(name).and_then(Value::as_str).map(str::to_owned);
        Self {
            cid: text("cid").expect("a CID"),
            address: text("address").expect("an address"),
            child,
        }
    }
}

impl Drop for Helia {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}
