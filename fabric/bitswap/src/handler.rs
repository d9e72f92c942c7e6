//! One connection: reads every stream that the peer opens, writes on one that we open.

mod connection;
mod outbound;
mod streams;

use crate::{
    config::{
        MAX_BROKEN_MESSAGES, MAX_ENTRIES_PER_SECOND, MAX_INBOUND_STREAMS, MAX_READING_BYTES,
        MAX_WAITING_STREAMS,
    },
    message::Message,
    rate::Rate,
};
use futures::{FutureExt, stream::SelectAll};
use libp2p::{Stream, StreamProtocol, core::upgrade::ReadyUpgrade, swarm::ConnectionHandlerEvent};
use std::{collections::VecDeque, pin::Pin, sync::Arc, task::Context, time::Instant};
use streams::{Messages, Write, messages, time_for};
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
}

type ToSwarm = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, (), FromHandler>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::MAX_QUEUED_ENTRIES,
        message::{Entry, Wantlist},
    };
    use futures::{AsyncRead, StreamExt};
    use libp2p::swarm::ConnectionHandler;
    use std::{task::Poll, time::Duration};

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
