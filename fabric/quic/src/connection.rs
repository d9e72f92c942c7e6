//! A connection, whose streams QUIC keeps apart.

use crate::{Error, Stream, config::HANDSHAKE_TIMEOUT, tls};
use futures::{FutureExt, future::BoxFuture, ready};
use libp2p::{
    PeerId,
    core::muxing::{StreamMuxer, StreamMuxerEvent},
};
use quinn::{Connecting, ConnectionError, RecvStream, SendStream, VarInt};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// What peers are told when a connection is closed without need of a reason.
pub(crate) const CLOSED: VarInt = VarInt::from_u32(0);

type Opening = BoxFuture<'static, Result<(SendStream, RecvStream), ConnectionError>>;

/// A connection to a peer that has proved who it is. It is closed when it and all its streams are dropped.
pub struct Connection {
    connection: quinn::Connection,
    inbound: Option<Opening>,
    outbound: Option<Opening>,
    closed: Option<BoxFuture<'static, ConnectionError>>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.connection).finish()
    }
}

/// A connection whose other end has yet to prove who it is.
pub(crate) struct Handshake {
    pub(crate) connecting: Connecting,
    /// For a listener to see how many of its own there are.
    pub(crate) counted: Option<Arc<()>>,
}

/// Waits until the peer has proved who it is.
pub(crate) async fn establish(handshake: Handshake) -> Result<(PeerId, Connection), Error> {
    let Handshake {
        connecting,
        counted,
    } = handshake;
    let connection = tokio::time::timeout(HANDSHAKE_TIMEOUT, connecting)
        .await
        .map_err(|_| Error::HandshakeTimeout)??;
    drop(counted);
    let peer = tls::peer(&connection)?;
    let connection = Connection {
        connection,
        inbound: None,
        outbound: None,
        closed: None,
    };
    Ok((peer, connection))
}

/// Polls the future in this place. It is made if there is none, and removed when it is done.
fn poll_stream(
    place: &mut Option<Opening>,
    connection: &quinn::Connection,
    open: impl FnOnce(quinn::Connection) -> Opening,
    cx: &mut Context<'_>,
) -> Poll<Result<Stream, Error>> {
    let stream = ready!(
        place
            .get_or_insert_with(|| open(connection.clone()))
            .poll_unpin(cx)
    );
    *place = None;
    Poll::Ready(Ok(Stream::new(stream?)))
}

impl StreamMuxer for Connection {
    type Substream = Stream;
    type Error = Error;

    fn poll_inbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, Self::Error>> {
        let this = self.get_mut();
        let accept = |c: quinn::Connection| async move { c.accept_bi().await }.boxed();
        poll_stream(&mut this.inbound, &this.connection, accept, cx)
    }

    fn poll_outbound(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Stream, Self::Error>> {
        let this = self.get_mut();
        let open = |c: quinn::Connection| async move { c.open_bi().await }.boxed();
        poll_stream(&mut this.outbound, &this.connection, open, cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let this = self.get_mut();
        let connection = &this.connection;
        let closed = this.closed.get_or_insert_with(|| {
            connection.close(CLOSED, &[]);
            let connection = connection.clone();
            async move { connection.closed().await }.boxed()
        });
        match ready!(closed.poll_unpin(cx)) {
            ConnectionError::LocallyClosed => Poll::Ready(Ok(())),
            error => Poll::Ready(Err(error.into())),
        }
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        // quinn drives it in a task of its own, and addresses do not change.
        Poll::Pending
    }
}
