//! One connection: reads every stream that the peer opens, writes on one that we open.

use crate::{
    config::{
        MAX_BROKEN_MESSAGES, MAX_ENTRIES_PER_SECOND, MAX_INBOUND_STREAMS, MAX_QUEUED_ENTRIES,
        MAX_READING_BYTES, MAX_WAITING_STREAMS, SEND_WITHIN, SLOWEST_BYTES_PER_SECOND,
    },
    message::Message,
    protocol::{self, PROTOCOL},
    rate::Rate,
};
use futures::{
    AsyncRead, FutureExt, StreamExt,
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
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, time::Sleep};

/// What the handler tells the behaviour.
#[derive(Debug)]
pub enum FromHandler {
    /// The peer sent a message.
    Received(Box<Incoming>),
    /// A message is on its way: room for another.
    Sent {
        /// What the answers in it took.
        answer_bytes: usize,
    },
    /// Messages could not be sent; those that waited are lost.
    Failed {
        /// What the answers in them took.
        answer_bytes: usize,
    },
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
    /// There is no stream. `failures` says how often in a row none could be had.
    Closed {
        failures: usize,
    },
    Opening {
        failures: usize,
    },
    Idle(Stream),
    Writing {
        write: Write,
        answer_bytes: usize,
    },
}

/// How often a stream is opened again before everything that waits is given up.
const MAX_OPEN_FAILURES: usize = 3;

/// The handler of one connection.
pub struct Handler {
    incoming: SelectAll<Messages>,
    waiting: VecDeque<Stream>,
    broken: usize,
    outbound: Outbound,
    queue: VecDeque<Box<Message>>,
    /// Bytes of the answers that were given up since this was last reported.
    failed: Option<usize>,
    /// Bytes that may be read at the same time.
    room: Arc<Semaphore>,
    pace: Rate,
    /// Nothing is read before this time, since the peer sent more than its share.
    rest: Option<Pin<Box<Sleep>>>,
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
            failed: None,
            room: Arc::new(Semaphore::new(MAX_READING_BYTES)),
            pace: Rate::new(MAX_ENTRIES_PER_SECOND, Instant::now()),
            rest: None,
        }
    }

    fn accept(&mut self, stream: Stream) {
        if self.broken >= MAX_BROKEN_MESSAGES {
            return;
        }
        if self.incoming.len() < MAX_INBOUND_STREAMS {
            self.read(stream);
        } else if self.waiting.len() < MAX_WAITING_STREAMS {
            self.waiting.push_back(stream);
        } else {
            tracing::debug!("inbound bitswap stream refused: too many wait");
        }
    }

    fn read(&mut self, stream: Stream) {
        let messages = messages(stream, Arc::clone(&self.room), time_for);
        self.incoming.push(messages);
    }

    fn open_failed(&mut self, failures: usize) {
        self.outbound = Outbound::Closed {
            failures: failures + 1,
        };
        if failures + 1 >= MAX_OPEN_FAILURES {
            self.outbound = Outbound::Closed { failures: 0 };
            self.give_up(0);
        }
    }

    /// Gives up what waits to be sent, and `more`, which is no longer in the queue.
    fn give_up(&mut self, more: usize) {
        let queued: usize = self.queue.iter().map(|m| m.answer_bytes()).sum();
        self.queue.clear();
        *self.failed.get_or_insert_default() += queued + more;
    }

    /// Stops sending what is being sent; returns the bytes of the answers in it. A stream that was asked for is still
    /// to come.
    fn stop_writing(&mut self) -> usize {
        if matches!(self.outbound, Outbound::Opening { .. }) {
            return 0;
        }
        let closed = Outbound::Closed { failures: 0 };
        match std::mem::replace(&mut self.outbound, closed) {
            Outbound::Writing { answer_bytes, .. } => answer_bytes,
            _ => 0,
        }
    }

    /// Tells of what was given up.
    fn failure(&mut self) -> Option<ToSwarm> {
        let answer_bytes = self.failed.take()?;
        let failed = FromHandler::Failed { answer_bytes };
        Some(ConnectionHandlerEvent::NotifyBehaviour(failed))
    }

    /// Notes what the peer sent, and rests if that is more than its share.
    fn received(&mut self, message: &Message) {
        let entries = message.wants() + message.presences.len() + message.payload.len();
        let now = Instant::now();
        self.pace.spend(entries, now);
        let wait = self.pace.wait(now);
        if !wait.is_zero() {
            self.rest = Some(Box::pin(tokio::time::sleep(wait)));
        }
    }

    /// Whether the peer has to wait before more is read.
    fn rests(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(rest) = &mut self.rest {
            if rest.poll_unpin(cx).is_pending() {
                return true;
            }
            self.rest = None;
        }
        false
    }

    /// Moves the outbound side on; returns an event if there is one.
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
                        let answer_bytes = message.answer_bytes();
                        let write = write(stream, message).boxed();
                        self.outbound = Outbound::Writing {
                            write,
                            answer_bytes,
                        };
                    }
                },
                Outbound::Writing {
                    mut write,
                    answer_bytes,
                } => match write.poll_unpin(cx) {
                    Poll::Pending => {
                        self.outbound = Outbound::Writing {
                            write,
                            answer_bytes,
                        };
                        return None;
                    }
                    Poll::Ready(Ok(stream)) => {
                        self.outbound = Outbound::Idle(stream);
                        let sent = FromHandler::Sent { answer_bytes };
                        return Some(ConnectionHandlerEvent::NotifyBehaviour(sent));
                    }
                    Poll::Ready(Err(error)) => {
                        tracing::debug!(%error, "bitswap message not sent");
                        self.give_up(answer_bytes);
                        return self.failure();
                    }
                },
            }
        }
    }
}

