//! `config`, `explain`, `completions`, `version`

use crate::{
    args::{Cli, Format, Global},
    connect,
    failure::Failure,
    output,
};
use clap::CommandFactory;
use mc_node::config::SETTINGS;
use mc_types::ErrorCode;
use std::process::ExitCode;

const DONE: Result<ExitCode, Failure> = Ok(ExitCode::SUCCESS);

macro_rules! pages {
    ($($code:literal)+) => {
        /// The help page of each error code.
        const PAGES: &[(&str, &str)] =
            &[$(($code, include_str!(concat!("../../errors/", $code, ".md")))),+];
    };
}

pages! {
    "MC0001" "MC0002" "MC0003" "MC0004" "MC0005" "MC0006" "MC0007" "MC0008" "MC0009" "MC0010"
    "MC0011" "MC0012" "MC0013" "MC0014" "MC0015" "MC0016" "MC0017" "MC0018" "MC0019" "MC0020"
    "MC0021" "MC0022" "MC0023" "MC0024" "MC0025"
}

pub(super) fn explain(code: &str) -> Result<ExitCode, Failure> {
    let wanted = code.to_uppercase();
    let page = PAGES.iter().find(|(code, _)| *code == wanted);
    let Some((_, page)) = page else {
        let last = ErrorCode::ALL.last().map_or("", |code| code.as_str());
        let message = format!("{code:?} is no error code; they go from MC0001 to {last}");
        return Err(Failure::usage(message));
    };
    output::write(page.as_bytes())?;
    DONE
}

/// Prints the configuration as TOML that reads back the same.
pub(super) fn config(global: &Global) -> Result<ExitCode, Failure> {
    let merged = connect::configuration(global)?;
    if global.format == Format::Json {
        output::value(global, &merged.config, |_| String::new())?;
        return DONE;
    }
    let toml = toml::to_string_pretty(&merged.config);
    let mut text = toml.map_err(|e| Failure::internal(e.to_string()))?;
    text.push_str("\n# Where the values come from:\n");
    for setting in SETTINGS {
        if let Some(origin) = merged.origins.get(setting.key) {
            text.push_str(&format!("# {:<15} {origin}\n", setting.key));
        }
    }
    output::write(text.as_bytes())?;
    DONE
}

pub(super) fn completions(shell: clap_complete::Shell) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mc-wasm", &mut script);
    output::write(&script)?;
    DONE
}

/// What is compiled into every binary; there are no smaller ones.
const FEATURES: &[&str] = &[
    "checkpoints",
    "cranelift",
    "encryption",
    "ipfs",
    "postgres",
    "pulley",
    "quic",
    "sqlite",
    "tcp",
];

pub(super) fn version(global: &Global) -> Result<ExitCode, Failure> {
    let value = serde_json::json!({
        "version": env!("CARGO_PKG_VERSION"),
        "commit": env!("COMMIT"),
        "target": env!("TARGET"),
        "guests": ["wasm32-wasip1", "wasm32-wasip2"],
        "features": FEATURES,
    });
    let text = |_: &serde_json::Value| {
        format!(
            "mc-wasm {} (commit {})\nfor {}, guests wasm32-wasip1 and wasm32-wasip2\nwith {}",
            env!("CARGO_PKG_VERSION"),
            env!("COMMIT"),
            env!("TARGET"),
            FEATURES.join(", "),
        )
    };
    output::value(global, &value, text)?;
    DONE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_its_page() {
        let codes: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        let pages: Vec<_> = PAGES.iter().map(|(code, _)| *code).collect();
        assert_eq!(pages, codes);
        for (code, page) in PAGES {
            assert!(page.starts_with(&format!("# {code}: ")), "{code}");
            assert!(page.contains("## What to do"), "{code}");
        }
        let errors = concat!(env!("CARGO_MANIFEST_DIR"), "/errors");
        assert_eq!(std::fs::read_dir(errors).unwrap().count(), codes.len());
    }
}
