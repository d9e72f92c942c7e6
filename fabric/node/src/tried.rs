//! Tests a node's peers and its database without starting a node.

use crate::Error;
use futures::future::BoxFuture;
use mc_config::Config;
use mc_ledger::{Ledger, Location};
use mc_net::{ConnectError, DhtMode, Identity, Multiaddr, NoBlocks, Options};
use mc_types::with_causes;
use std::{sync::Arc, time::Duration};

/// Nobody is given anything here.
const FETCH_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a peer cannot be connected, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What is in the way.
    pub reason: String,
    /// What to do, if that is known.
    pub hint: Option<&'static str>,
}

impl From<ConnectError> for Trouble {
    fn from(error: ConnectError) -> Self {
        Self {
            reason: with_causes(&error),
            hint: error.hint(),
        }
    }
}

/// Connects to the database of a node of this configuration, if it is a server's.
///
/// # Errors
///
/// Why it cannot be reached.
#[must_use]
pub fn ledger<'a>(config: &'a Config) -> BoxFuture<'a, Result<(), Error>> {
    Box::pin(async move {
        // A file of the node's own is not looked at: it may be in use.
        let location = Location::of(config.ledger.url.as_deref(), &config.data_dir);
        Ok(Ledger::try_out(&location).await?)
    })
}

/// Connects to the node at `address` as a node of `network` would, with a temporary key.
///
/// # Errors
///
/// What is in the way.
#[must_use]
pub fn connects<'a>(network: &'a str, address: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
    Box::pin(async move {
        let address: Multiaddr = address.parse().map_err(|e| Trouble {
            reason: format!("{address:?} is no multiaddr: {e}"),
            hint: Some("give an address such as /ip4/192.0.2.1/tcp/7781/p2p/12D3KooW…"),
        })?;
        let options = Options {
            network: network.to_owned(),
            listen: Vec::new(),
            bootstrap: Vec::new(),
            peer_cache: None,
            mdns: false,
            dht: DhtMode::Client,
            relay: false,
            ipfs: false,
            ipfs_dht: Vec::new(),
            agent: concat!("mc-wasm/", env!("CARGO_PKG_VERSION"), " doctor").to_owned(),
            fetch_timeout: FETCH_TIMEOUT,
        };
        let started = mc_net::start(Identity::generate(), options, Arc::new(NoBlocks)).await;
        let started = started.map_err(|e| Trouble {
            reason: with_causes(&e),
            hint: None,
        })?;
        let connected = started.client.connect(address).await;
        started.client.shutdown().await;
        // It has ended by now, or panicked; there is nothing more to stop then.
        let _ = started.task.await;
        Ok(connected?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_address_is_told_with_what_would_be() {
        let trouble = connects("main", "192.0.2.1:7781").await.unwrap_err();
        assert!(trouble.reason.contains("192.0.2.1:7781"), "{trouble:?}");
        assert!(trouble.hint.is_some_and(|hint| hint.contains("/p2p/")));
    }
}
