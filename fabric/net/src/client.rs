//! The handle to the network side.

mod command;
mod dht;
mod inbound;
mod peer;
mod requests;
mod session;

pub(crate) use command::{Answered, Command, SessionKey};
pub use inbound::{InboundRequest, Reply};
pub use peer::{DhtRecord, PeerInfo};
pub use session::Session;

use crate::{ConnectError, Error};
use libp2p::Multiaddr;
use mc_types::{Cid, NodeId, Reachability};
use tokio::sync::{mpsc, oneshot};

/// A cheap handle to the network side.
#[derive(Debug, Clone)]
pub struct NetworkHandle {
    pub(crate) local: NodeId,
    pub(crate) network: String,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl NetworkHandle {
    /// This node.
    #[must_use]
    pub const fn local_id(&self) -> &NodeId {
        &self.local
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// The addresses under which this node may be reached, each ending in its id.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Error> {
        self.ask(|reply| Command::Addresses { reply }).await
    }

    /// Whether others can connect to this node.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn reachability(&self) -> Result<Reachability, Error> {
        self.ask(|reply| Command::Reachability { reply }).await
    }

    /// The connected peers of this network.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Error> {
        self.ask(|reply| Command::Peers { reply }).await
    }

    /// How many IPFS nodes are connected. This node only exchanges blocks with them.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn ipfs_peers(&self) -> Result<usize, Error> {
        self.ask(|reply| Command::IpfsPeers { reply }).await
    }

    /// Connects to the peer at the end of `address`, or to any peer at `address` if it names none. It may be a peer of
    /// this network, or an IPFS node to exchange blocks with.
    ///
    /// # Errors
    ///
    /// [`ConnectError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not end the attempt.
    pub async fn connect(&self, address: Multiaddr) -> Result<(), ConnectError> {
        self.ask(|reply| Command::Connect { address, reply })
            .await
            .unwrap_or(Err(ConnectError::Closed))
    }

    /// Begins to connect to some more of the peers that the DHT's routing table knows.
    pub async fn recruit(&self, peers: usize) {
        // Without a network there is no peer to connect to.
        let _ = self.commands.send(Command::Recruit { peers }).await;
    }

    /// Tells waiting peers that these blocks are in the store now.
    pub async fn blocks_added(&self, cids: Vec<Cid>) {
        // Without a network no peer waits.
        let _ = self.commands.send(Command::BlocksAdded { cids }).await;
    }

    /// Ends the network side. What waits for it fails.
    pub async fn shutdown(&self) {
        // An error means that it has ended already.
        let _ = self.commands.send(Command::Shutdown).await;
    }
}
