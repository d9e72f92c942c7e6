//! Where a guest's standard output and error go.

use crate::sink::Sink;
use async_trait::async_trait;
use bytes::Bytes;
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamError, StreamResult},
};

/// Bytes that a guest may hand over in one call.
const WRITE_BYTES: usize = 64 << 10;

/// The guest wrote more than its limit allows.
#[derive(Debug, thiserror::Error)]
#[error("output limit reached")]
pub(crate) struct OutputLimitReached;

/// The reader of the guest's output has gone.
#[derive(Debug, thiserror::Error)]
#[error("the reader of the output has gone")]
pub(crate) struct OutputClosed;

/// What the two streams may still write together.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    pub(crate) fn new(bytes: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(bytes)))
    }

    /// Bytes that are left.
    pub(crate) fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn spend(&self, bytes: usize) -> Result<(), OutputLimitReached> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let spent = |left: u64| left.checked_sub(bytes);
        let result = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, spent);
        result.map(drop).map_err(|_| OutputLimitReached)
    }
}

/// A stream into a file, or into the process's own. Every write goes through at once, so that others
/// can read along.
#[derive(Clone)]
pub(crate) struct Log {
    sink: Arc<Mutex<Sink>>,
    budget: Arc<Budget>,
}

impl Log {
    pub(crate) fn new(sink: Sink, budget: Arc<Budget>) -> Self {
        Self {
            sink: Arc::new(Mutex::new(sink)),
            budget,
        }
    }

    /// What was kept in memory.
    pub(crate) fn take(&self) -> Vec<u8> {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *sink, Sink::Memory(Vec::new())).into_bytes()
    }

    fn write_all(&self, bytes: &[u8]) -> Result<(), wasmtime::Error> {
        self.budget.spend(bytes.len())?;
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(sink.write_all(bytes)?)
    }
}

impl IsTerminal for Log {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Log {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Log {
    async fn ready(&mut self) {}
}

impl OutputStream for Log {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_all(&bytes).map_err(|error| {
            if error.is::<OutputLimitReached>() {
                return StreamError::Trap(error);
            }
            match error
                .downcast_ref::<std::io::Error>()
                .map(std::io::Error::kind)
            {
                // The guest ends because of this, as it does under a shell. A guest that got the error would panic, or
                // go on for nothing.
                Some(std::io::ErrorKind::BrokenPipe) => StreamError::Trap(OutputClosed.into()),
                // A guest must not notice that this machine's disk is full.
                _ => StreamError::Trap(error.context("output could not be written")),
            }
        })
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

impl AsyncWrite for Log {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Poll::Ready(
            self.write_all(bytes)
                .map(|()| bytes.len())
                .map_err(std::io::Error::other),
        )
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.poll_flush(cx)
    }
}
