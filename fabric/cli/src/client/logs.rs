//! What jobs write.

use super::Client;
use crate::failure::Failure;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use mc_content::seal::{Cipher, OVERHEAD_BYTES};
use mc_gateway::backend::LogStream;
use mc_node::private::{LENGTH_BYTES, MAX_PIECE_BYTES, TaskKey, log_place};
use mc_types::{ErrorCode, JobId};
use reqwest::Method;

/// A log that is encrypted piece by piece.
struct Opening<S> {
    pieces: S,
    cipher: Cipher,
    stream: LogStream,
    offset: u64,
    /// What has arrived of pieces that are not complete.
    rest: BytesMut,
}

fn damaged() -> Failure {
    Failure::new(
        ErrorCode::WrongKey,
        "what the job wrote does not open with its key",
    )
}

impl<S: Stream<Item = Result<Bytes, Failure>> + Unpin> Opening<S> {
    /// The next piece, and the log after it.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Failure> {
        loop {
            if let Some(piece) = self.open()? {
                return Ok(Some((piece, self)));
            }
            match self.pieces.next().await.transpose()? {
                Some(more) => self.rest.extend_from_slice(&more),
                None if self.rest.is_empty() => return Ok(None),
                None => return Err(damaged()),
            }
        }
    }

    /// The next piece, if all of it is there.
    fn open(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(length) = self.rest.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_PIECE_BYTES + OVERHEAD_BYTES {
            return Err(damaged());
        }
        if self.rest.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        let frame = self.rest.split_to(LENGTH_BYTES + length);
        let sealed = frame.get(LENGTH_BYTES..).unwrap_or_default();
        let place = log_place(self.stream, self.offset);
        let piece = self.cipher.open(place, sealed).map_err(|_| damaged())?;
        self.offset += u64::try_from(piece.len()).unwrap_or(u64::MAX);
        Ok(Some(piece.into()))
    }
}

impl Client {
    /// What the job writes to `stream`, from its beginning on. That of a private job opens with its key.
    pub(crate) async fn logs(
        &self,
        id: JobId,
        stream: LogStream,
        follow: bool,
        key: Option<&TaskKey>,
    ) -> Result<impl Stream<Item = Result<Bytes, Failure>> + use<>, Failure> {
        let name = match stream {
            LogStream::Stdout => "stdout",
            LogStream::Stderr => "stderr",
        };
        let path = format!("/api/v1/jobs/{id}/logs?stream={name}&offset=0&follow={follow}");
        let response = self.send(self.request(Method::GET, &path)).await?;
        let client = self.clone();
        let pieces = response
            .bytes_stream()
            .map(move |piece| piece.map_err(|e| client.unreachable(&e)));
        let opening = key.map(|key| key.logs().cipher());
        Ok(match opening {
            None => pieces.boxed(),
            Some(cipher) => {
                let opening = Opening {
                    pieces: pieces.boxed(),
                    cipher,
                    stream,
                    offset: 0,
                    rest: BytesMut::new(),
                };
                futures::stream::try_unfold(opening, Opening::next).boxed()
            }
        })
    }
}
