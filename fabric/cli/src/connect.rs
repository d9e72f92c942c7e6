//! Which node to talk to: a named one, that of the data directory, or one of our own.

use crate::{client::Client, failure::Failure, output};
use mc_node::{
    Config, Mode, Node, NodeFile,
    config::{Cache, ConfigError, Merged, Sources},
};
use mc_options::Global;
use std::{path::PathBuf, sync::Once};

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
    flags: Vec<(&'static str, toml::Value)>,
) -> Result<Merged, Failure> {
    Ok(merged(global, global.config.clone(), flags)?)
}

/// The cache alone, for what needs no data directory; `None` without a home or another place for it.
pub(crate) fn cache(global: &Global) -> Result<Option<Cache>, Failure> {
    // The cache may have a place of its own.
    match without_node(global, &["data_dir"]) {
        Ok((config, unread)) => {
            tell_unread(global, unread);
            Ok(Some(config.cache))
        }
        Err(ConfigError::NoHome) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The URL that is named: whoever talks to a node needs no data directory.
fn url(global: &Global) -> Result<Option<String>, Failure> {
    let (config, unread) = without_node(global, &["data_dir", "cache.dir"])?;
    match (config.node, unread) {
        // What cannot be read may name one.
        (None, Some(error)) => Err(error.into()),
        (node, unread) => {
            tell_unread(global, unread);
            Ok(node)
        }
    }
}

/// The configuration for what starts no node. Without a home, the `places` are those of nobody; without the user's
/// configuration file, if that cannot be read, and why not.
fn without_node(
    global: &Global,
    places: &[&'static str],
) -> Result<(Config, Option<ConfigError>), ConfigError> {
    let (mut file, mut flags, mut unread) = (global.config.clone(), Vec::new(), None);
    loop {
        match merged(global, file.clone(), flags.clone()) {
            Err(ConfigError::NoHome) if flags.is_empty() => {
                flags = places.iter().map(|place| (*place, "/".into())).collect();
            }
            Err(error @ ConfigError::ReadUsual { .. }) if unread.is_none() => {
                // One that is named is read in its place: an empty one.
                file = Some("/dev/null".into());
                unread = Some(error);
            }
            merged => return Ok((merged?.config, unread)),
        }
    }
}

/// Says, once, why the user's configuration file is not read.
fn tell_unread(global: &Global, unread: Option<ConfigError>) {
    static SAID: Once = Once::new();
    if let Some(error) = unread {
        let reason = Failure::from(error);
        let note = format!("{}; going on with the defaults", reason.message());
        SAID.call_once(|| output::note(global, &note));
    }
}

fn merged(
    global: &Global,
    file: Option<PathBuf>,
    mut flags: Vec<(&'static str, toml::Value)>,
) -> Result<Merged, ConfigError> {
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
    let merged = Sources::of_process(file, flags).merge()?;
    warn(global, &merged.warnings);
    Ok(merged)
}

/// Says, once, what of the configuration should be written in another way.
fn warn(global: &Global, warnings: &[String]) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        for warning in warnings {
            output::note(global, &format!("warning: {warning}"));
        }
    });
}

/// The node that was named, if one was. Without it nothing is done for it.
pub(crate) async fn named(global: &Global) -> Result<Option<Client>, Failure> {
    let Some(url) = url(global)? else {
        return Ok(None);
    };
    let client = Client::new(&url)?;
    client.node().await?;
    Ok(Some(client))
}

/// Finds a node; or else starts one in this process, which runs nothing and grants no lease.
pub(crate) async fn connect(global: &Global) -> Result<Connection, Failure> {
    let named = named(global).await?;
    connect_as(global, Mode::Look, named).await
}

/// Takes the node that was `named`; or finds one, or starts one in this process for what the command needs it for.
pub(crate) async fn connect_as(
    global: &Global,
    mode: Mode,
    named: Option<Client>,
) -> Result<Connection, Failure> {
    if let Some(client) = named {
        return Ok(Connection {
            client,
            embedded: None,
        });
    }
    let config = configuration(global)?.config;
    if let Some(client) = running(&config).await? {
        return Ok(Connection {
            client,
            embedded: None,
        });
    }
    let takes_no_work = match mode {
        Mode::Look => ", which runs no jobs",
        _ => "",
    };
    let dir = config.data_dir.display();
    let note =
        format!("no node is running on {dir}; using one of this command's own{takes_no_work}");
    output::note(global, &note);
    // A database may be that of others, too, who go on with its jobs.
    let is_idle = mode == Mode::Look && config.ledger.url.is_none();
    let node = Node::start(config, mode, crate::commands::compiler()).await?;
    let client = Client::new(node.api_url())?;
    Ok(Connection {
        client: if is_idle {
            client.of_idle_node()
        } else {
            client
        },
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
