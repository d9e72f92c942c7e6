//! Requests and responses, one to a stream, as `mc-protocol` writes and reads them.

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use mc_protocol::{Heard, MAX_BYTES, Request, Response};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{Error, ErrorKind, Result};

/// The codec of all versions in [`mc_protocol::VERSIONS`]: so far there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Codec;

async fn read<T: DeserializeOwned>(io: &mut (impl AsyncRead + Unpin)) -> Result<Heard<T>> {
    // One byte more than is accepted, so that a longer message is noticed without reading it.
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    io.take(limit).read_to_end(&mut bytes).await?;
    mc_protocol::decode_message(&bytes).map_err(|e| Error::new(ErrorKind::InvalidData, e))
}

async fn write<T: Serialize>(io: &mut (impl AsyncWrite + Unpin), it: Heard<T>) -> Result<()> {
    // What was not understood is not passed on.
    let message = it.map_err(|e| Error::new(ErrorKind::InvalidInput, e))?;
    let bytes = mc_protocol::encode(&message).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
    io.write_all(&bytes).await?;
    io.close().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Heard<Request>;
    type Response = Heard<Response>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> Result<Heard<Request>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> Result<Heard<Response>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        it: Heard<Request>,
    ) -> Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, it).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        it: Heard<Response>,
    ) -> Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, it).await
    }
}
