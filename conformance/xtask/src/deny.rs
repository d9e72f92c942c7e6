//! Licences, duplicates and origins of the libraries, and what is known against them: `.deny.toml` has the rules.

use crate::{command::succeed, requirements};
use anyhow::Result;
use mc_artifacts::root;
use std::process::Command;

/// Looks at all of it. Without a connection to where advisories are kept, those are left out, which is said.
pub(crate) fn check() -> Result<()> {
    let program = requirements::deny()?;
    let deny = |args: &[&str]| {
        let mut deny = Command::new(&program);
        deny.args(args).current_dir(root());
        deny
    };
    let check = ["check", "--hide-inclusion-graph"];
    let here = [&check[..], &["licenses", "bans", "sources"]].concat();
    succeed(&mut deny(&here))?;
    if succeed(&mut deny(&["fetch", "db"])).is_err() {
        eprintln!("the list of advisories cannot be had from here, so nothing is known of any");
        return Ok(());
    }
    succeed(&mut deny(&[&check[..], &["advisories"]].concat()))
}
