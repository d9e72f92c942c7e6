//! Every error code has its help page, and every page its code.

use crate::ci::root;
use anyhow::{Context, Result, bail};
use mc_types::ErrorCode;
use std::{collections::BTreeSet, fs};

pub(crate) fn check() -> Result<()> {
    let dir = root().join("fabric/cli/errors");
    let mut pages = BTreeSet::new();
    for entry in fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
        pages.insert(entry?.file_name().to_string_lossy().into_owned());
    }
    let codes: BTreeSet<_> = ErrorCode::ALL
        .iter()
        .map(|code| format!("{code}.md"))
        .collect();
    let missing: Vec<_> = codes.difference(&pages).collect();
    let left_over: Vec<_> = pages.difference(&codes).collect();
    if missing.is_empty() && left_over.is_empty() {
        return Ok(());
    }
    bail!(
        "{}: missing {missing:?}, left over {left_over:?}",
        dir.display()
    );
}
