//! Settings from environment variables.
//!
//! Other programs have variables that begin with `MC_` (Midnight Commander, the client of MinIO), so ours begin with
//! `MC_WASM_`. A variable is never refused for its name: it may be another program's.

use crate::{
    error::ConfigError,
    origin::Origin,
    settings::{SETTINGS, Setting, ValueKind, nearest},
};
use std::{collections::BTreeMap, ffi::OsString};
use toml::{Table, Value};

/// What our variables begin with.
const PREFIX: &str = "MC_WASM_";
/// The old prefix. Variables with it are still read, with a warning.
const OLD_PREFIX: &str = "MC_";
/// The variable that names the configuration file, after the prefix.
const FILE: &str = "CONFIG";

/// What the environment says.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    /// Key, value, and the variable that it is from.
    pub(crate) values: Vec<(&'static str, Value, String)>,
    /// Names that later versions will no longer read.
    pub(crate) warnings: Vec<String>,
    /// Variables that look like ours and are no settings.
    pub(crate) hints: Vec<String>,
}

/// A variable as text, if it is text. In a variable that may be ours, invalid UTF-8 is marked, so that its reader
/// refuses it: a command that ignored such a data directory would use another one.
pub(crate) fn readable(name: OsString, value: OsString) -> Option<(String, String)> {
    let name = name.into_string().ok()?;
    let value = if name.starts_with(OLD_PREFIX) {
        value.to_string_lossy().into_owned()
    } else {
        value.into_string().ok()?
    };
    Some((name, value))
}

/// Refuses what was not UTF-8 before it was made text.
pub(crate) fn check_utf8(text: &str) -> Result<(), String> {
    match text.contains(char::REPLACEMENT_CHARACTER) {
        true => Err("it is not UTF-8".to_owned()),
        false => Ok(()),
    }
}

/// The value of a variable. An empty one counts as not set, as in shells and for the XDG directories.
fn held<'e>(environment: &'e BTreeMap<String, String>, name: &str) -> Option<&'e String> {
    environment.get(name).filter(|text| !text.is_empty())
}

/// The configuration file that is named.
pub(crate) fn file(environment: &BTreeMap<String, String>) -> Option<&String> {
    let named = |prefix| held(environment, &format!("{prefix}{FILE}"));
    named(PREFIX).or_else(|| named(OLD_PREFIX))
}

impl Variables {
    /// Finds the variables of all settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Value`] when its setting does not accept the value.
    pub(crate) fn read(environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let mut variables = Self::default();
        for setting in SETTINGS {
            if let Some((name, text)) = variables.find(environment, &part(setting.key)) {
                let value = check_utf8(text).and_then(|()| parse(setting, text));
                let value = value.map_err(|message| ConfigError::Value {
                    key: setting.key.to_owned(),
                    origin: Origin::Variable(name.clone()).to_string(),
                    message,
                })?;
                variables.values.push((setting.key, value, name));
            }
        }
        // Only for display: the file has been read by now.
        let _ = variables.find(environment, FILE);
        variables.hints = unknown(environment);
        Ok(variables)
    }

    /// The variable with our prefix, or else, with a warning, the one with the old prefix.
    fn find<'e>(
        &mut self,
        environment: &'e BTreeMap<String, String>,
        part: &str,
    ) -> Option<(String, &'e String)> {
        let (now, before) = (format!("{PREFIX}{part}"), format!("{OLD_PREFIX}{part}"));
        let old = held(environment, &before);
        if let Some(text) = held(environment, &now) {
            if old.is_some() {
                let warning = format!("{before} is not read, since there is {now}");
                self.warnings.push(warning);
            }
            return Some((now, text));
        }
        let text = old?;
        let warning = format!("{before} is called {now} now; the old name is read for a while");
        self.warnings.push(warning);
        Some((before, text))
    }
}

/// The part of a variable's name that says which setting it is.
fn part(key: &str) -> String {
    key.to_uppercase().replace('.', "_")
}

fn unknown(environment: &BTreeMap<String, String>) -> Vec<String> {
    let names = || {
        SETTINGS
            .iter()
            .map(|s| part(s.key))
            .chain([FILE.to_owned()])
    };
    let ours = environment.keys().filter(|name| name.starts_with(PREFIX));
    let unknown = ours.filter(|name| !names().any(|part| format!("{PREFIX}{part}") == **name));
    let hint = |name: &String| {
        let nearest = nearest(name, names().map(|part| format!("{PREFIX}{part}")));
        format!("{name} is no setting; did you mean {nearest}?")
    };
    unknown.map(hint).collect()
}

/// Reads a text, that of a variable or of the table of settings, as the value that the setting takes.
pub(crate) fn parse(setting: &Setting, text: &str) -> Result<Value, String> {
    let parts = || {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    match setting.kind {
        ValueKind::Text => Ok(text.into()),
        ValueKind::List => Ok(Value::Array(parts().map(Value::from).collect())),
        ValueKind::Bool => match text {
            "true" | "1" | "yes" | "on" => Ok(true.into()),
            "false" | "0" | "no" | "off" => Ok(false.into()),
            _ => Err(format!("{text:?} is neither true nor false")),
        },
        ValueKind::Integer => text
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| format!("{text:?} is not a number")),
        ValueKind::Map => {
            let pair = |part: &str| {
                let (name, value) = part
                    .split_once('=')
                    .ok_or_else(|| format!("{part:?} is not name=value"))?;
                Ok((name.to_owned(), Value::from(value)))
            };
            Ok(Value::Table(
                parts().map(pair).collect::<Result<Table, String>>()?,
            ))
        }
    }
}
