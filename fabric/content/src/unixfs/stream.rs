//! Files as streams of bytes.

use super::{Entity, cat_range};
use crate::{BlockSource, Error};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use std::ops::Range;
use tokio_util::io::ReaderStream;

/// Bytes that are read before somebody takes them.
const PIPE_BYTES: usize = 1 << 20;

/// The bytes of a file in `range`, as far as it has them. Blocks are fetched ahead of whoever takes the bytes,
/// by a task of the runtime that this is called in; it ends when the stream is dropped.
///
/// An error, as those of [`cat_range`], is the last item.
pub fn stream<S: BlockSource + 'static>(
    source: S,
    file: Entity,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<S> {
    let (writer, reader) = tokio::io::duplex(PIPE_BYTES);
    let (failed, failure) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        if let Err(error) = cat_range(&source, file, range, writer).await {
            // Whoever reads may have gone, which is an error of writing here.
            let _ = failed.send(error);
        }
    });
    let bytes = ReaderStream::with_capacity(reader, PIPE_BYTES);
    let bytes = bytes.map(|piece| piece.map_err(|e| Error::Source(e.to_string())));
    let end = stream::once(failure).filter_map(async |error| error.ok().map(Err));
    bytes.chain(Box::pin(end))
}
