//! `add`, `get`, `cat`, `block`, `pin`, `gc`, `dht`

use crate::{
    args::{Block, Cat, Dht, Get, Global, Pin},
    client::Client,
    failure::Failure,
    job, output,
};
use mc_content::unixfs;
use mc_gateway::api::{DhtPeers, PeerAddresses};
use mc_types::{ErrorCode, cid};
use std::{path::Path, process::ExitCode};

const DONE: Result<ExitCode, Failure> = Ok(ExitCode::SUCCESS);

pub(super) async fn only_hash(path: &Path) -> Result<ExitCode, Failure> {
    output::line(&job::cid_of(path).await?.to_string())?;
    DONE
}

/// Adds, and pins under the path's own CID, so that it stays until the user unpins it.
pub(super) async fn add(
    global: &Global,
    client: &Client,
    path: &Path,
) -> Result<ExitCode, Failure> {
    let cid = job::cid_of(path).await?;
    if !client.missing(vec![cid]).await?.is_empty() {
        client.upload(path, cid).await?;
    }
    let pin = client.pin(&cid.to_string(), cid).await?;
    output::value(global, &pin, |pin| {
        format!("{} {}", pin.cid, path.display())
    })?;
    DONE
}

pub(super) async fn get(client: &Client, args: &Get) -> Result<ExitCode, Failure> {
    let blocks = client.blocks(args.timeout.map(|timeout| timeout.0));
    unixfs::export(&blocks, args.cid, &args.output, u64::MAX).await?;
    DONE
}

pub(super) async fn cat(client: &Client, args: &Cat) -> Result<ExitCode, Failure> {
    let blocks = client.blocks(args.timeout.map(|timeout| timeout.0));
    unixfs::cat(&blocks, args.cid, tokio::io::stdout(), u64::MAX).await?;
    DONE
}

pub(super) async fn block(
    global: &Global,
    client: &Client,
    command: Block,
) -> Result<ExitCode, Failure> {
    match command {
        Block::Get { cid } => output::write(&client.block(&cid).await?)?,
        Block::Put { path } => {
            let bytes = std::fs::read(&path).map_err(|e| Failure::path(&path, &e))?;
            let block = mc_content::Block::encode(cid::RAW, bytes)?;
            let cid = *block.cid();
            client.put_block(block).await?;
            output::line(&cid.to_string())?;
        }
        Block::Stat { cid } => {
            let stat = client.block_stat(&cid).await?;
            output::value(global, &stat, |stat| format!("{} bytes", stat.size))?;
        }
        Block::Rm { cid } => client.remove_block(&cid).await?,
    }
    DONE
}

pub(super) async fn pin(
    global: &Global,
    client: &Client,
    command: Pin,
) -> Result<ExitCode, Failure> {
    match command {
        Pin::Add { cid, name } => {
            let name = name.unwrap_or_else(|| cid.to_string());
            let pin = client.pin(&name, cid).await?;
            output::value(global, &pin, |pin| format!("{} {}", pin.cid, pin.name))?;
        }
        Pin::Rm { name } => client.unpin(&name).await?,
        Pin::Ls => output::value(global, &client.pins().await?, |list| {
            list.pins
                .iter()
                .map(|pin| format!("{} {}\n", pin.cid, pin.name))
                .collect()
        })?,
    }
    DONE
}

pub(super) async fn gc(global: &Global, client: &Client) -> Result<ExitCode, Failure> {
    output::value(global, &client.gc().await?, |report| {
        format!(
            "removed {} blocks, {} bytes; kept {} blocks",
            report.removed_blocks, report.removed_bytes, report.kept_blocks
        )
    })?;
    DONE
}

pub(super) async fn dht(
    global: &Global,
    client: &Client,
    command: Dht,
) -> Result<ExitCode, Failure> {
    match command {
        Dht::Get { key } => {
            let record = client.dht_record(&key).await?;
            output::value(global, &record, |record| record.value_hex.clone())?;
        }
        Dht::Providers { cid } => {
            let found = client.dht_providers(&cid).await?;
            if found.peers.is_empty() {
                let message = format!("the DHT names no provider of {cid}");
                return Err(Failure::new(ErrorCode::ContentNotFound, message));
            }
            output::value(global, &found, list)?;
        }
        Dht::Peers => output::value(global, &client.dht_peers().await?, list)?,
    }
    DONE
}

fn list(found: &DhtPeers) -> String {
    let line = |peer: &PeerAddresses| format!("{} {}\n", peer.id, peer.addresses.join(" "));
    found.peers.iter().map(line).collect()
}
