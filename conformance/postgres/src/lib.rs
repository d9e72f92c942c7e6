//! A private PostgreSQL server for tests and measurements: a new cluster in a temporary directory, on a free port of
//! the loopback interface. It ends with the process that started it.
//!
//! The programs of the server have to be installed (Debian: `postgresql`); nothing else of the machine's
//! PostgreSQL is used.

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use std::{
    net::{TcpListener, TcpStream},
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

/// How long the server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The user and group `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65_534;

/// A server that runs; ended, with all its data, when dropped.
#[derive(Debug)]
pub struct Server {
    dir: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    databases: AtomicU32,
}

/// The server of this process, for tests that share one. It is started when it is first asked for, and ends
/// with the process.
///
/// # Errors
///
/// That it could not be started.
pub fn shared() -> Result<&'static Server> {
    static SHARED: OnceLock<Result<Server, String>> = OnceLock::new();
    let server = SHARED.get_or_init(|| Server::start().map_err(|e| format!("{e:?}")));
    server.as_ref().map_err(|e| anyhow::anyhow!("{e}"))
}

impl Server {
    /// Makes a new cluster, and starts a server for it.
    ///
    /// # Errors
    ///
    /// That PostgreSQL is not installed, or does not start.
    pub fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        to_nobody(dir.path())?;
        let data = dir.path().join("data");
        let mut initdb = as_nobody(&program("initdb")?);
        initdb.args([
            "--auth=trust",
            "--username=mc",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ]);
        run(initdb.arg("--pgdata").arg(&data).current_dir(dir.path()))?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut server = Self {
            dir,
            port,
            child: None,
            databases: AtomicU32::new(0),
        };
        server.resume()?;
        Ok(server)
    }

    /// A new, empty database; gives its URL.
    ///
    /// # Errors
    ///
    /// That the server does not make one.
    pub fn database(&self) -> Result<String> {
        let name = format!("mc{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut createdb = Command::new(program("createdb")?);
        createdb.args(["--host=127.0.0.1", "--username=mc", &name]);
        run(createdb.arg(format!("--port={}", self.port)))?;
        Ok(format!("postgres://mc@127.0.0.1:{}/{name}", self.port))
    }

    /// A new, empty database whose tables are in `dir`, which becomes the server's; gives its URL.
    ///
    /// # Errors
    ///
    /// That the server does not make one.
    pub fn database_in(&self, dir: &Path) -> Result<String> {
        to_nobody(dir)?;
        let url = self.database()?;
        let name = url.rsplit('/').next().unwrap_or_default();
        let dir = dir.to_str().context("a path in UTF-8")?;
        let any = format!("postgres://mc@127.0.0.1:{}/postgres", self.port);
        self.sql(&any, &format!("CREATE TABLESPACE {name} LOCATION '{dir}'"))?;
        self.sql(
            &any,
            &format!("ALTER DATABASE {name} SET TABLESPACE {name}"),
        )?;
        Ok(url)
    }

    /// Runs a statement, as the superuser, and gives what it printed.
    ///
    /// # Errors
    ///
    /// That it failed.
    pub fn sql(&self, url: &str, statement: &str) -> Result<String> {
        let mut psql = Command::new(program("psql")?);
        let output = run(psql
            .args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", url])
            .arg(format!("--command={statement}")))?;
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Ends the server at once, as a crash does. What was committed stays.
    ///
    /// # Errors
    ///
    /// That it does not end.
    pub fn crash(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            // Immediate shutdown: connections are cut, and the next start recovers.
            kill_process(Pid::from_child(&child), Signal::QUIT)?;
            child.wait()?;
        }
        Ok(())
    }

    /// Starts the server again on the same port and the same data.
    ///
    /// # Errors
    ///
    /// That it does not start.
    pub fn resume(&mut self) -> Result<()> {
        let log = self.dir.path().join("log");
        let mut postgres = as_nobody(&program("postgres")?);
        postgres
            .arg("-D")
            .arg(self.dir.path().join("data"))
            .arg("-k")
            .arg(self.dir.path())
            .args([
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "max_connections=300",
            ])
            .args(["-p", &self.port.to_string()])
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?);
        let mut child = spawn_for_life(postgres)?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() || !self.answers() {
            if child.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                bail!("PostgreSQL does not start:\n{log}");
            }
            thread::park_timeout(LOOK_EVERY);
        }
        self.child = Some(child);
        Ok(())
    }

    fn answers(&self) -> bool {
        let Ok(program) = program("pg_isready") else {
            return false;
        };
        let mut ready = Command::new(program);
        ready.args([
            "--quiet",
            "--host=127.0.0.1",
            &format!("--port={}", self.port),
        ]);
        ready.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing depends on it any more.
        let _ = self.crash();
    }
}

/// A program of PostgreSQL, from the path or from where Debian keeps those of the server.
fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<_> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        let mut versions: Vec<_> = versions.flatten().map(|v| v.path().join("bin")).collect();
        versions.sort();
        dirs.extend(versions.into_iter().rev());
    }
    let found = dirs
        .iter()
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("PostgreSQL's {name} is not here: apt-get install postgresql"))
}

/// Gives a directory to whom the server runs as.
fn to_nobody(dir: &Path) -> Result<()> {
    if geteuid().is_root() && !is_alone() {
        chown(dir, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

/// A command that ends with the process that started it, and does not run as root.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "QUIT"]);
    let id = NOBODY.to_string();
    if geteuid().is_root() && is_alone() {
        // The same user by another name.
        let (user, group) = (format!("--map-user={id}"), format!("--map-group={id}"));
        command.args(["--", "unshare", "--user", &user, &group]);
    } else if geteuid().is_root() {
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    }
    command.arg("--").arg(program);
    command
}

/// Whether this is a user namespace that has one user: root in there, somebody else outside.
fn is_alone() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().count() == 1 && map.split_whitespace().last() == Some("1")
}

/// Starts a command from a thread that lives as long as the process: to the kernel, the parent whose death
/// ends it is a thread.
fn spawn_for_life(mut command: Command) -> Result<Child> {
    let (sender, child) = mpsc::sync_channel(1);
    thread::Builder::new().spawn(move || {
        // Whoever waits is there: it waits for this.
        let _ = sender.send(command.spawn());
        loop {
            thread::park();
        }
    })?;
    child.recv()?.context("setpriv cannot be started")
}

fn run(command: &mut Command) -> Result<Output> {
    let output = command
        .output()
        .with_context(|| format!("{command:?} cannot be started"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}
