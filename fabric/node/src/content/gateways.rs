//! HTTP gateways of IPFS as providers of last resort.
//!
//! Specification: <https://specs.ipfs.tech/http-gateways/trustless-gateway/>. This node verifies what they send, so it
//! need not trust them; but they learn what it looks for.

use bytes::BytesMut;
use futures::StreamExt;
use mc_config::without_password;
use mc_content::{Block, MAX_BLOCK_BYTES};
use mc_types::{Cid, with_causes};
use reqwest::{Client, header};
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// How long one of them may take to give a block.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to connect.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Blocks that are asked for at a time, of all gateways together.
const TOGETHER: usize = 16;
const RAW: &str = "application/vnd.ipld.raw";

/// Gateways, in the order in which they are asked.
#[derive(Debug, Clone)]
pub(super) struct Gateways {
    http: Client,
    bases: Arc<[String]>,
    places: Arc<Semaphore>,
}

impl Gateways {
    /// Those at `urls`; `None` if there are none.
    pub(super) fn new(urls: &[String]) -> Option<Self> {
        if urls.is_empty() {
            return None;
        }
        // Another part of the program may have chosen before, which is as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder()
            .connect_timeout(CONNECT_WITHIN)
            .timeout(PATIENCE)
            .build()
            .inspect_err(|error| tracing::error!(%error, "no HTTP gateways can be asked"));
        let bases = urls.iter().map(|url| url.trim_end_matches('/').to_owned());
        Some(Self {
            http: http.ok()?,
            bases: bases.collect(),
            places: Arc::new(Semaphore::new(TOGETHER)),
        })
    }

    /// A block, from the first gateway that has it and answers in time.
    pub(super) async fn get(&self, cid: &Cid, within: Option<Duration>) -> Option<Block> {
        let _place = self.places.acquire().await.ok()?;
        let asking = self.ask_each(cid);
        match within {
            None => asking.await,
            Some(within) => tokio::time::timeout(within, asking).await.ok().flatten(),
        }
    }

    async fn ask_each(&self, cid: &Cid) -> Option<Block> {
        for base in &*self.bases {
            match self.ask(base, cid).await {
                Ok(block) => return Some(block),
                Err(reason) => {
                    let gateway = without_password(base);
                    tracing::debug!(%gateway, %cid, %reason, "not there");
                }
            }
        }
        None
    }

    async fn ask(&self, base: &str, cid: &Cid) -> Result<Block, String> {
        let url = format!("{base}/ipfs/{cid}?format=raw");
        let request = self.http.get(url).header(header::ACCEPT, RAW);
        let response = request.send().await.map_err(|e| with_causes(&e))?;
        if !response.status().is_success() {
            return Err(response.status().to_string());
        }
        let mut bytes = BytesMut::new();
        let mut pieces = response.bytes_stream();
        while let Some(piece) = pieces.next().await {
            bytes.extend_from_slice(&piece.map_err(|e| with_causes(&e))?);
            if bytes.len() > MAX_BLOCK_BYTES {
                return Err("more than a block".to_owned());
            }
        }
        Block::new(*cid, bytes.freeze()).map_err(|e| with_causes(&e))
    }
}
