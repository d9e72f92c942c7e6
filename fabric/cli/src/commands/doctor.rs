//! `doctor`

use crate::{client::NodeClient, connect, failure::Failure, output, terminal};
use mc_config::{Config, urls, without_password};
use mc_node::{NodeFile, tried};
use mc_options::Global;
use mc_system::{inventory, probe};
use mc_types::{Reachability, with_causes};
use serde::Serialize;
use std::{
    borrow::Cow,
    collections::HashSet,
    net::{Ipv4Addr, TcpListener},
    path::Path,
    process::ExitCode,
    time::Duration,
};

/// Less free disk than this is worth a warning, in bytes.
const LOW_DISK_BYTES: u64 = 1 << 30;
/// How long a database may take to answer.
const DATABASE_WITHIN: Duration = Duration::from_secs(10);
/// The port that nodes usually listen on for peers.
const P2P_PORT: u16 = 7781;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// What was looked at, how it is, and how to mend it.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<Cow<'static, str>>,
}

fn ok(what: &'static str, found: impl Into<String>) -> Check {
    Check {
        what,
        verdict: Verdict::Ok,
        found: found.into(),
        fix: None,
    }
}

fn warn(what: &'static str, found: impl Into<String>, fix: &'static str) -> Check {
    Check {
        what,
        verdict: Verdict::Warn,
        found: found.into(),
        fix: Some(fix.into()),
    }
}

fn fail(what: &'static str, found: impl Into<String>, fix: &'static str) -> Check {
    Check {
        what,
        verdict: Verdict::Fail,
        found: found.into(),
        fix: Some(fix.into()),
    }
}