/// Sends a message to a peer that reads. What waits for a peer that does not read takes our memory.
async fn write(mut stream: Stream, message: Box<Message>) -> std::io::Result<Stream> {
    let within = time_for(message.answer_bytes());
    let written = tokio::time::timeout(within, protocol::write(&mut stream, &message));
    written.await.map_err(std::io::Error::from)??;
    Ok(stream)
}

/// How long so many bytes of a message may take.
fn time_for(bytes: usize) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    SEND_WITHIN + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND)
}

/// The messages of a stream until it ends or breaks. Between two messages the peer may be silent for as long as it
/// likes. Within one, it may be silent for `patience` at most, since the part that has come is in memory.
fn messages<S>(stream: S, room: Arc<Semaphore>, patience: fn(usize) -> Duration) -> Messages
where
    S: AsyncRead + Unpin + std::marker::Send + 'static,
{
    stream::try_unfold((stream, room), move |(mut stream, room)| async move {
        let Some(length) = protocol::read_length(&mut stream).await? else {
            return Ok(None);
        };
        let rest = protocol::read_rest(&mut stream, length, &room);
        let rest = tokio::time::timeout(patience(length), rest);
        let message = rest.await.map_err(std::io::Error::from)??;
        Ok(Some((message, (stream, room))))
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
        if let Some(failure) = self.failure() {
            return Poll::Ready(failure);
        }
        if let Some(event) = self.poll_outbound(cx) {
            return Poll::Ready(event);
        }
        loop {
            if self.rests(cx) {
                return Poll::Pending;
            }
            while self.incoming.len() < MAX_INBOUND_STREAMS
                && let Some(stream) = self.waiting.pop_front()
            {
                self.read(stream);
            }
            match self.incoming.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => {
                    self.received(&message);
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

    /// Small messages wait, and go together with those that were to be sent before.
    fn on_behaviour_event(&mut self, Send(message): Send) {
        let wants: usize = self.queue.iter().map(|m| m.wants()).sum();
        if wants + message.wants() > MAX_QUEUED_ENTRIES {
            tracing::debug!(wants, "a bitswap peer that does not read");
            let more = self.stop_writing();
            self.give_up(more + message.answer_bytes());
            return;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Entry, Wantlist};

    fn wants(count: usize) -> Send {
        let entries = vec![Entry::default(); count];
        let wantlist = Wantlist {
            entries,
            full: false,
        };
        Send(Box::new(Message {
            wantlist: Some(wantlist),
            ..Message::default()
        }))
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_what_we_want_is_given_up() {
        let mut handler = Handler::new();
        for _ in 0..4 {
            handler.on_behaviour_event(wants(MAX_QUEUED_ENTRIES / 4));
        }
        assert!(handler.failure().is_none());
        handler.on_behaviour_event(wants(1));
        assert!(handler.queue.is_empty());
        assert!(handler.failure().is_some());
        assert!(handler.failure().is_none(), "it is told once");
    }

    /// Gives what it has, and then nothing more.
    struct Stalled(Vec<u8>);

    impl AsyncRead for Stalled {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            room: &mut [u8],
        ) -> Poll<std::io::Result<usize>> {
            let count = self.0.len().min(room.len());
            if count == 0 {
                return Poll::Pending;
            }
            let given: Vec<u8> = self.0.drain(..count).collect();
            room[..count].copy_from_slice(&given);
            Poll::Ready(Ok(count))
        }
    }

    #[tokio::test]
    async fn a_message_that_never_ends_keeps_its_room_for_a_while_only() {
        let room = Arc::new(Semaphore::new(MAX_READING_BYTES));
        // It is to have a mebibyte, and has three bytes.
        let begun = Stalled(vec![0x80, 0x80, 0x40, 1, 2, 3]);
        let patience: fn(usize) -> Duration = |_| Duration::from_millis(50);
        let mut messages = messages(begun, Arc::clone(&room), patience);
        let error = messages.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert!(messages.next().await.is_none());
        assert_eq!(room.available_permits(), MAX_READING_BYTES);
        assert_eq!(time_for(1 << 20), Duration::from_secs(60 + 64));
    }

    /// Two streams would be open otherwise, and what is written on the first lost when the second comes.
    #[tokio::test]
    async fn a_stream_that_was_asked_for_is_not_asked_for_again() {
        let mut handler = Handler::new();
        handler.outbound = Outbound::Opening { failures: 1 };
        handler.on_behaviour_event(wants(MAX_QUEUED_ENTRIES + 1));
        assert!(handler.failure().is_some());
        handler.on_behaviour_event(wants(1));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(handler.poll_outbound(&mut cx).is_none());
    }

    #[tokio::test]
    async fn who_sends_more_than_its_share_is_not_read_for_a_while() {
        let mut handler = Handler::new();
        let Send(message) = wants(4096);
        let mut messages = 0;
        while handler.rest.is_none() {
            handler.received(&message);
            messages += 1;
        }
        // A burst of four seconds, which is a hundred full want-lists.
        assert!((97..=110).contains(&messages), "{messages}");
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(handler.rests(&mut cx));
        handler.rest.take().unwrap().await;
        assert!(!handler.rests(&mut cx));
    }
}
