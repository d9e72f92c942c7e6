//! What jobs write.

use super::{NodeClient, Tries, content::Pieces};
use crate::failure::Failure;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use mc_api::{LogQuery, paths};
use mc_content::{
    TaskKey,
    seal::{Cipher, OVERHEAD_BYTES},
};
use mc_node::private::{LENGTH_BYTES, MAX_PIECE_BYTES, log_place};
use mc_types::{ErrorCode, JobId};
use reqwest::Method;
use std::time::{Duration, Instant};

/// A node that sent a log for this long was healthy: if it goes, the count of tries starts again.
const STEADY: Duration = Duration::from_secs(5);

/// A log, and how far it has been read. When its node is gone, another one continues from there.
struct Reading {
    client: NodeClient,
    job: JobId,
    wanted: LogQuery,
    /// Opens what is encrypted piece by piece.
    cipher: Option<Cipher>,
    /// What has arrived of pieces that are not complete.
    rest: BytesMut,
    pieces: Option<Pieces>,
    /// When the node that it is read from began to give it.
    begun: Instant,
    tries: Tries,
}

fn damaged() -> Failure {
    Failure::new(
        ErrorCode::WrongKey,
        "what the job wrote does not open with its key",
    )
}

impl Reading {
    /// The next piece, and the log after it.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Failure> {
        loop {
            if let Some(piece) = self.open()? {
                self.wanted.offset += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                self.tries = self.client.tries_to_resume();
                return Ok(Some((piece, self)));
            }
            let lost = match self.more().await {
                Ok(true) => continue,
                Ok(false) if self.rest.is_empty() => return Ok(None),
                Ok(false) => return Err(damaged()),
                Err(failure) => failure,
            };
            self.pieces = None;
            self.rest.clear();
            if self.begun.elapsed() > STEADY {
                self.tries = self.client.tries_to_resume();
            }
            self.begun = Instant::now();
            if !self.client.asks_again(&lost, &mut self.tries).await {
                return Err(lost);
            }
        }
    }

    /// Reads more, from the offset on if the stream has to be opened again; false at the end.
    async fn more(&mut self) -> Result<bool, Failure> {
        if self.pieces.is_none() {
            self.pieces = Some(self.begin().await?);
        }
        let Some(pieces) = &mut self.pieces else {
            return Ok(false);
        };
        let mut turns = self.client.turns.subscribe();
        let turn = self.tries.turn;
        // Another request found that the node is gone. The node may be frozen, and never close this connection.
        let turned = async {
            let _ = turns.wait_for(|now| now.number != turn).await;
        };
        tokio::select! {
            piece = pieces.next() => match piece {
                Some(Ok(piece)) => {
                    self.rest.extend_from_slice(&piece);
                    Ok(true)
                }
                Some(Err(error)) => Err(self.client.unreachable(&error)),
                None => Ok(false),
            },
            () = turned => {
                self.pieces = None;
                self.rest.clear();
                Ok(true)
            }
        }
    }

    async fn begin(&mut self) -> Result<Pieces, Failure> {
        let path = paths::with(paths::JOB_LOGS, self.job);
        self.client.begin(&mut self.tries);
        let base = self.client.base();
        let request = self.client.request(Method::GET, &path).query(&self.wanted);
        let response = self.client.send_once(request).await?;
        self.begun = Instant::now();
        Ok(self.client.pieces(base, response))
    }

    /// The next piece, if all of it is there.
    fn open(&mut self) -> Result<Option<Bytes>, Failure> {
        let Some(cipher) = &self.cipher else {
            let piece = self.rest.split().freeze();
            return Ok((!piece.is_empty()).then_some(piece));
        };
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
        let place = log_place(self.wanted.stream, self.wanted.offset);
        let piece = cipher.open(place, sealed).map_err(|_| damaged())?;
        Ok(Some(piece.into()))
    }
}

impl NodeClient {
    /// What a job writes. That of a private job opens with its key.
    pub(crate) fn logs(
        &self,
        job: JobId,
        wanted: LogQuery,
        key: Option<&TaskKey>,
    ) -> impl Stream<Item = Result<Bytes, Failure>> + use<> {
        let reading = Reading {
            client: self.clone(),
            job,
            wanted,
            cipher: key.map(|key| key.logs().cipher()),
            rest: BytesMut::new(),
            pieces: None,
            begun: Instant::now(),
            tries: self.tries(),
        };
        futures::stream::try_unfold(reading, Reading::next)
    }
}
