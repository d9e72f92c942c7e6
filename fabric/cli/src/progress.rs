//! How far something is, on standard error, if a human looks.

use crate::args::{Format, Global};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

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
