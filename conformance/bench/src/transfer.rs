//! Blocks from peer to peer, in memory and on the loopback interface, beside raw streams of libp2p.
//!
//! Both ends are in this process and share its cores, as do those of the raw streams.

mod nodes;
mod raw;

use crate::measurements::median;
use anyhow::Result;
use nodes::{Behaving, Peer, blocks};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Runs of which the median counts.
const RUNS: usize = 3;
/// Blocks of 1 MiB of the large transfer, and of what a swarm fetches.
const LARGE_BLOCKS: usize = 1024;
const SWARM_BLOCKS: usize = 256;
const SWARM_NODES: usize = 20;

/// Measures all of it, or one part.
pub(crate) fn measure(only: Option<&str>) -> Result<Value> {
    let wanted = |part: &str| only.is_none_or(|only| only == part);
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut result = serde_json::Map::new();
        for transport in ["tcp", "quic"].into_iter().filter(|t| wanted(t)) {
            result.insert(transport.to_owned(), one_to_one(transport).await?);
        }
        if wanted("bad_providers") {
            result.insert("bad_providers".to_owned(), bad_providers().await?);
        }
        if wanted("swarm") {
            result.insert("swarm".to_owned(), swarm().await?);
        }
        Ok(Value::Object(result))
    })
}

/// Bytes in so many blocks, in megabytes per second.
fn speed(blocks: usize, time: Duration) -> f64 {
    let bytes = f64::from(u32::try_from(blocks).unwrap_or(u32::MAX)) * 1_048_576.0;
    bytes / 1e6 / time.as_secs_f64()
}

async fn one_to_one(transport: &str) -> Result<Value> {
    let blocks = blocks(LARGE_BLOCKS);
    let (mut bitswap, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let time = raw::transfer(transport, LARGE_BLOCKS).await?;
        raw.push(speed(LARGE_BLOCKS, time));
        let seeder = Peer::start(transport, Behaving::Well, &blocks, &[]).await?;
        let fetcher = Peer::start(transport, Behaving::Well, &[], &[&seeder]).await?;
        let time = fetcher.fetch(&blocks, &[&seeder]).await?;
        bitswap.push(speed(LARGE_BLOCKS, time));
    }
    let (bitswap, raw) = (median(bitswap), median(raw));
    Ok(json!({
        "bytes": LARGE_BLOCKS << 20,
        "bitswap_mb_per_s": bitswap,
        "raw_one_stream_mb_per_s": raw,
        "ratio": bitswap / raw,
    }))
}

/// Four providers of which one never answers and one sends something else, beside one good one alone.
async fn bad_providers() -> Result<Value> {
    let blocks = blocks(LARGE_BLOCKS);
    let (mut alone, mut among) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let good = Peer::start("tcp", Behaving::Well, &blocks, &[]).await?;
        let fetcher = Peer::start("tcp", Behaving::Well, &[], &[&good]).await?;
        let time = fetcher.fetch(&blocks, &[&good]).await?;
        alone.push(speed(LARGE_BLOCKS, time));
        drop((good, fetcher));
        let mut providers = Vec::new();
        for how in [
            Behaving::Silently,
            Behaving::Falsely,
            Behaving::Well,
            Behaving::Well,
        ] {
            providers.push(Peer::start("tcp", how, &blocks, &[]).await?);
        }
        let providers: Vec<_> = providers.iter().collect();
        let fetcher = Peer::start("tcp", Behaving::Well, &[], &providers).await?;
        let time = fetcher.fetch(&blocks, &providers).await?;
        among.push(speed(LARGE_BLOCKS, time));
    }
    let (alone, among) = (median(alone), median(among));
    Ok(json!({
        "one_good_mb_per_s": alone,
        "two_good_one_silent_one_false_mb_per_s": among,
        "ratio": among / alone,
    }))
}

/// One file to many nodes at once, beside one transfer, and beside as many plain connections to one server.
async fn swarm() -> Result<Value> {
    let blocks = blocks(SWARM_BLOCKS);
    let seeder = Peer::start("tcp", Behaving::Well, &blocks, &[]).await?;
    let one = Peer::start("tcp", Behaving::Well, &[], &[&seeder]).await?;
    let one_transfer = one.fetch_and_give(&blocks, &[&seeder]).await?;
    drop((seeder, one));
    let seeder = Peer::start("tcp", Behaving::Well, &blocks, &[]).await?;
    let mut nodes: Vec<Peer> = Vec::new();
    for _ in 0..SWARM_NODES {
        // Each knows the seeder and some that came before it.
        let known: Vec<_> = nodes.iter().rev().take(6).collect();
        let known: Vec<_> = std::iter::once(&seeder).chain(known).collect();
        let node = Peer::start("tcp", Behaving::Well, &[], &known).await?;
        nodes.push(node);
    }
    let begin = Instant::now();
    let providers = [&seeder];
    let fetches = nodes
        .iter()
        .map(|node| node.fetch_and_give(&blocks, &providers));
    futures::future::try_join_all(fetches).await?;
    let all = begin.elapsed();
    let total = SWARM_NODES * SWARM_BLOCKS;
    let sent = seeder.served();
    let by_all = nodes.iter().map(Peer::served).sum::<usize>() + sent;
    let plain = raw::plain(SWARM_NODES, SWARM_BLOCKS).await?;
    let share = |part: usize| {
        let of = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
        of(part) / of(total)
    };
    Ok(json!({
        "nodes": SWARM_NODES,
        "one_transfer_s": one_transfer.as_secs_f64(),
        "all_s": all.as_secs_f64(),
        "times_one_transfer": all.as_secs_f64() / one_transfer.as_secs_f64(),
        "share_of_seeder": share(sent),
        "sent_by_all": share(by_all),
        "plain_tcp_from_one_server_s": plain.as_secs_f64(),
    }))
}
