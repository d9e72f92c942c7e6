//! How far something is, on standard error, if a human looks.

use crate::{client::Client, failure::Failure, output, terminal};
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

/// Waits for work that blocks, and says `what` it is once that takes long: in a line that moves, or in one that stays
/// if no terminal shows it.
pub(crate) async fn patiently<T: Send + 'static>(
    global: &Global,
    what: String,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let mut working = tokio::task::spawn_blocking(work);
    let done = tokio::select! {
        done = &mut working => done,
        () = tokio::time::sleep(PATIENCE) => {
            let line = line(global);
            match &line {
                Some(line) => line.set_message(terminal::escaped(&what).into_owned()),
                None => output::note(global, &what),
            }
            let done = working.await;
            if let Some(line) = line {
                line.finish_and_clear();
            }
            done
        }
    };
    done.map_err(|e| Failure::internal(e.to_string()))
}

/// Waits for what a node may have to find first, and says so once that takes long: that nobody is connected who could
/// have it is known before the node gives up.
pub(crate) async fn while_found<T>(
    global: &Global,
    client: &Client,
    what: &str,
    work: impl Future<Output = T>,
) -> T {
    let mut work = pin!(work);
    tokio::select! {
        done = &mut work => return done,
        () = tokio::time::sleep(PATIENCE) => {}
    }
    let note = async {
        let whom = match peers(client).await {
            None => return,
            Some(0) => "no other node is connected".to_owned(),
            Some(1) => "one other node is connected".to_owned(),
            Some(peers) => format!("{peers} other nodes are connected"),
        };
        output::note(global, &format!("looking for {what}: {whom}"));
    };
    let (done, ()) = tokio::join!(work, note);
    done
}

/// How many others a node can ask, if it answers.
pub(crate) async fn peers(client: &Client) -> Option<u32> {
    Some(client.node().await.ok()?.peers)
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
