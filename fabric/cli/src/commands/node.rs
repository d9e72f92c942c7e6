//! `node`, `nodes`

use crate::{client::NodeClient, connect, failure::Failure, home, inputs, output};
use mc_api::{NodeQuery, PeerView};
use mc_node::{Mode, Node};
use mc_options::{Format, Global, Node as Args, Nodes};
use serde::Serialize;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// The line that says that a node is ready.
#[derive(Serialize)]
struct Ready<'n> {
    id: &'n str,
    api: &'n str,
    addresses: &'n [String],
}

pub(super) async fn run(global: &Global, args: Args) -> Result<ExitCode, Failure> {
    let config = connect::configuration_with(global, flags(&args)?)?.config;
    let internal = |e: std::io::Error| Failure::internal(e.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(internal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(internal)?;
    let starting = Node::start(config, Mode::Daemon, home::compiler());
    // A database that does not answer must not make a node that nothing but `kill -9` ends.
    let node = tokio::select! {
        node = starting => node?,
        _ = terminate.recv() => return Ok(stopped_early(global)),
        _ = interrupt.recv() => return Ok(stopped_early(global)),
    };
    announce(global, &node)?;
    let failed = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        failed = node.failed() => Some(failed),
    };
    output::note(global, "stopping");
    node.shutdown().await;
    match failed {
        Some(failed) => Err(failed.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// Says that the node was told to stop before it had started.
fn stopped_early(global: &Global) -> ExitCode {
    output::note(global, "stopped before it was ready");
    ExitCode::SUCCESS
}

/// The flags as settings.
fn flags(args: &Args) -> Result<Vec<(&'static str, toml::Value)>, Failure> {
    let mut flags = args.settings();
    if !args.label.is_empty() {
        let labels = inputs::labels("--label", &args.label)?;
        let labels = labels.into_iter().map(|(name, value)| (name, value.into()));
        flags.push(("worker.labels", toml::Value::Table(labels.collect())));
    }
    Ok(flags)
}

fn announce(global: &Global, node: &Node) -> Result<(), Failure> {
    if global.format == Format::Json {
        let ready = Ready {
            id: node.id().as_str(),
            api: node.api_url(),
            addresses: node.addresses(),
        };
        return output::value(global, &ready, |_| String::new());
    }
    output::note(global, &format!("PeerId   {}", node.id()));
    for address in node.addresses() {
        output::note(global, &format!("address  {address}"));
    }
    output::note(global, &format!("API      {}", node.api_url()));
    Ok(())
}

pub(super) async fn nodes(
    global: &Global,
    client: &NodeClient,
    args: &Nodes,
) -> Result<ExitCode, Failure> {
    let labels = inputs::labels("--label", &args.label)?;
    let labels = labels.iter().map(|(name, value)| format!("{name}={value}"));
    let memory_bytes = args.memory.map_or(0, |memory| memory.0);
    let mut query = NodeQuery {
        find: args.find,
        idle: args.idle,
        gpu: args.gpu,
        memory_bytes,
        labels: labels.collect::<Vec<_>>().join(","),
    };
    query.find |= query != NodeQuery::default();
    output::value(global, &client.nodes(&query).await?, |list| {
        let head = ["ID", "SLOTS", "CPUS", "MEMORY", "RTT", ""]
            .map(str::to_owned)
            .to_vec();
        let rows: Vec<_> = std::iter::once(head)
            .chain(list.nodes.iter().map(row))
            .collect();
        output::table(&rows)
    })?;
    Ok(ExitCode::SUCCESS)
}

fn row(node: &PeerView) -> Vec<String> {
    let dash = || "-".to_owned();
    let slots = node.slots_free.zip(node.slots_total);
    vec![
        node.id.to_string(),
        slots.map_or_else(dash, |(free, total)| format!("{free}/{total}")),
        node.cpus.map_or_else(dash, |cpus| cpus.to_string()),
        node.memory_bytes
            .map_or_else(dash, |bytes| format!("{}MiB", bytes >> 20)),
        node.rtt_us.map_or_else(dash, |us| format!("{us}us")),
        if node.this_node {
            "this node".to_owned()
        } else if node.relayed {
            "relayed".to_owned()
        } else {
            String::new()
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_did_not_say_is_a_dash() {
        let mut node = PeerView {
            id: "12D3KooWa".parse().unwrap(),
            this_node: false,
            connected: true,
            addresses: Vec::new(),
            relayed: true,
            agent: None,
            rtt_us: None,
            slots_total: None,
            slots_free: Some(1),
            cpus: None,
            memory_bytes: None,
            labels: std::collections::BTreeMap::new(),
        };
        assert_eq!(row(&node), ["12D3KooWa", "-", "-", "-", "-", "relayed"]);
        node.slots_total = Some(4);
        node.cpus = Some(8);
        node.memory_bytes = Some(1 << 30);
        node.rtt_us = Some(250);
        node.this_node = true;
        let known = ["12D3KooWa", "1/4", "8", "1024MiB", "250us", "this node"];
        assert_eq!(row(&node), known);
    }
}
