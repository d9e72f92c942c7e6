//! The stream on which messages are sent.

use super::{FromHandler, Handler, Outbound, ToSwarm, streams::write};
use crate::protocol::PROTOCOL;
use futures::FutureExt;
use libp2p::{
    core::upgrade::ReadyUpgrade,
    swarm::{ConnectionHandlerEvent, SubstreamProtocol},
};
use std::task::{Context, Poll};

/// How often a stream is opened again before everything that waits is given up.
const MAX_OPEN_FAILURES: usize = 3;

impl Handler {
    pub(super) fn open_failed(&mut self, failures: usize) {
        self.outbound = Outbound::Closed {
            failures: failures + 1,
        };
        if failures + 1 >= MAX_OPEN_FAILURES {
            self.outbound = Outbound::Closed { failures: 0 };
            self.give_up(0);
        }
    }

    /// Gives up what waits to be sent, and `more`, which is no longer in the queue.
    pub(super) fn give_up(&mut self, more: usize) {
        let queued: usize = self.queue.iter().map(|m| m.answer_bytes()).sum();
        self.queue.clear();
        *self.failed.get_or_insert_default() += queued + more;
    }

    /// Stops sending what is being sent; returns the bytes of the answers in it. A stream that was asked for is still
    /// to come.
    pub(super) fn stop_writing(&mut self) -> usize {
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
    pub(super) fn failure(&mut self) -> Option<ToSwarm> {
        let answer_bytes = self.failed.take()?;
        let failed = FromHandler::Failed { answer_bytes };
        Some(ConnectionHandlerEvent::NotifyBehaviour(failed))
    }

    /// Moves the outbound side on; returns an event if there is one.
    pub(super) fn poll_outbound(&mut self, cx: &mut Context<'_>) -> Option<ToSwarm> {
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
