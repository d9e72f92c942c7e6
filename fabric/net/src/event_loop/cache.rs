//! Peers of earlier runs, on disk: a way back into the network when no bootstrap peer answers.

use super::EventLoop;
use libp2p::{Multiaddr, multiaddr::Protocol};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Peers that are remembered, and addresses of each.
const MAX_PEERS: usize = 50;
const MAX_ADDRESSES: usize = 3;
/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 64 << 10;
/// Between two times that it is written.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// How long a node is without peers before those of earlier runs are dialled, and how many of them at a time.
const ALONE_FOR: Duration = Duration::from_secs(3);
const DIALLED_AT_A_TIME: usize = 4;

/// What is remembered.
#[derive(Debug)]
pub(super) struct PeerCache {
    path: Option<PathBuf>,
    /// Peers that were not dialled yet since this node lost its last peer.
    untried: Vec<Multiaddr>,
    alone_since: Instant,
    saved: Instant,
}

impl PeerCache {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        let now = Instant::now();
        Self {
            untried: path.as_deref().map(read).unwrap_or_default(),
            path,
            alone_since: now,
            saved: now,
        }
    }
}

/// The addresses in the file; none if the file is absent or malformed.
fn read(path: &Path) -> Vec<Multiaddr> {
    let is_short = fs::metadata(path).is_ok_and(|metadata| metadata.len() <= MAX_BYTES);
    let text = if is_short {
        fs::read_to_string(path).unwrap_or_default()
    } else {
        String::new()
    };
    let addresses = text.lines().filter_map(|line| line.parse().ok());
    addresses.take(MAX_PEERS * MAX_ADDRESSES).collect()
}

/// Written under another name first, so that a crash leaves the old file or the new one.
fn write(path: &Path, addresses: &[Multiaddr]) -> io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let file = tempfile::NamedTempFile::new_in(dir)?;
    let lines: String = addresses
        .iter()
        .map(|address| format!("{address}\n"))
        .collect();
    fs::write(file.path(), lines)?;
    file.persist(path).map_err(|e| e.error)?;
    Ok(())
}

impl EventLoop {
    /// Dials peers of earlier runs when no peer is connected, and remembers the connected ones.
    pub(super) fn use_cache(&mut self, now: Instant) {
        if !self.peers.is_empty() {
            self.cache.alone_since = now;
        } else if now.saturating_duration_since(self.cache.alone_since) >= ALONE_FOR {
            self.cache.alone_since = now;
            let untried = &mut self.cache.untried;
            let some: Vec<_> = untried
                .drain(..DIALLED_AT_A_TIME.min(untried.len()))
                .collect();
            if untried.is_empty() {
                *untried = self.cache.path.as_deref().map(read).unwrap_or_default();
            }
            some.into_iter().for_each(|address| self.dial(address));
        }
        if now.saturating_duration_since(self.cache.saved) >= SAVE_EVERY {
            self.save_cache();
        }
    }

    /// Remembers the peers that are connected, if there are any.
    pub(super) fn save_cache(&mut self) {
        self.cache.saved = Instant::now();
        let Some(path) = &self.cache.path else {
            return;
        };
        let of_peer = |(id, peer): (&libp2p::PeerId, &super::Peer)| {
            let addresses = peer.addresses.iter().take(MAX_ADDRESSES);
            let named = |address: &Multiaddr| address.clone().with(Protocol::P2p(*id));
            addresses.map(named).collect::<Vec<_>>()
        };
        let addresses: Vec<_> = self
            .peers
            .iter()
            .take(MAX_PEERS)
            .flat_map(of_peer)
            .collect();
        if addresses.is_empty() {
            return;
        }
        if let Err(error) = write(path, &addresses) {
            tracing::warn!(path = %path.display(), %error, "peers are not remembered");
        }
    }
}
