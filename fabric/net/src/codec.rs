//! Requests and responses as canonical DAG-CBOR, one to a stream.

use crate::message::{Request, Response};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use libp2p::{StreamProtocol, request_response};
use mc_types::canonical;
use serde::{Serialize, de::DeserializeOwned};
use std::io::{Error, ErrorKind, Result};

/// The codec of `/mc/<network>/work/1`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Codec;

async fn read<T: Serialize + DeserializeOwned>(io: &mut (impl AsyncRead + Unpin)) -> Result<T> {
    // One byte more than is accepted, so that a longer message is noticed without reading it.
    let limit = u64::try_from(canonical::MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let mut bytes = Vec::new();
    io.take(limit).read_to_end(&mut bytes).await?;
    canonical::decode(&bytes).map_err(|e| Error::new(ErrorKind::InvalidData, e))
}

async fn write<T: Serialize>(io: &mut (impl AsyncWrite + Unpin), value: &T) -> Result<()> {
    let (_, bytes) = canonical::encode(value).map_err(|e| Error::new(ErrorKind::InvalidData, e))?;
    io.write_all(&bytes).await?;
    io.close().await
}

impl request_response::Codec for Codec {
    type Protocol = StreamProtocol;
    type Request = Request;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> Result<Request>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(&mut self, _: &StreamProtocol, io: &mut T, it: Request) -> Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &it).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        it: Response,
    ) -> Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &it).await
    }
}
