//! Results on standard output, everything for humans on standard error.

use crate::{
    failure::Failure,
    terminal::{self, LogLines},
};
use mc_options::{Format, Global};
use serde::Serialize;
use std::{
    io::{IsTerminal, Write},
    path::Path,
};

/// Log lines go to standard error: warnings, or as many as `-v` asks for.
pub(crate) fn init_logging(global: &Global) {
    let level = match (global.quiet, global.verbose) {
        (true, _) => "error",
        (_, 0) => "warn,libp2p_mdns=off,libp2p_kad=error,sqlx=error",
        (_, 1) => "info,sqlx=warn",
        (_, 2) => "debug,sqlx=warn",
        _ => "trace",
    };
    // An empty variable counts as unset.
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
    let has_colours = std::io::stderr().is_terminal() && !no_colour;
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::new(level))
        .with_ansi(has_colours)
        .with_writer(move || LogLines { has_colours })
        .init();
}

/// Writes to standard output. Its reader may stop at any time, which ends the command quietly.
pub(crate) fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
    written.map_err(|e| Failure::path(Path::new("standard output"), &e))
}

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> Result<(), Failure> {
    write(format!("{text}\n").as_bytes())
}

/// Writes a value as JSON, or the text that `human` makes of it.
pub(crate) fn value<T: Serialize>(
    global: &Global,
    value: &T,
    human: impl FnOnce(&T) -> String,
) -> Result<(), Failure> {
    match global.format {
        Format::Json => {
            let json = serde_json::to_string(value);
            let json = json.map_err(|e| Failure::internal(e.to_string()))?;
            line(&terminal::escaped_json(&json))
        }
        Format::Text => {
            let text = human(value);
            // Of nothing there is no line: scripts count them.
            match text.trim_end_matches('\n') {
                "" => Ok(()),
                text => line(&terminal::escaped_lines(text)),
            }
        }
    }
}

/// Says something to the human, unless they asked for quiet.
pub(crate) fn note(global: &Global, text: &str) {
    if !global.quiet {
        error(text);
    }
}

/// Prints a message even with `--quiet`.
pub(crate) fn error(text: &str) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "{}", terminal::escaped_lines(text));
}

/// A table with aligned columns, the first row its head. Each row is one line, whatever is in it.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let rows = rows
        .iter()
        .map(|row| row.iter().map(|cell| terminal::escaped(cell)).collect());
    let rows: Vec<Vec<_>> = rows.collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<_> = (0..columns)
        .map(|column| width(column).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// A word of a command that is to be typed.
pub(crate) fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,@%+".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        assert_eq!(quoted("a/b::/w"), "a/b::/w");
        assert_eq!(quoted("my dir::/w"), "'my dir::/w'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted(""), "''");
    }

    #[test]
    fn each_row_of_a_table_is_one_line_and_columns_stand_below_each_other() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: Vec<Vec<String>> = vec![
            row(&["ID", "NAME"]),
            row(&["1", "two\nlines"]),
            row(&["1234", "ü", "more"]),
        ];
        assert_eq!(
            table(&rows),
            "ID    NAME\n1     two\\nlines\n1234  ü           more\n"
        );
        assert_eq!(table(&[]), "");
    }
}
