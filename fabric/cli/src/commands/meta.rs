//! `config`, `explain`, `completions`, `version`

use crate::{connect, exit, failure::Failure, output, terminal};
use mc_config::{ByteSize, Config, SETTINGS};
use mc_options::{Format, Global, Shell};
use mc_types::ErrorCode;
use serde::Serialize;
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
    "MC0021" "MC0022" "MC0023" "MC0024" "MC0025" "MC0026" "MC0027"
}

/// What there is to say of a code that has no page here.
const UNKNOWN: &str = "MC0000 stands for a code of another node that only a later version of mc-wasm knows. \
    The message tells what happened; update mc-wasm to have the code explained.";

/// What explains the exit codes.
const EXIT_CODES: &str = "exit-codes";

/// A code as it is listed.
#[derive(Debug, Serialize)]
struct Explained {
    code: &'static str,
    title: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<&'static str>,
}

/// The title of a page: its first line is `# MC0001: title`.
fn title(page: &'static str) -> &'static str {
    let line = page.lines().next().unwrap_or_default();
    line.split_once(": ").map_or(line, |(_, title)| title)
}

pub(super) fn explain(global: &Global, code: Option<&str>) -> Result<ExitCode, Failure> {
    let Some(code) = code else {
        return list(global);
    };
    if code.eq_ignore_ascii_case(EXIT_CODES) {
        output::line(exit::HELP)?;
        return DONE;
    }
    let wanted = code.to_uppercase();
    if wanted == ErrorCode::Unknown.as_str() {
        output::line(UNKNOWN)?;
        return DONE;
    }
    let page = PAGES.iter().copied().find(|(code, _)| *code == wanted);
    let Some((code, page)) = page else {
        let last = ErrorCode::ALL.last().map_or("", |code| code.as_str());
        let message = format!("{code:?} is no error code; they go from MC0001 to {last}");
        return Err(Failure::usage(message).with_hint("mc-wasm explain lists them"));
    };
    if global.format == Format::Text {
        output::write(page.as_bytes())?;
        return DONE;
    }
    let explained = Explained {
        code,
        title: title(page),
        page: Some(page),
    };
    output::value(global, &explained, |_| String::new())?;
    DONE
}

fn list(global: &Global) -> Result<ExitCode, Failure> {
    let code = |&(code, page): &(&'static str, &'static str)| Explained {
        code,
        title: title(page),
        page: None,
    };
    let codes: Vec<_> = PAGES.iter().map(code).collect();
    output::value(global, &codes, |codes| {
        let line = |one: &Explained| format!("{} {}\n", one.code, one.title);
        let lines: String = codes.iter().map(line).collect();
        format!("{lines}{EXIT_CODES}: what exit codes mean\n")
    })?;
    DONE
}

/// Prints the configuration as TOML that reads back the same, except for passwords, which are hidden.
pub(super) fn config(global: &Global) -> Result<ExitCode, Failure> {
    let mut merged = connect::configuration(global)?;
    merged.config.hide_passwords();
    for hint in &merged.hints {
        output::note(global, &format!("hint: {hint}"));
    }
    if global.format == Format::Json {
        output::value(global, &in_force(merged.config), |_| String::new())?;
        return DONE;
    }
    let toml = toml::to_string_pretty(&merged.config);
    let mut text = toml.map_err(|e| Failure::internal(e.to_string()))?;
    text.push_str("\n# Defaults of settings that are not set:\n");
    let comment = |key: &str, what: &str| format!("# {key:<21} {}\n", terminal::escaped(what));
    for (key, holds) in merged.config.unset() {
        text.push_str(&comment(key, &holds));
    }
    text.push_str("\n# Where the values come from:\n");
    for setting in SETTINGS {
        if let Some(origin) = merged.origins.get(setting.key) {
            text.push_str(&comment(setting.key, &origin.to_string()));
        }
    }
    output::write(text.as_bytes())?;
    DONE
}

/// The configuration with default numbers filled in; `null` means no limit.
fn in_force(mut config: Config) -> serde_json::Value {
    config.worker.slots = Some(config.slots());
    config.worker.memory = Some(ByteSize(config.memory_bytes()));
    let max = config.content.max.take();
    let mut value = serde_json::to_value(&config).unwrap_or_default();
    if let Some(content) = value.get_mut("content").and_then(|c| c.as_object_mut()) {
        let max = max.map(|max| max.to_string());
        content.insert("max".to_owned(), max.into());
    }
    value
}

pub(super) fn completions(shell: Shell) -> Result<ExitCode, Failure> {
    output::write(&mc_options::completions(shell))?;
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
