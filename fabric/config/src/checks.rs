//! Which values the settings take, as far as their types do not say it. What is lent has a file of its own.

use crate::{
    config::{Api, Config, Content, Ledger, P2p, Placement, id_in},
    locator::{is_database_url, is_http_url},
};
use std::time::Duration;

/// Longest name of a network, in bytes.
const MAX_NETWORK_BYTES: usize = 32;
/// A shorter term would expire between two heartbeats on a busy machine.
const MIN_TTL: Duration = Duration::from_secs(1);
/// A longer one would leave a lost task waiting for hours.
const MAX_TTL: Duration = Duration::from_secs(3600);
/// Longest name of a host, in bytes, as DNS has it.
const MAX_HOST_BYTES: usize = 253;
/// A client that waits for a job must see that it ended.
const MIN_KEEP: Duration = Duration::from_secs(1);
/// Room for what is being fetched and stored at the moment.
const MIN_CONTENT_BYTES: u64 = 64 << 20;

/// The key that is wrong, and what it takes.
pub(crate) type Refused = (&'static str, String);

pub(crate) fn refuse(key: &'static str, message: &str) -> Result<(), Refused> {
    Err((key, message.to_owned()))
}

impl Config {
    /// Checks what the types cannot express.
    pub(crate) fn validate(&self) -> Result<(), Refused> {
        if !is_network(&self.network) {
            return refuse(
                "network",
                "1 to 32 of the characters a-z, 0-9 and - are accepted",
            );
        }
        let places = [("data_dir", &self.data_dir), ("cache.dir", &self.cache.dir)];
        let empty = places.iter().find(|(_, dir)| dir.as_os_str().is_empty());
        if let Some(&(key, _)) = empty {
            return refuse(key, "it is empty; a directory is to be named");
        }
        self.worker.validate(mc_system::inventory::memory_bytes())?;
        self.compile.validate()?;
        if !(MIN_TTL..=MAX_TTL).contains(&self.lease.ttl.0) {
            return refuse("lease.ttl", "1s to 1h are accepted");
        }
        self.ledger.validate()?;
        self.content.validate()?;
        self.api.validate()?;
        self.p2p.validate()?;
        self.placement.validate()?;
        let names_node = |url: &String| url.starts_with("http://");
        if !self.node.as_ref().is_none_or(names_node) {
            return refuse("node", "a URL such as http://127.0.0.1:7780 is accepted");
        }
        Ok(())
    }
}

impl Ledger {
    fn validate(&self) -> Result<(), Refused> {
        if !self.url.as_deref().is_none_or(is_database_url) {
            return refuse(
                "ledger.url",
                "a URL such as postgres://user:password@host:5432/database is accepted",
            );
        }
        if self.keep.is_some_and(|keep| keep.0 < MIN_KEEP) {
            return refuse("ledger.keep", "1s or more is accepted");
        }
        Ok(())
    }
}

impl Content {
    fn validate(&self) -> Result<(), Refused> {
        if self.max.is_some_and(|max| max.0 < MIN_CONTENT_BYTES) {
            return refuse("content.max", "64MiB or more is accepted");
        }
        if !self.gateways.iter().all(|url| is_http_url(url)) {
            return refuse(
                "content.gateways",
                "URLs such as https://gateway.example are accepted",
            );
        }
        Ok(())
    }
}

impl Api {
    fn validate(&self) -> Result<(), Refused> {
        if !self.hosts.iter().all(|name| is_host(name)) {
            return refuse(
                "api.hosts",
                "names such as gw1.example are accepted, without a port",
            );
        }
        Ok(())
    }
}

impl P2p {
    fn validate(&self) -> Result<(), Refused> {
        let lists = [
            ("p2p.listen", &self.listen),
            ("p2p.bootstrap", &self.bootstrap),
        ];
        for (key, addresses) in lists {
            if let Some(address) = addresses.iter().find(|address| !address.starts_with('/')) {
                let message =
                    format!("{address:?} is not a multiaddr such as /ip4/127.0.0.1/tcp/7781");
                return Err((key, message));
            }
        }
        Ok(())
    }
}

impl Placement {
    fn validate(&self) -> Result<(), Refused> {
        for (key, addresses) in self.lists() {
            if let Some(address) = addresses.iter().find(|address| id_in(address).is_none()) {
                let message = format!(
                    "{address:?} is not a multiaddr such as /ip4/127.0.0.1/tcp/7781/p2p/12D3KooW…"
                );
                return Err((key, message));
            }
        }
        Ok(())
    }
}

fn is_network(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= MAX_NETWORK_BYTES && name.chars().all(plain)
}

fn is_host(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    !name.is_empty() && name.len() <= MAX_HOST_BYTES && name.chars().all(plain)
}
