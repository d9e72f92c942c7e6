//! `block`, `pin`, `gc`, `fsck`, `dht`

use crate::{client::NodeClient, failure::Failure, output, progress, terminal};
use mc_api::{DhtPeers, FsckView, GcView, PeerAddresses, PinView};
use mc_config::Period;
use mc_options::{Add, Block, Command, Dht, Global, Pin};
use mc_types::{ErrorCode, cid};
use std::process::ExitCode;

const DONE: Result<ExitCode, Failure> = Ok(ExitCode::SUCCESS);

/// Refuses invalid names now, since a node would refuse them only after the upload.
pub(super) fn check_names(command: &Command) -> Result<(), Failure> {
    let (Command::Add(Add { name, .. }) | Command::Pin(Pin::Add { name, .. })) = command else {
        return Ok(());
    };
    match name.as_deref().map(mc_node::pins::check) {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

pub(super) async fn block(
    global: &Global,
    client: &NodeClient,
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
    client: &NodeClient,
    command: Pin,
) -> Result<ExitCode, Failure> {
    match command {
        Pin::Add { cid, name, timeout } => {
            let name = name.unwrap_or_else(|| cid.to_string());
            let what = cid.to_string();
            let pinning = progress::while_found(global, client, &what, client.pin(&name, cid));
            let pin = match timeout {
                None => pinning.await?,
                Some(timeout) => {
                    let pinned = tokio::time::timeout(timeout.0, pinning).await;
                    pinned.unwrap_or_else(|_| Err(not_in_time(&what, timeout)))?
                }
            };
            output::value(global, &pin, pin_line)?;
        }
        Pin::Rm { name, now } => {
            client.unpin(&name).await?;
            if now {
                return gc(global, client, true).await;
            }
            let note = "blocks that no other pin needs can go now: when room is needed, or with mc-wasm gc";
            output::note(global, note);
        }
        Pin::Ls => output::value(global, &client.pins().await?, |list| {
            let lines = list.pins.iter().map(|pin| pin_line(pin) + "\n");
            lines.collect()
        })?,
    }
    DONE
}

fn not_in_time(what: &str, timeout: Period) -> Failure {
    let message = format!("not all of {what} was found within {timeout}");
    Failure::new(ErrorCode::ContentNotFound, message)
}

fn pin_line(pin: &PinView) -> String {
    format!("{} {}", pin.cid, terminal::escaped(&pin.name))
}

pub(super) async fn gc(
    global: &Global,
    client: &NodeClient,
    now: bool,
) -> Result<ExitCode, Failure> {
    output::value(global, &client.gc(now).await?, |report: &GcView| {
        let removed = format!(
            "removed {} blocks, {} bytes; kept {} blocks",
            report.removed_blocks, report.removed_bytes, report.kept_blocks
        );
        if report.recent_blocks == 0 {
            return removed;
        }
        let (blocks, bytes) = (report.recent_blocks, report.recent_bytes);
        let minutes = report.grace_ms / 60_000;
        format!(
            "{removed}\n{blocks} of these, {bytes} bytes, are kept only because they were stored or asked for in the \
             last {minutes} minutes: mc-wasm gc --now removes them too"
        )
    })?;
    DONE
}

/// Fails when a block is damaged, so that scheduled runs report it.
pub(super) async fn fsck(global: &Global, client: &NodeClient) -> Result<ExitCode, Failure> {
    let report = client.fsck().await?;
    let text = |report: &FsckView| {
        let corrupt = report.corrupt.iter();
        let corrupt = corrupt.map(|cid| format!("corrupt, set aside: {cid}\n"));
        let pins = report.incomplete_pins.iter();
        let pins = pins.map(|name| format!("incomplete: the pin {}\n", terminal::escaped(name)));
        let found: String = corrupt.chain(pins).collect();
        let (blocks, bytes) = (report.blocks, report.bytes);
        if report.corrupt.is_empty() {
            format!("all {blocks} blocks are good, {bytes} bytes\n{found}")
        } else {
            format!("{blocks} blocks, {bytes} bytes\n{found}")
        }
    };
    output::value(global, &report, text)?;
    if report.corrupt.is_empty() && report.incomplete_pins.is_empty() {
        return DONE;
    }
    let message = "the block store is damaged";
    let hint = "to fetch again what others have: mc-wasm pin add CID";
    Err(Failure::new(ErrorCode::CorruptContent, message).with_hint(hint))
}

pub(super) async fn dht(
    global: &Global,
    client: &NodeClient,
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
    let line = |peer: &PeerAddresses| {
        let addresses = peer.addresses.join(" ");
        format!("{} {}\n", peer.id, terminal::escaped(&addresses))
    };
    found.peers.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::typed;
    use mc_types::Cid;

    const CID: &str = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";

    #[test]
    fn names_that_a_node_would_refuse_are_refused_before_anything_is_sent() {
        let check = |words: &[&str]| check_names(&typed::cli(words).command);
        check(&["add", "x"]).unwrap();
        check(&["add", "--name=mine", "x"]).unwrap();
        for name in ["", "two\nlines"] {
            let named = format!("--name={name}");
            let refused = check(&["add", &named, "x"]).unwrap_err();
            assert_eq!(refused.code(), ErrorCode::Usage, "{name:?}");
        }
        let of_a_job = check(&["pin", "add", "--name=job/x", CID]).unwrap_err();
        assert!(of_a_job.message().contains("job/"), "{of_a_job:?}");
    }

    #[test]
    fn what_others_named_steers_no_terminal() {
        let cid = Cid::default();
        let pin = PinView {
            name: "a\nb".to_owned(),
            cid,
        };
        assert_eq!(pin_line(&pin), format!("{cid} a\\nb"));
        let peers = DhtPeers {
            peers: vec![PeerAddresses {
                id: "12D3KooWa".parse().unwrap(),
                addresses: vec!["/ip4/192.0.2.1".to_owned(), "\u{7}".to_owned()],
            }],
        };
        assert_eq!(list(&peers), "12D3KooWa /ip4/192.0.2.1 \\u{7}\n");
    }

    #[test]
    fn who_waited_in_vain_is_told_how_long() {
        let failure = not_in_time("bafy", "90s".parse().unwrap());
        assert_eq!(failure.code(), ErrorCode::ContentNotFound);
        assert!(failure.message().ends_with("within 90s"), "{failure:?}");
    }
}
