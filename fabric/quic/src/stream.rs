//! Streams that bear with peers who close their half early.
//!
//! go-libp2p closes a stream on which it only writes (bitswap's answers) at once, which reaches us as
//! a request to stop sending. Confirming the protocol on such a stream would then fail, and with it the
//! whole stream, although its data is intact. Writes on a stopped stream are therefore swallowed.

use futures::{AsyncRead, AsyncWrite};
use quinn::{RecvStream, SendStream, WriteError};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// A stream of a [`crate::Connection`]. What was written is sent although the stream is dropped.
#[derive(Debug)]
pub struct Stream {
    send: SendStream,
    receive: RecvStream,
}

impl Stream {
    pub(crate) fn new((send, receive): (SendStream, RecvStream)) -> Self {
        Self { send, receive }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.receive.poll_read(cx, buffer).map_err(io::Error::from)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.send)
            .poll_write(cx, bytes)
            .map(|written| match written {
                Err(WriteError::Stopped(_)) => Ok(bytes.len()),
                written => written.map_err(io::Error::from),
            })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // quinn sends by itself, as soon as the peer and the network take it.
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It fails only when it has been done before, or the peer has told to stop.
        let _ = self.send.finish();
        Poll::Ready(Ok(()))
    }
}
