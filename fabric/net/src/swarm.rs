//! Starting the network side.

use crate::{
    Error, Identity, NetworkHandle, Options, address::tcp_socket, behaviour::Behaviour,
    client::InboundRequest, error::innermost, event_loop::EventLoop,
};
use futures::StreamExt;
use futures::future::BoxFuture;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, TransportError, noise, swarm::SwarmEvent, tcp, yamux,
};
use mc_bitswap::BlockStore;
use mc_types::NodeId;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// How long an unused connection is kept. Work needs warm connections.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How long making a connection may take. A node that tries an address for another one must know the result in less
/// than 10 s, since the other one waits no longer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests of others may wait for this node. Further ones are refused.
const INBOUND_REQUESTS: usize = 1024;
/// How long a listener may take to come up.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);

/// A network side that runs.
#[derive(Debug)]
pub struct Started {
    /// The handle to it.
    pub client: NetworkHandle,
    /// Requests of other nodes.
    pub requests: mpsc::Receiver<InboundRequest>,
    /// The nodes of the same network that are connected.
    pub peers: watch::Receiver<Arc<BTreeSet<NodeId>>>,
    /// Ends when the client is shut down.
    pub task: JoinHandle<()>,
}

/// Listens, and starts the task that owns the swarm.
///
/// # Errors
///
/// [`Error::Listen`] when an address is taken or cannot be used.
pub fn start(
    identity: Identity,
    options: Options,
    blocks: Arc<dyn BlockStore>,
) -> BoxFuture<'static, Result<Started, Error>> {
    Box::pin(async move {
        // A swarm is large, and callers hold this future.
        let mut swarm = Box::new(build(identity.clone(), &options, blocks)?);
        for address in &options.listen {
            listen(&mut swarm, address).await?;
        }
        let (requests, inbound) = mpsc::channel(INBOUND_REQUESTS);
        let (peers, connected) = watch::channel(Arc::default());
        let (event_loop, client) = EventLoop::new(*swarm, identity, options, requests, peers);
        let task = tokio::spawn(event_loop.run());
        Ok(Started {
            client,
            requests: inbound,
            peers: connected,
            task,
        })
    })
}

fn build(
    identity: Identity,
    options: &Options,
    blocks: Arc<dyn BlockStore>,
) -> Result<Swarm<Behaviour>, Error> {
    let setup = |e: &dyn std::fmt::Display| Error::Setup(e.to_string());
    let builder = SwarmBuilder::with_existing_identity(identity.into_keypair())
        .with_tokio()
        .with_tcp(
            tcp::Config::default().nodelay(true),
            noise::Config::new,
            yamux::Config::default,
        )
        .map_err(|e| setup(&e))?
        .with_other_transport(|key| Ok(mc_quic::Transport::new(mc_quic::Config::new(key)?)))
        .map_err(|e| setup(&e))?
        .with_dns()
        .map_err(|e| setup(&e))?
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .map_err(|e| setup(&e))?;
    let swarm = builder
        .with_behaviour(|key, relayed| Behaviour::new(key, relayed, options, blocks))
        .map_err(|e| setup(&e))?
        .with_swarm_config(|config| config.with_idle_connection_timeout(IDLE_TIMEOUT))
        .with_connection_timeout(CONNECT_TIMEOUT)
        .build();
    Ok(swarm)
}

/// Listens on an address and waits until it is really bound.
async fn listen(swarm: &mut Swarm<Behaviour>, address: &Multiaddr) -> Result<(), Error> {
    let failed = |reason: String| Error::Listen {
        address: address.to_string(),
        reason,
    };
    if let Some(socket) = tcp_socket(address) {
        // The transport shares ports, so that it can dial from the port that it listens on. Two nodes on one port would
        // get each other's connections; a listener that does not share the port detects that.
        std::net::TcpListener::bind(socket)
            .map(drop)
            .map_err(|e| failed(e.to_string()))?;
    }
    let listener = swarm
        .listen_on(address.clone())
        .map_err(|error| match error {
            TransportError::MultiaddrNotSupported(_) => failed("no such transport".to_owned()),
            TransportError::Other(error) => failed(innermost(&error)),
        })?;
    let bound = async {
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, .. } if listener_id == listener => {
                    return Ok(());
                }
                SwarmEvent::ListenerClosed {
                    listener_id,
                    reason,
                    ..
                } if listener_id == listener => {
                    let reason = reason
                        .err()
                        .map_or_else(|| "closed".to_owned(), |e| innermost(&e));
                    return Err(failed(reason));
                }
                _ => {}
            }
        }
    };
    let timeout = tokio::time::timeout(LISTEN_TIMEOUT, bound).await;
    timeout.unwrap_or_else(|_| Err(failed("no answer from the operating system".to_owned())))
}
