//! Standard input that somebody gave and nobody asked for.

use crate::output;
use mc_options::Global;
use std::{fs::Metadata, os::unix::fs::FileTypeExt};

/// Says that it is not read, unless it is a terminal or nothing.
pub(crate) fn tell(global: &Global) {
    let gives = |metadata: Metadata| {
        let kind = metadata.file_type();
        kind.is_fifo() || (kind.is_file() && metadata.len() > 0)
    };
    if std::fs::metadata("/dev/stdin").is_ok_and(gives) {
        output::note(
            global,
            "standard input is not read; with --stdin - it is part of the task",
        );
    }
}