pub(super) async fn run(global: &Global) -> Result<ExitCode, Failure> {
    let merged = connect::configuration(global)?;
    let config = merged.config;
    let mut checks = vec![ok("configuration", "valid")];
    let hints = merged.hints.into_iter();
    checks.extend(hints.map(|hint| warn("environment", hint, "unset it, or name the setting")));
    checks.extend([data_dir(&config.data_dir), disk(&config)]);
    checks.extend(node(&config).await);
    checks.extend(named(&config).await);
    checks.extend([wasm_target(), containers(), gpu()]);
    checks.push(database(&config).await);
    output::value(global, &checks, |checks| checks.iter().map(line).collect())?;
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn line(check: &Check) -> String {
    let verdict = match check.verdict {
        Verdict::Ok => "ok",
        Verdict::Warn => "warn",
        Verdict::Fail => "FAIL",
    };
    let fix = check
        .fix
        .as_ref()
        .map(|fix| format!("\n      {:<18} -> {fix}", ""))
        .unwrap_or_default();
    let found = terminal::escaped(&check.found);
    format!("{verdict:<5} {:<18} {found}{fix}\n", check.what)
}

fn data_dir(dir: &Path) -> Check {
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    match tempfile::tempfile_in(existing) {
        Ok(_) => ok("data directory", dir.display().to_string()),
        Err(error) => fail(
            "data directory",
            format!("{}: {error}", existing.display()),
            "make it writable, or choose another with --data-dir",
        ),
    }
}

fn disk(config: &Config) -> Check {
    let dir = config.data_dir.ancestors().find(|dir| dir.exists());
    match dir.and_then(inventory::free_disk_bytes) {
        Some(free) if free < LOW_DISK_BYTES => warn(
            "disk",
            format!("{} MiB free", free >> 20),
            "free some space; mc-wasm gc helps",
        ),
        Some(free) => ok("disk", format!("{} MiB free", free >> 20)),
        None => warn("disk", "cannot be asked", "check the data directory"),
    }
}

/// The node of the data directory and its peers; or, without one, the ports that it would use.
async fn node(config: &Config) -> Vec<Check> {
    let client = NodeFile::read(&config.data_dir).and_then(|file| NodeClient::new(&file.api).ok());
    let node = match &client {
        Some(client) => client.node().await.ok(),
        None => None,
    };
    let (Some(client), Some(node)) = (client, node) else {
        let mut checks = vec![ok("node", "none is running"), port()];
        for address in unique(config.bootstrap()) {
            let tried = tried::connects(&config.network, &address).await;
            let tried = tried.map_err(|trouble| (trouble.reason, trouble.hint.map(Into::into)));
            checks.push(peer(&address, tried));
        }
        return checks;
    };
    let running = ok(
        "node",
        format!("{}, {} slots free", node.id, node.slots_free),
    );
    let peers = match node.peers {
        0 => warn(
            "peers",
            "none",
            "name one with --bootstrap, or check the firewall",
        ),
        peers => ok("peers", format!("{peers} connected")),
    };
    let mut checks = vec![running, peers, reachability(&node.reachability)];
    for address in unique([node.bootstrap, config.bootstrap()].concat()) {
        let tried = client.connect(&address).await;
        let trouble = |failure: Failure| {
            let hint = failure.hint().map(|hint| hint.to_owned().into());
            (failure.message().to_owned(), hint)
        };
        checks.push(peer(&address, tried.map_err(trouble)));
    }
    checks
}

/// Each of the nodes that commands are to talk to.
async fn named(config: &Config) -> Vec<Check> {
    let mut checks = Vec::new();
    for url in config.node.iter().flat_map(|list| urls(list)) {
        let url = url.trim();
        let asked = match NodeClient::new(url) {
            Ok(client) => client.node().await,
            Err(failure) => Err(failure),
        };
        checks.push(match asked {
            Ok(node) => ok(
                "named node",
                format!("{} is {}", without_password(url), node.id),
            ),
            Err(failure) => {
                let fix = "check the URL, or start a node there";
                fail("named node", failure.message(), fix)
            }
        });
    }
    checks
}

/// Each address once, in the order in which they were given.
fn unique(addresses: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut addresses = addresses;
    addresses.retain(|address| seen.insert(address.clone()));
    addresses
}

/// Whether a peer that is to be connected to can be.
fn peer(address: &str, tried: Result<(), (String, Option<Cow<'static, str>>)>) -> Check {
    let what = "configured peer";
    match tried {
        Ok(()) => ok(what, format!("{address} is there")),
        Err((reason, fix)) => Check {
            what,
            verdict: Verdict::Fail,
            found: format!("{address}: {reason}"),
            fix,
        },
    }
}

/// Whether others can connect to the node.
fn reachability(reachability: &Reachability) -> Check {
    let what = "reachability";
    let forward = "forward port 7781, TCP and UDP, to this machine, or open it in the firewall";
    match reachability {
        Reachability::Unknown => ok(what, "not known: no other node has tried to connect yet"),
        Reachability::Direct { addresses } => {
            ok(what, format!("others connect to {}", addresses.join(", ")))
        }
        Reachability::Indirect { relays } if relays.is_empty() => {
            warn(what, "others cannot connect, and no peer relays", forward)
        }
        Reachability::Indirect { relays } => {
            let relays: Vec<_> = relays.iter().map(ToString::to_string).collect();
            let found = format!("others connect by way of {}", relays.join(", "));
            warn(what, found, forward)
        }
    }
}

fn port() -> Check {
    match TcpListener::bind((Ipv4Addr::UNSPECIFIED, P2P_PORT)) {
        Ok(_) => ok("port 7781", "free"),
        Err(error) => warn(
            "port 7781",
            error.to_string(),
            "a free port will be used; fix one with --listen so that others find it again",
        ),
    }
}

fn wasm_target() -> Check {
    if probe::has_wasm_target() {
        return ok("wasm target", "wasm32-wasip2 is installed");
    }
    warn(
        "wasm target",
        "wasm32-wasip2 is not installed",
        "rustup target add wasm32-wasip2 (submit DIRECTORY does it for you)",
    )
}

fn containers() -> Check {
    let runtimes = ["crun", "runc", "youki"];
    let found = runtimes
        .iter()
        .find_map(|runtime| probe::first_line(runtime, &["--version"]));
    match found {
        Some(version) => ok("container runtime", version),
        None => ok("container runtime", "none; WebAssembly tasks need none"),
    }
}

fn gpu() -> Check {
    match probe::gpu_devices().as_slice() {
        [] => ok("GPU", "none found"),
        devices => ok("GPU", devices.join(", ")),
    }
}

async fn database(config: &Config) -> Check {
    if let Some(url) = &config.ledger.url {
        let what = "database";
        let url = without_password(url);
        let fix = "see what to do with: mc-wasm explain MC0017";
        return match tokio::time::timeout(DATABASE_WITHIN, tried::ledger(config)).await {
            Ok(Ok(())) => ok(what, format!("{url} is there")),
            Ok(Err(error)) => fail(what, format!("{url}: {}", with_causes(&error)), fix),
            Err(_) => fail(what, format!("{url} does not answer"), fix),
        };
    }
    match probe::first_line("psql", &["--version"]) {
        Some(version) => ok(
            "database",
            format!("SQLite (built in); {version} is there too"),
        ),
        None => ok("database", "SQLite (built in)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_one_line_and_how_to_mend_it_another() {
        assert_eq!(
            line(&ok("disk", "12 MiB free")),
            "ok    disk               12 MiB free\n"
        );
        let shown = line(&fail("peer", "a\u{1b}[2J", "do this"));
        let mut lines = shown.lines();
        assert_eq!(lines.next(), Some("FAIL  peer               a\\u{1b}[2J"));
        assert!(lines.next().is_some_and(|fix| fix.ends_with("-> do this")));
        assert_eq!(lines.next(), None);
        let json = serde_json::to_value(warn("x", "y", "z")).unwrap();
        assert_eq!(json["verdict"], "warn");
    }

    #[test]
    fn who_cannot_be_reached_by_anybody_is_warned() {
        let relay = "12D3KooWa".parse().unwrap();
        for (how, verdict, named) in [
            (Reachability::Unknown, Verdict::Ok, "not known"),
            (
                Reachability::Direct {
                    addresses: vec!["/ip4/192.0.2.1/tcp/1".to_owned()],
                },
                Verdict::Ok,
                "192.0.2.1",
            ),
            (
                Reachability::Indirect { relays: Vec::new() },
                Verdict::Warn,
                "cannot connect",
            ),
            (
                Reachability::Indirect {
                    relays: vec![relay],
                },
                Verdict::Warn,
                "by way of 12D3KooWa",
            ),
        ] {
            let check = reachability(&how);
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(check.found.contains(named), "{check:?}");
        }
    }

    #[test]
    fn each_address_is_tried_once_in_the_order_of_the_list() {
        let addresses = ["b", "a", "b"].map(str::to_owned).to_vec();
        assert_eq!(unique(addresses), ["b", "a"]);
        let missing = peer("/ip4/192.0.2.1/tcp/1", Err(("no answer".to_owned(), None)));
        assert_eq!(missing.verdict, Verdict::Fail);
        assert!(missing.found.ends_with("tcp/1: no answer"), "{missing:?}");
        assert_eq!(peer("a", Ok(())).verdict, Verdict::Ok);
    }

    #[test]
    fn a_data_directory_that_cannot_be_made_fails() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("not/there/yet");
        assert_eq!(data_dir(&new).verdict, Verdict::Ok);
        assert!(!new.exists(), "it is only looked at");
        let never = data_dir(Path::new("/proc/no/where"));
        assert_eq!(never.verdict, Verdict::Fail, "{never:?}");
    }
}
