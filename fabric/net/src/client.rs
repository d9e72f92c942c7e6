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
pub struct Client {
    pub(crate) local: NodeId,
    pub(crate) network: String,
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Client {
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

    /// How many IPFS nodes are connected, with which only blocks are exchanged.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn guests(&self) -> Result<usize, Error> {
        self.ask(|reply| Command::Guests { reply }).await
    }

    /// Connects to the peer that `address` ends in, or, if it names none, to whoever is there: a peer of this network,
    /// or an IPFS node, with which blocks are exchanged from then on.
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
        // Without a network there is nobody to connect to.
        let _ = self.commands.send(Command::Recruit { peers }).await;
    }

    /// Blocks are in the store now that peers may be waiting for.
    pub async fn blocks_added(&self, cids: Vec<Cid>) {
        // Without a network nobody waits.
        let _ = self.commands.send(Command::BlocksAdded { cids }).await;
    }

    /// Ends the network side. What waits for it fails.
    pub async fn shutdown(&self) {
        // An error means that it has ended already.
        let _ = self.commands.send(Command::Shutdown).await;
    }
}
