//! Which node to talk to: a named one, that of the data directory, or one of our own.

use crate::{args::Global, client::Client, failure::Failure, output};
use mc_node::{
    Config, Mode, Node, NodeFile,
    config::{Merged, Sources},
};

/// A node to talk to.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: Client,
    /// The node, if it lives in this process.
    embedded: Option<Node>,
}

/// The configuration with the global flags on top.
pub(crate) fn configuration(global: &Global) -> Result<Merged, Failure> {
    configuration_with(global, Vec::new())
}

/// The configuration with the global flags and those of a command on top.
pub(crate) fn configuration_with(
    global: &Global,
    mut flags: Vec<(&'static str, toml::Value)>,
) -> Result<Merged, Failure> {
    if let Some(dir) = &global.data_dir {
        flags.push(("data_dir", dir.display().to_string().into()));
    }
    if let Some(node) = &global.node {
        flags.push(("node", node.clone().into()));
    }
    if let Some(network) = &global.network {
        flags.push(("network", network.clone().into()));
    }
    if !global.bootstrap.is_empty() {
        flags.push(("p2p.bootstrap", global.bootstrap.clone().into()));
    }
    if global.no_mdns {
        flags.push(("p2p.mdns", false.into()));
    }
    Ok(Sources::of_process(global.config.clone(), flags).merge()?)
}

/// Finds a node, or starts one in this process.
pub(crate) async fn connect(global: &Global) -> Result<Connection, Failure> {
    let config = configuration(global)?.config;
    if let Some(url) = &config.node {
        let client = Client::new(url)?;
        client.node().await?;
        return Ok(Connection {
            client,
            embedded: None,
        });
    }
    if let Some(client) = running(&config).await? {
        return Ok(Connection {
            client,
            embedded: None,
        });
    }
    output::note(
        global,
        &format!(
            "no node is running on {}; using one of this command's own",
            config.data_dir.display()
        ),
    );
    let node = Node::start(config, Mode::Embedded, crate::commands::compiler()).await?;
    Ok(Connection {
        client: Client::new(node.api_url())?,
        embedded: Some(node),
    })
}

/// The node that runs on the data directory, if one does. The file that says so may be that of a
/// node that was killed, so the node is asked who it is.
async fn running(config: &Config) -> Result<Option<Client>, Failure> {
    let Some(file) = NodeFile::read(&config.data_dir) else {
        return Ok(None);
    };
    let client = Client::new(&file.api)?;
    let same = client.node().await.is_ok_and(|node| node.id == file.id);
    Ok(same.then_some(client))
}

impl Connection {
    /// Whether the node ends with this command.
    pub(crate) const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Ends the node, if it is this command's own.
    pub(crate) async fn close(self) {
        if let Some(node) = self.embedded {
            node.shutdown().await;
        }
    }
}
