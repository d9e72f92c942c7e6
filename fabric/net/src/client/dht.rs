//! Publishing and finding entries in the DHT.

use super::{
    NetworkHandle,
    command::Command,
    peer::{DhtRecord, PeerInfo},
};
use crate::{
    Error,
    dht::{Class, Entry, RecordKind, Refusal, Refused},
};
use mc_types::{Cid, Clock, SystemClock};
use std::{collections::BTreeMap, time::Duration};

impl NetworkHandle {
    /// Says in the DHT that this node has a DAG.
    pub async fn provide(&self, cid: Cid) {
        // Without a network nobody asks.
        let to_ipfs = false;
        let _ = self.commands.send(Command::Provide { cid, to_ipfs }).await;
    }

    /// The same, also in the DHT of IPFS if this node uses it.
    pub async fn announce(&self, cid: Cid) {
        let to_ipfs = true;
        let _ = self.commands.send(Command::Provide { cid, to_ipfs }).await;
    }

    /// The nodes that say in the DHT that they have a DAG.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn find_providers(&self, cid: Cid) -> Result<Vec<PeerInfo>, Error> {
        let meet = false;
        self.ask(|reply| Command::FindProviders { cid, meet, reply })
            .await
    }

    /// The same, and connects to them, so that they can be asked something.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn meet_providers(&self, cid: Cid) -> Result<Vec<PeerInfo>, Error> {
        let meet = true;
        self.ask(|reply| Command::FindProviders { cid, meet, reply })
            .await
    }

    /// Publishes something about a subject in the DHT, for `ttl` at most. A completion needs the grant of its job, with
    /// its token.
    ///
    /// # Errors
    ///
    /// [`Refusal::Oversized`] or [`Refusal::Malformed`] when no node would keep it.
    pub async fn publish(
        &self,
        what: (RecordKind, String),
        grant: Option<(u64, Vec<u8>)>,
        body: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), Refusal> {
        let publish = |reply| Command::Publish {
            what,
            grant,
            body,
            ttl,
            reply,
        };
        // Without a network nobody asks.
        self.ask(publish).await.unwrap_or(Ok(()))
    }

    /// The entries about a subject in the DHT that are signed by an authorised publisher and have not expired.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn lookup(&self, kind: RecordKind, subject: &str) -> Result<Option<Entry>, Error> {
        let key = kind.key(&self.network, subject);
        self.ask(|reply| Command::Lookup { key, reply }).await
    }

    /// Enters this node into the index of idle nodes, in these classes and no others, until the next
    /// [`crate::dht::EPOCH`] has passed.
    pub async fn register(&self, classes: Vec<Class>) {
        // Without a network nobody asks.
        let _ = self.commands.send(Command::Register { classes }).await;
    }

    /// Nodes that recently registered as idle and of this class. They may be busy by now.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn find_registered(&self, class: Class) -> Result<Vec<PeerInfo>, Error> {
        let keys = class.keys(&self.network, SystemClock.now());
        let find = keys
            .into_iter()
            .map(|key| self.ask(|reply| Command::FindRegistered { key, reply }));
        let found = futures::future::try_join_all(find).await?;
        let mut by_id = BTreeMap::new();
        for peer in found.into_iter().flatten() {
            by_id.insert(peer.id.clone(), peer);
        }
        Ok(by_id.into_values().collect())
    }

    /// How many entries of others were refused, by reason.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn refused(&self) -> Result<Refused, Error> {
        self.ask(|reply| Command::Refused { reply }).await
    }

    /// A record of the DHT.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn record(&self, key: Vec<u8>) -> Result<Option<DhtRecord>, Error> {
        self.ask(|reply| Command::GetRecord { key, reply }).await
    }

    /// The nodes of the DHT's routing table.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`].
    pub async fn routing_table(&self) -> Result<Vec<PeerInfo>, Error> {
        self.ask(|reply| Command::RoutingTable { reply }).await
    }
}
