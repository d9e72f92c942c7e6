//! Gateways and agents.

use crate::{
    arguments::{Arguments, LedgerKind},
    processes,
};
use anyhow::{Context, Result, ensure};
use mc_conformance::{Http, Node, NodeOptions, within};
use mc_postgres::Server;
use std::{thread, time::Duration};

/// Agents that are started at a time: more would only wait for each other.
const STARTED_AT_A_TIME: usize = 8;
/// How long all agents together may take to find the gateway.
const TO_MEET: Duration = Duration::from_secs(400);

/// Where the gateways of an experiment keep their jobs.
pub(crate) struct Ledger {
    server: Option<(Server, String)>,
}

impl Ledger {
    pub(crate) fn new(kind: LedgerKind) -> Result<Self> {
        let server = match kind {
            LedgerKind::Sqlite => None,
            LedgerKind::Postgres => {
                let server = Server::start()?;
                let url = server.database()?;
                Some((server, url))
            }
        };
        Ok(Self { server })
    }

    /// What the reports call it.
    pub(crate) fn name(&self) -> &'static str {
        match self.server {
            None => "SQLite, synchronous=FULL",
            Some(_) => "PostgreSQL, fsync on, in a process of its own",
        }
    }

    /// A gateway that runs nothing itself.
    pub(crate) fn gateway(&self, ttl: Duration) -> NodeOptions {
        let ttl = format!("{}s", ttl.as_secs());
        let mut flags = vec!["--no-execute".to_owned(), "--lease-ttl".to_owned(), ttl];
        if let Some((_, url)) = &self.server {
            flags.extend(["--ledger".to_owned(), url.clone()]);
        }
        NodeOptions::new().flags(flags)
    }
}

/// A gateway and its agents.
pub(crate) struct Fleet {
    pub(crate) gateway: Node,
    pub(crate) agents: Vec<Node>,
    pub(crate) ledger: Ledger,
}

impl Fleet {
    /// Starts them, and returns when the gateway knows all agents.
    pub(crate) fn start(arguments: &Arguments, agents: usize, slots: usize) -> Result<Self> {
        let ledger = Ledger::new(arguments.ledger)?;
        let gateway = ledger.gateway(arguments.ttl).start();
        let agents = start_agents(agents, slots, &[&gateway]);
        let fleet = Self {
            gateway,
            agents,
            ledger,
        };
        meet(&fleet.gateway, fleet.agents.len())?;
        Ok(fleet)
    }
}

/// Starts agents that know these gateways.
pub(crate) fn start_agents(agents: usize, slots: usize, gateways: &[&Node]) -> Vec<Node> {
    let options = || {
        let slots = slots.to_string();
        let options = NodeOptions::new().flags(["--slots", &slots, "--dht", "client"]);
        gateways
            .iter()
            .fold(options, |options, node| options.bootstrap(node))
    };
    let agents = start_all((0..agents).map(|_| options()).collect());
    for agent in &agents {
        // One that has died already is missed soon enough.
        let _ = processes::be_nice(agent.pid());
    }
    agents
}

/// Starts nodes, several at a time.
pub(crate) fn start_all(options: Vec<NodeOptions>) -> Vec<Node> {
    let mut nodes = Vec::new();
    let mut options = options.into_iter().peekable();
    while options.peek().is_some() {
        let group: Vec<_> = options.by_ref().take(STARTED_AT_A_TIME).collect();
        thread::scope(|scope| {
            let starting: Vec<_> = group
                .into_iter()
                .map(|options| scope.spawn(|| options.start()))
                .collect();
            // A node that does not start has panicked with its reason.
            nodes.extend(starting.into_iter().filter_map(|thread| thread.join().ok()));
        });
    }
    nodes
}

/// Waits until `agents` agents lend slots to the gateway.
pub(crate) fn meet(gateway: &Node, agents: usize) -> Result<()> {
    let mut http = Http::connect(&gateway.api)?;
    let mut lending = 0;
    let met = within(TO_MEET, || {
        let nodes = http.call("GET", "/api/v1/nodes", "").ok()?;
        let lends = |node: &&serde_json::Value| {
            let slots = node.get("slots_total").and_then(serde_json::Value::as_u64);
            slots.is_some_and(|slots| slots > 0)
        };
        lending = nodes.get("nodes")?.as_array()?.iter().filter(lends).count();
        (lending >= agents).then_some(())
    });
    ensure!(
        met.is_some(),
        "only {lending} of {agents} agents have met the gateway"
    );
    Ok(())
}

/// The text at a URL of a node.
pub(crate) fn fetch(url: &str) -> Result<String> {
    let host = url.trim_start_matches("http://");
    let (host, path) = host.split_once('/').unwrap_or((host, ""));
    let bytes = Http::connect(host)?.bytes("GET", &format!("/{path}"), "")?;
    Ok(String::from_utf8(bytes)?)
}

/// A number of a node's `/metrics`.
pub(crate) fn metric(node: &Node, name: &str) -> Result<u64> {
    metric_in(&fetch(&format!("{}/metrics", node.api))?, name)
}

/// A number in the text of `/metrics`.
pub(crate) fn metric_in(text: &str, name: &str) -> Result<u64> {
    let value = text.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.strip_prefix(' ')?;
        value.parse().ok()
    });
    value.with_context(|| format!("no {name} in the metrics"))
}
