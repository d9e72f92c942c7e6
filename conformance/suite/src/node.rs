//! A node in a process of its own.

use crate::{
    command::{command, end, finish, within_namespace},
    within,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, ChildStderr},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

/// How long a node may take to start or to stop, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a node is to be started. Ports are free ones, mDNS is off: tests must not meet each other.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// Its data directory; a new one when absent.
    pub data_dir: Option<PathBuf>,
    /// Addresses of other nodes.
    pub bootstrap: Vec<String>,
    /// The port for peers; a free one when absent.
    pub port: Option<u16>,
    /// The address for peers; that of the loopback interface when absent.
    pub ip: Option<String>,
    /// A network namespace to run it in.
    pub namespace: Option<String>,
    /// Any other flags.
    pub flags: Vec<String>,
}

/// A running node; killed when dropped.
#[derive(Debug)]
pub struct Node {
    /// The URL of its API.
    pub api: String,
    /// Its PeerId.
    pub id: String,
    /// Its addresses on the loopback interface.
    pub addresses: Vec<String>,
    data_dir: PathBuf,
    namespace: Option<String>,
    child: Child,
    said: Said,
    _owned: Option<tempfile::TempDir>,
}

impl NodeOptions {
    /// A node that knows nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// That connects to `node` at start.
    #[must_use]
    pub fn bootstrap(mut self, node: &Node) -> Self {
        self.bootstrap
            .extend(node.addresses.iter().take(1).cloned());
        self
    }

    /// That peers find on the same port whenever it is started.
    #[must_use]
    pub const fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// On a directory that outlives it.
    #[must_use]
    pub fn data_dir(mut self, dir: &Path) -> Self {
        self.data_dir = Some(dir.to_owned());
        self
    }

    /// With further flags.
    #[must_use]
    pub fn flags<S: Into<String>>(mut self, flags: impl IntoIterator<Item = S>) -> Self {
        self.flags.extend(flags.into_iter().map(Into::into));
        self
    }

    /// Starts it, and returns once it answers.
    ///
    /// # Panics
    ///
    /// When it does not start.
    #[must_use]
    #[expect(
        clippy::expect_used,
        clippy::panic,
        reason = "a failed expectation fails the test"
    )]
    pub fn start(self) -> Node {
        let owned = self
            .data_dir
            .is_none()
            .then(|| tempfile::tempdir().expect("a directory"));
        let data_dir = self
            .data_dir
            .clone()
            .or_else(|| Some(owned.as_ref()?.path().to_owned()));
        let data_dir = data_dir.expect("one of the two is there");
        let mut args: Vec<String> = vec!["--format".into(), "json".into(), "node".into()];
        args.extend(["--data-dir".into(), data_dir.display().to_string()]);
        args.extend(["--api", "127.0.0.1:0", "--no-mdns"].map(String::from));
        let port = self.port.unwrap_or(0);
        let ip = self.ip.as_deref().unwrap_or("127.0.0.1");
        args.extend(["--listen".to_owned(), format!("/ip4/{ip}/tcp/{port}")]);
        args.extend(
            self.bootstrap
                .iter()
                .flat_map(|a| ["--bootstrap".to_owned(), a.clone()]),
        );
        args.extend(self.flags);
        let mut child = within_namespace(command(&args), self.namespace.as_deref())
            .spawn()
            .expect("the binary can be started");
        let said = Said::default();
        let stderr = said.listen(child.stderr.take());
        let stdout = child.stdout.take().expect("it was piped");
        let (line, first_line) = mpsc::channel();
        thread::spawn(move || {
            let mut lines = BufReader::new(stdout).lines();
            let _ = line.send(lines.next());
            // The rest is read too, so that the node never blocks on a full pipe.
            lines.for_each(drop);
        });
        let first = first_line.recv_timeout(PATIENCE);
        let Ok(Some(Ok(first))) = first else {
            end(&mut child);
            // All of it is there once the reader has ended.
            let _ = stderr.join();
            panic!("no node from {args:?}:\n{}", said.text());
        };
        let ready: Value = serde_json::from_str(&first).expect("the first line is JSON");
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let addresses = ready.get("addresses").and_then(Value::as_array).cloned();
        Node {
            api: text(ready.get("api")).expect("an API"),
            id: text(ready.get("id")).expect("an id"),
            addresses: addresses
                .iter()
                .flatten()
                .filter_map(|a| text(Some(a)))
                .collect(),
            data_dir,
            namespace: self.namespace,
            child,
            said,
            _owned: owned,
        }
    }
}

/// What a process writes to standard error, as far as it has come.
#[derive(Debug, Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl Said {
    fn listen(&self, pipe: Option<ChildStderr>) -> thread::JoinHandle<()> {
        let said = self.clone();
        thread::spawn(move || {
            let mut pieces = vec![0; 4096];
            let Some(mut pipe) = pipe else { return };
            while let Ok(read @ 1..) = pipe.read(&mut pieces) {
                let piece = pieces.get(..read).unwrap_or_default();
                said.bytes().extend_from_slice(piece);
            }
        })
    }

    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }
}

impl Node {
    /// Runs a command against this node, in its network namespace.
    pub fn mc<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> crate::Finished {
        let node = ["--node".to_owned(), self.api.clone()];
        let args = node.into_iter().chain(args.into_iter().map(str::to_owned));
        finish(within_namespace(command(args), self.namespace.as_deref()))
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.said.text()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Most memory that its process had so far, in bytes.
    ///
    /// # Panics
    ///
    /// When it does not run any more.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a failed expectation is how a test fails"
    )]
    pub fn peak_memory_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("it runs");
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        let kib: u64 = peak
            .and_then(|kib| kib.parse().ok())
            .expect("the kernel tells it");
        kib << 10
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Ends it without warning, as a power cut would.
    pub fn kill(mut self) {
        end(&mut self.child);
    }

    /// Asks it to stop, and gives its exit code.
    ///
    /// # Panics
    ///
    /// When it does not stop within a minute.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a failed expectation is how a test fails"
    )]
    pub fn stop(mut self) -> Option<i32> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(Pid::from_raw)
            .expect("a pid");
        kill_process(pid, Signal::TERM).expect("it can be signalled");
        let status = within(PATIENCE, || {
            self.child.try_wait().expect("a child can be waited for")
        });
        status.expect("it stops").code()
    }

    /// Whether the process is still there.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

/// A port for a node that is started again and must be found where it was. It is below those that the system
/// hands out by itself, so that it is still free by then.
///
/// # Panics
///
/// When all of them are taken.
#[must_use]
#[expect(
    clippy::expect_used,
    reason = "a failed expectation is how a test fails"
)]
pub fn free_port() -> u16 {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap_or_default();
    (first..32_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}
