//! QUIC streams that bear with peers who close their half early.
//!
//! go-libp2p closes a stream on which it only writes (bitswap's answers) at once, which reaches us as
//! a request to stop sending. Confirming the protocol on such a stream then fails, and with it the
//! whole stream, although its data is intact. Writes on a stopped stream are therefore swallowed.

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    core::muxing::{StreamMuxer, StreamMuxerEvent},
    quic,
};
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

/// A QUIC connection with such streams.
pub(crate) struct Lenient(pub(crate) quic::Connection);

/// One of its streams.
pub(crate) struct LenientStream(quic::Stream);

impl StreamMuxer for Lenient {
    type Substream = LenientStream;
    type Error = <quic::Connection as StreamMuxer>::Error;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<LenientStream, Self::Error>> {
        Pin::new(&mut self.0).poll_inbound(cx).map_ok(LenientStream)
    }

    fn poll_outbound(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<LenientStream, Self::Error>> {
        Pin::new(&mut self.0)
            .poll_outbound(cx)
            .map_ok(LenientStream)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Pin::new(&mut self.0).poll_close(cx)
    }

    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.0).poll(cx)
    }
}

/// Turns the error of a stopped stream into success. quinn gives it no kind of its own, only a text.
fn unless_stopped<T>(result: Poll<io::Result<T>>, done: T) -> Poll<io::Result<T>> {
    match result {
        Poll::Ready(Err(error)) if error.to_string().contains("stopped by peer") => {
            Poll::Ready(Ok(done))
        }
        result => result,
    }
}

impl AsyncRead for LenientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for LenientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        unless_stopped(Pin::new(&mut self.0).poll_write(cx, bytes), bytes.len())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        unless_stopped(Pin::new(&mut self.0).poll_flush(cx), ())
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        unless_stopped(Pin::new(&mut self.0).poll_close(cx), ())
    }
}
