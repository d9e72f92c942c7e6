//! Giving up on clients that do not read what they asked for.

use crate::places::Places;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// How often a write that waits looks whether others wait for the places of answers.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a client may take nothing.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    /// In any case.
    pub(crate) longest: Duration,
    /// While others wait for a place for an answer.
    pub(crate) if_crowded: Duration,
    /// The places.
    pub(crate) answers: Option<Arc<Places>>,
}

/// A stream whose writes fail once the other side has taken nothing for too long.
#[derive(Debug)]
pub(crate) struct Unread<S> {
    stream: S,
    patience: Patience,
    /// There while a write waits.
    waits: Option<Waits>,
}

#[derive(Debug)]
struct Waits {
    begun: Instant,
    look: Pin<Box<Sleep>>,
}

impl Patience {
    /// Whether a client that has taken nothing for so long is given up.
    fn is_over(&self, taken_nothing_for: Duration) -> bool {
        let is_crowded = || self.answers.as_ref().is_some_and(|all| all.is_waited_for());
        taken_nothing_for >= self.longest || taken_nothing_for >= self.if_crowded && is_crowded()
    }
}

impl<S> Unread<S> {
    pub(crate) const fn new(stream: S, patience: Patience) -> Self {
        Self {
            stream,
            patience,
            waits: None,
        }
    }

    /// What came of a write, which may not wait for ever.
    fn written(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let patience = &self.patience;
        let waits = self.waits.get_or_insert_with(|| Waits {
            begun: Instant::now(),
            look: Box::pin(sleep(patience.longest.min(patience.if_crowded))),
        });
        while waits.look.as_mut().poll(cx).is_ready() {
            if patience.is_over(waits.begun.elapsed()) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            let next = Instant::now() + LOOK_EVERY;
            let next = next.min(waits.begun + patience.longest);
            waits.look.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Unread<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Unread<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, bytes);
        this.written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, pieces);
        this.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn whoever_reads_is_written_to_and_whoever_does_not_is_given_up() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let patience = Patience {
            longest: Duration::from_millis(50),
            if_crowded: Duration::from_millis(50),
            answers: None,
        };
        let mut stream = Unread::new(ours, patience);
        let reading = tokio::spawn(async move {
            let mut read = [0; 24];
            theirs.read_exact(&mut read).await.unwrap();
            (theirs, read)
        });
        stream.write_all(&[7; 24]).await.unwrap();
        let (_theirs, read) = reading.await.unwrap();
        assert_eq!(read, [7; 24]);
        let error = stream.write_all(&[7; 24]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
