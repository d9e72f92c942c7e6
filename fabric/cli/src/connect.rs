//! Which node to talk to: a named one, that of the data directory, or one of our own.

use crate::{client::NodeClient, failure::Failure, home::Home, output};
use mc_config::{Cache, Config, ConfigError, Merged, Sources};
use mc_node::Mode;
use mc_options::Global;
use std::{
    path::PathBuf,
    sync::{Arc, Once},
};

/// A node to talk to.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: NodeClient,
    /// The data directory, if its node is meant.
    home: Option<Arc<Home>>,
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

/// The given URL: a command that talks to a node needs no data directory.
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

/// The configuration for commands that start no node. Without a home directory, the `places` are unusable. If the
/// user's configuration file cannot be read, it is left out, and the reason is returned.
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
    flags.extend(global.settings());
    let merged = Sources::of_process(file, flags).merge()?;
    warn(global, &merged.warnings);
    Ok(merged)
}

/// Prints, once, which parts of the configuration should be written differently.
fn warn(global: &Global, warnings: &[String]) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        for warning in warnings {
            output::note(global, &format!("warning: {warning}"));
        }
    });
}

/// The named node, if any. Without one, none is started.
pub(crate) async fn named(global: &Global) -> Result<Option<NodeClient>, Failure> {
    let Some(url) = url(global)? else {
        return Ok(None);
    };
    let client = NodeClient::new(&url)?;
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
    named: Option<NodeClient>,
) -> Result<Connection, Failure> {
    if let Some(client) = named {
        return Ok(Connection { client, home: None });
    }
    let home = Arc::new(Home::new(global, configuration(global)?.config, mode));
    let mut keeper = home.keeper().await;
    let url = home.find(&mut keeper).await?;
    drop(keeper);
    Ok(Connection {
        client: NodeClient::new(&url)?.at(Arc::clone(&home)),
        home: Some(home),
    })
}

impl Connection {
    /// Whether the node ends with a command, this one or another.
    pub(crate) async fn is_embedded(&self) -> bool {
        match &self.home {
            Some(home) => home.is_embedded().await,
            None => false,
        }
    }

    /// Ends the node, if it is this command's own.
    pub(crate) async fn close(self) {
        if let Some(home) = self.home {
            home.close().await;
        }
    }
}
