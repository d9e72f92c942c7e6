//! How far something is, on standard error, if a human looks.

use crate::{client::NodeClient, output, terminal};
use indicatif::{ProgressBar, ProgressStyle};
use mc_options::{Format, Global};
use std::{io::IsTerminal, pin::pin, time::Duration};

/// After what time something takes long.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a line of progress moves.
const FRAME: Duration = Duration::from_millis(120);

/// A bar that counts bytes up to `total`, or only counts them.
pub(crate) fn bytes(global: &Global, what: &'static str, total: Option<u64>) -> ProgressBar {
    let is_shown = std::io::stderr().is_terminal() && !global.quiet;
    if !is_shown || global.format == Format::Json {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{prefix} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ),
        None => (ProgressBar::no_length(), "{prefix} {bytes} {bytes_per_sec}"),
    };
    // A template that is wrong leaves the usual one.
    let style = ProgressStyle::with_template(template);
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(what)
}

/// Waits for work, and shows `what` it is once that takes long: in a line that is updated, or in a plain line without a
/// terminal.
pub(crate) async fn patiently<T>(global: &Global, what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let line = line(global);
    match &line {
        Some(line) => line.set_message(terminal::escaped(what).into_owned()),
        None => output::note(global, what),
    }
    let done = work.await;
    if let Some(line) = line {
        line.finish_and_clear();
    }
    done
}

/// Waits for content that a node may have to find first, and says so once that takes long: users learn that no peer is
/// connected before the node gives up.
pub(crate) async fn while_found<T>(
    global: &Global,
    client: &NodeClient,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let note = async {
        if let Ok(node) = client.node().await {
            let whom = connected(node.peers, node.ipfs_peers);
            output::note(global, &format!("looking for {what}: {whom} connected"));
        }
    };
    let (done, ()) = tokio::join!(work, note);
    done
}

/// How many others a node can ask, if it answers.
pub(crate) async fn peers(client: &NodeClient) -> Option<u32> {
    let node = client.node().await.ok()?;
    Some(node.peers.saturating_add(node.ipfs_peers))
}

/// Who can be asked for content, as the beginning of a sentence.
fn connected(nodes: u32, ipfs_peers: u32) -> String {
    let counted = |number: u32, what: &str| match number {
        1 => format!("one {what}"),
        number => format!("{number} {what}s"),
    };
    let are = |number: u32| if number == 1 { "is" } else { "are" };
    let (others, guests) = (
        counted(nodes, "other node"),
        counted(ipfs_peers, "IPFS peer"),
    );
    match (nodes, ipfs_peers) {
        (0, 0) => "no other node is".to_owned(),
        (nodes, 0) => format!("{others} {}", are(nodes)),
        (0, ipfs_peers) => format!("{guests} {}", are(ipfs_peers)),
        _ => format!("{others} and {guests} are"),
    }
}

/// A line that moves, if a human looks on.
pub(crate) fn line(global: &Global) -> Option<ProgressBar> {
    let is_shown = std::io::stderr().is_terminal() && !global.quiet;
    if !is_shown || global.format == Format::Json {
        return None;
    }
    let line = ProgressBar::new_spinner();
    // A template that is wrong leaves the usual one.
    let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
    line.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    line.enable_steady_tick(FRAME);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_who_can_be_asked_is_counted() {
        for (nodes, ipfs_peers, said) in [
            (0, 0, "no other node is"),
            (1, 0, "one other node is"),
            (2, 0, "2 other nodes are"),
            (0, 1, "one IPFS peer is"),
            (0, 7, "7 IPFS peers are"),
            (1, 2, "one other node and 2 IPFS peers are"),
        ] {
            assert_eq!(connected(nodes, ipfs_peers), said);
        }
    }
}
