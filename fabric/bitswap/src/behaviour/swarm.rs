//! What the swarm asks of the behaviour.

use super::{Behaviour, Event};
use crate::handler::{FromHandler, Handler};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour,
        THandlerInEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};
use std::task::{Context, Poll};

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::new())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                ..
            }) => self.connected(peer_id, connection_id),
            FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id,
                connection_id,
                remaining_established,
                ..
            }) => self.disconnected(peer_id, connection_id, remaining_established),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: FromHandler,
    ) {
        match event {
            FromHandler::Received(message) => self.received(peer, message.0),
            FromHandler::Sent { answer_bytes } => self.server.sent(&peer, connection, answer_bytes),
            FromHandler::Failed { answer_bytes } => {
                self.server.sent(&peer, connection, answer_bytes);
                self.client.unreachable(&peer);
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Event, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.out.pop_front() {
                return Poll::Ready(event);
            }
            let expire = self.poll_tick(cx);
            if expire || self.client.has_news() {
                self.ask(expire);
            }
            self.look_up();
            if let Poll::Ready(Some((peer, wanted, found))) = self.lookups.poll_next_unpin(cx) {
                self.answer(peer, wanted, found);
            } else if self.out.is_empty() {
                return Poll::Pending;
            }
        }
    }
}
