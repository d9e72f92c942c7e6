//! One connection: reads every stream that the peer opens, writes on one that we open.

use crate::{
    config::{MAX_BROKEN_MESSAGES, MAX_INBOUND_STREAMS, MAX_WAITING_STREAMS},
    message::Message,
    protocol::{self, PROTOCOL},
};
use futures::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream, SelectAll},
};
use libp2p::{
    Stream, StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

/// What the handler tells the behaviour.
#[derive(Debug)]
pub enum FromHandler {
    /// The peer sent a message.
    Received(Box<Incoming>),
    /// A message is on its way: room for another.
    Sent {
        /// Bytes of the blocks in it.
        block_bytes: usize,
    },
    /// Messages could not be sent; those that waited are lost.
    Failed,
}

/// A message that was received.
#[derive(Debug)]
pub struct Incoming(pub(crate) Message);

/// A message to be sent.
#[derive(Debug)]
pub struct Send(pub(crate) Box<Message>);

type Messages = BoxStream<'static, std::io::Result<Message>>;
type Write = BoxFuture<'static, std::io::Result<Stream>>;

enum Outbound {
    /// No stream. `failures` says how often one could not be had in a row.
    Closed {
        failures: usize,
    },
    Opening {
        failures: usize,
    },
    Idle(Stream),
    Writing {
        write: Write,
        block_bytes: usize,
    },
}

/// How often a stream is opened again before what waits is given up.
const MAX_OPEN_FAILURES: usize = 3;

/// The handler of one connection.
pub struct Handler {
    incoming: SelectAll<Messages>,
    waiting: VecDeque<Stream>,
    broken: usize,
    outbound: Outbound,
    queue: VecDeque<Box<Message>>,
    failed: bool,
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handler")
            .field("queue", &self.queue.len())
            .finish_non_exhaustive()
    }
}

impl Handler {
    pub(crate) fn new() -> Self {
        Self {
            incoming: SelectAll::new(),
            waiting: VecDeque::new(),
            broken: 0,
            outbound: Outbound::Closed { failures: 0 },
            queue: VecDeque::new(),
            failed: false,
        }
    }

    fn accept(&mut self, stream: Stream) {
        if self.broken >= MAX_BROKEN_MESSAGES {
            return;
        }
        if self.incoming.len() < MAX_INBOUND_STREAMS {
            self.incoming.push(messages(stream));
        } else if self.waiting.len() < MAX_WAITING_STREAMS {
            self.waiting.push_back(stream);
        } else {
            tracing::debug!("inbound bitswap stream refused: too many wait");
        }
    }

    fn open_failed(&mut self, failures: usize) {
        self.outbound = Outbound::Closed {
            failures: failures + 1,
        };
        if failures + 1 >= MAX_OPEN_FAILURES {
            self.outbound = Outbound::Closed { failures: 0 };
            self.queue.clear();
            self.failed = true;
        }
    }

    /// Moves the outbound side on; gives an event if there is one.
    fn poll_outbound(&mut self, cx: &mut Context<'_>) -> Option<ToSwarm> {
        loop {
            match std::mem::replace(&mut self.outbound, Outbound::Closed { failures: 0 }) {
                Outbound::Closed { failures } => {
                    self.outbound = Outbound::Closed { failures };
                    if self.queue.is_empty() {
                        return None;
                    }
                    self.outbound = Outbound::Opening { failures };
                    let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ());
                    return Some(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
                }
                Outbound::Opening { failures } => {
                    self.outbound = Outbound::Opening { failures };
                    return None;
                }
                Outbound::Idle(stream) => match self.queue.pop_front() {
                    None => {
                        self.outbound = Outbound::Idle(stream);
                        return None;
                    }
                    Some(message) => {
                        let block_bytes = message.payload.iter().map(|p| p.data.len()).sum();
                        let write = write(stream, message).boxed();
                        self.outbound = Outbound::Writing { write, block_bytes };
                    }
                },
                Outbound::Writing {
                    mut write,
                    block_bytes,
                } => match write.poll_unpin(cx) {
                    Poll::Pending => {
                        self.outbound = Outbound::Writing { write, block_bytes };
                        return None;
                    }
                    Poll::Ready(Ok(stream)) => {
                        self.outbound = Outbound::Idle(stream);
                        let sent = FromHandler::Sent { block_bytes };
                        return Some(ConnectionHandlerEvent::NotifyBehaviour(sent));
                    }
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "bitswap message not sent");
                        self.queue.clear();
                        return Some(ConnectionHandlerEvent::NotifyBehaviour(FromHandler::Failed));
                    }
                },
            }
        }
    }
}

async fn write(mut stream: Stream, message: Box<Message>) -> std::io::Result<Stream> {
    protocol::write(&mut stream, &message).await?;
    Ok(stream)
}

/// The messages of a stream until it ends or breaks.
fn messages(stream: Stream) -> Messages {
    stream::try_unfold(stream, |mut stream| async move {
        Ok(protocol::read(&mut stream)
            .await?
            .map(|message| (message, stream)))
    })
    .boxed()
}

type ToSwarm = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, (), FromHandler>;

impl ConnectionHandler for Handler {
    type FromBehaviour = Send;
    type ToBehaviour = FromHandler;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn connection_keep_alive(&self) -> bool {
        !self.queue.is_empty() || matches!(self.outbound, Outbound::Writing { .. })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm> {
        if std::mem::take(&mut self.failed) {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(FromHandler::Failed));
        }
        if let Some(event) = self.poll_outbound(cx) {
            return Poll::Ready(event);
        }
        loop {
            while self.incoming.len() < MAX_INBOUND_STREAMS
                && let Some(stream) = self.waiting.pop_front()
            {
                self.incoming.push(messages(stream));
            }
            match self.incoming.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    let received = FromHandler::Received(Box::new(Incoming(message)));
                    return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(received));
                }
                Poll::Ready(Some(Err(error))) => {
                    if error.kind() == std::io::ErrorKind::InvalidData {
                        self.broken += 1;
                        tracing::warn!(%error, count = self.broken, "broken bitswap message");
                    }
                }
                // Ready with nothing means that no stream is open at the moment.
                Poll::Ready(None) if self.waiting.is_empty() => return Poll::Pending,
                Poll::Ready(None) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// What is small waits together with what was to be sent before.
    fn on_behaviour_event(&mut self, Send(message): Send) {
        let apart = match self.queue.back_mut() {
            Some(last) => last.absorb(*message).err(),
            None => Some(*message),
        };
        self.queue.extend(apart.map(Box::new));
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol, ..
            }) => {
                self.accept(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol, ..
            }) => self.outbound = Outbound::Idle(protocol),
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                tracing::debug!(%error, "no bitswap stream");
                if let Outbound::Opening { failures } = self.outbound {
                    self.open_failed(failures);
                }
            }
            _ => {}
        }
    }
}
