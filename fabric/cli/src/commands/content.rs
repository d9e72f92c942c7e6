//! `block`, `pin`, `gc`, `dht`

use crate::{
    args::{Block, Dht, Global, Pin},
    client::Client,
    failure::Failure,
    output,
};
use mc_gateway::api::{DhtPeers, FsckView, PeerAddresses};
use mc_types::{ErrorCode, cid};
use std::process::ExitCode;

const DONE: Result<ExitCode, Failure> = Ok(ExitCode::SUCCESS);

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

/// Fails when something was wrong: whoever runs this by the clock wants to know.
pub(super) async fn fsck(global: &Global, client: &Client) -> Result<ExitCode, Failure> {
    let report = client.fsck().await?;
    let text = |report: &FsckView| {
        let corrupt = report.corrupt.iter();
        let corrupt = corrupt.map(|cid| format!("corrupt, set aside: {cid}\n"));
        let pins = report.incomplete_pins.iter();
        let pins = pins.map(|name| format!("incomplete: the pin {name}\n"));
        let found: String = corrupt.chain(pins).collect();
        format!("{} blocks, {} bytes\n{found}", report.blocks, report.bytes)
    };
    output::value(global, &report, text)?;
    if report.corrupt.is_empty() && report.incomplete_pins.is_empty() {
        return DONE;
    }
    let message = "the block store is damaged";
    let hint = "what others have comes back with: mc-wasm pin add CID";
    Err(Failure::new(ErrorCode::CorruptContent, message).with_hint(hint))
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
