//! Files as streams of bytes.

use super::{Entity, cat_range};
use crate::{BlockSource, Error};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use std::{future::ready, ops::Range};
use tokio_util::{io::ReaderStream, task::AbortOnDropHandle};

/// Bytes that are read before somebody takes them.
const PIPE_BYTES: usize = 1 << 20;

/// The bytes of a file in `range`, as far as it has them. A task on the caller's runtime fetches blocks ahead of the
/// reader; it ends when the stream is dropped.
///
/// An error, as those of [`cat_range`], is the last item.
pub fn stream<S: BlockSource + 'static>(
    source: S,
    file: Entity,
    range: Range<u64>,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<S> {
    let (writer, reader) = tokio::io::duplex(PIPE_BYTES);
    let read = async move { cat_range(&source, file, range, writer).await.map(drop) };
    let reading = AbortOnDropHandle::new(tokio::spawn(read));
    let bytes = ReaderStream::with_capacity(reader, PIPE_BYTES);
    let bytes = bytes.map(|piece| piece.map_err(|e| Error::Source(e.to_string())));
    let end = async move {
        // What was cut off by a panic must not look complete.
        let read = reading
            .await
            .unwrap_or_else(|e| Err(Error::Source(e.to_string())));
        read.err().map(Err)
    };
    let end = stream::once(end).filter_map(ready);
    bytes.chain(Box::pin(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::{Cid, cid};

    struct Fails;

    impl BlockSource for Fails {
        async fn load(&self, _: &Cid) -> Result<Bytes, Error> {
            panic!("no luck")
        }
    }

    #[tokio::test]
    async fn what_a_panic_cuts_off_does_not_look_complete() {
        let file = cid::of(cid::RAW, &[7; 100]);
        let pieces: Vec<_> = stream(Fails, file.into(), 0..100).collect().await;
        assert!(
            matches!(pieces.last(), Some(Err(Error::Source(_)))),
            "{pieces:?}"
        );
    }
}
