//! What the swarm asks of the handler.

use super::{FromHandler, Handler, Incoming, Outbound, Send, ToSwarm};
use crate::{
    config::{MAX_INBOUND_STREAMS, MAX_QUEUED_ENTRIES},
    protocol::PROTOCOL,
};
use futures::StreamExt;
use libp2p::{
    StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol,
        handler::{
            ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
        },
    },
};
use std::task::{Context, Poll};

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
