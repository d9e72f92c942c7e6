//! Messages on one stream, each within a time.

use crate::{
    config::{SEND_WITHIN, SLOWEST_BYTES_PER_SECOND},
    message::Message,
    protocol,
};
use futures::{
    AsyncRead, StreamExt,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use libp2p::Stream;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

pub(super) type Messages = BoxStream<'static, std::io::Result<Message>>;
pub(super) type Write = BoxFuture<'static, std::io::Result<Stream>>;

/// Sends a message to a peer that reads. What waits for a peer that does not read takes our memory.
pub(super) async fn write(mut stream: Stream, message: Box<Message>) -> std::io::Result<Stream> {
    let within = time_for(message.answer_bytes());
    let written = tokio::time::timeout(within, protocol::write(&mut stream, &message));
    written.await.map_err(std::io::Error::from)??;
    Ok(stream)
}

/// How long this many bytes of a message may take.
pub(super) fn time_for(bytes: usize) -> Duration {
    let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
    SEND_WITHIN + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND)
}

/// The messages of a stream until it ends or breaks. Between two messages the peer may be silent for as long as it
/// likes. Within one, it may be silent for `patience` at most, since the part that has come is in memory.
pub(super) fn messages<S>(
    stream: S,
    room: Arc<Semaphore>,
    patience: fn(usize) -> Duration,
) -> Messages
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
