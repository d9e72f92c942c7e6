//! Putting the sources of configuration together.

use crate::{
    config::Config,
    environment::{self, Variables},
    error::ConfigError,
    origin::Origin,
    settings::{SETTINGS, Setting, Usual, ValueKind, nearest},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    io::ErrorKind,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};
use toml::{Table, Value};

/// What a configuration is made from, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A file that must exist. Without it, `mc-wasm/config.toml` in the user's configuration
    /// directory is read if it is there.
    pub file: Option<PathBuf>,
    /// The environment: `HOME`, `XDG_*` and `MC_WASM_*` are read.
    pub environment: BTreeMap<String, String>,
    /// Settings from the command line, by key.
    pub flags: Vec<(&'static str, Value)>,
}

/// A configuration and where each of its values came from.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The configuration.
    pub config: Config,
    /// By key.
    pub origins: BTreeMap<&'static str, Origin>,
    /// What users should change before a later version refuses it, in a sentence each.
    pub warnings: Vec<String>,
    /// What may be a mistake, in a sentence each.
    pub hints: Vec<String>,
}

/// Values by key, each with its origin.
#[derive(Default)]
struct Layers {
    values: BTreeMap<&'static str, (Value, Origin)>,
}

impl Config {
    /// Puts the sources together and checks every value.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the key, where it was set, and which values are accepted.
    pub fn load(sources: Sources) -> Result<Self, ConfigError> {
        sources.merge().map(|merged| merged.config)
    }
}

impl Sources {
    /// The sources of a command: the process's environment and the given flags.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<(&'static str, Value)>) -> Self {
        let readable = |(name, value)| environment::readable(name, value);
        let environment: BTreeMap<_, _> = std::env::vars_os().filter_map(readable).collect();
        let file = file.or_else(|| environment::file(&environment).map(PathBuf::from));
        Self {
            file,
            environment,
            flags,
        }
    }

    /// Puts the sources together.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the first setting that is wrong.
    pub fn merge(self) -> Result<Merged, ConfigError> {
        let mut layers = Layers::default();
        layers.defaults(&self.environment);
        if let Some((path, table)) = self.read_file()? {
            layers.file(&path, table)?;
        }
        let Variables {
            values,
            warnings,
            hints,
        } = Variables::read(&self.environment)?;
        for (key, value, name) in values {
            layers.set(key, value, Origin::Variable(name))?;
        }
        for (key, value) in self.flags {
            let text = value.as_str().unwrap_or_default();
            environment::check_utf8(text).map_err(|message| ConfigError::Value {
                key: key.to_owned(),
                origin: Origin::Flag.to_string(),
                message,
            })?;
            layers.set(key, value, Origin::Flag)?;
        }
        layers.finish(warnings, hints)
    }

    fn read_file(&self) -> Result<Option<(PathBuf, Table)>, ConfigError> {
        let (path, required) = match (&self.file, xdg(&self.environment, "CONFIG", ".config")) {
            (Some(path), _) => (path.clone(), true),
            (None, Some(dir)) => (dir.join("config.toml"), false),
            (None, None) => return Ok(None),
        };
        let read = match is_pipe(&path) && !required {
            // Nobody may ever write to it.
            true => Err(std::io::Error::other("it is a pipe")),
            false => std::fs::read_to_string(&path),
        };
        let text = match read {
            Ok(text) => text,
            Err(source) if required => return Err(ConfigError::Read { path, source }),
            Err(source) => match source.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => return Ok(None),
                // It can be read, and is none.
                ErrorKind::InvalidData => return Err(ConfigError::Read { path, source }),
                _ => return Err(ConfigError::ReadUsual { path, source }),
            },
        };
        match text.parse::<Table>() {
            Ok(table) => Ok(Some((path, table))),
            Err(e) => Err(ConfigError::Syntax {
                path,
                message: e.to_string(),
            }),
        }
    }
}

fn is_pipe(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// `$XDG_<kind>_HOME/mc-wasm`, or that place's default below the home directory.
fn xdg(environment: &BTreeMap<String, String>, kind: &str, default: &str) -> Option<PathBuf> {
    // A relative path is invalid there and must be ignored, says the XDG specification.
    let absolute = |text: &String| Path::new(text).is_absolute().then(|| PathBuf::from(text));
    environment
        .get(&format!("XDG_{kind}_HOME"))
        .and_then(absolute)
        .or_else(|| Some(environment.get("HOME").and_then(absolute)?.join(default)))
        .map(|dir| dir.join("mc-wasm"))
}

/// The value that holds where a setting is not set, if it is one.
fn usual(setting: &Setting, environment: &BTreeMap<String, String>) -> Option<Value> {
    match setting.usual {
        Usual::Value(text) => environment::parse(setting, text).ok(),
        Usual::Open(_) => (setting.kind == ValueKind::List).then(|| Value::Array(Vec::new())),
        Usual::Directory(kind, below_home) => {
            let dir = xdg(environment, kind, below_home)?;
            Some(dir.to_string_lossy().into_owned().into())
        }
    }
}

impl Layers {
    fn defaults(&mut self, environment: &BTreeMap<String, String>) {
        for setting in SETTINGS {
            if let Some(value) = usual(setting, environment) {
                self.values.insert(setting.key, (value, Origin::Default));
            }
        }
    }

    fn file(&mut self, path: &Path, table: Table) -> Result<(), ConfigError> {
        let origin = Origin::File(path.to_owned());
        for (key, value) in flatten(table) {
            self.set(&key, value, origin.clone())?;
        }
        Ok(())
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        let Some(setting) = SETTINGS.iter().find(|s| s.key == key) else {
            let nearest = nearest(key, SETTINGS.iter().map(|s| s.key.to_owned()));
            let origin = origin.to_string();
            return Err(ConfigError::UnknownKey {
                key: key.to_owned(),
                origin,
                nearest,
            });
        };
        self.values.insert(setting.key, (value, origin));
        Ok(())
    }

    fn finish(self, warnings: Vec<String>, hints: Vec<String>) -> Result<Merged, ConfigError> {
        if !self.values.contains_key("data_dir") || !self.values.contains_key("cache.dir") {
            return Err(ConfigError::NoHome);
        }
        let mut table = Table::new();
        for (key, (value, _)) in &self.values {
            insert(&mut table, key, value.clone());
        }
        match Config::deserialize(Value::Table(table)) {
            Ok(config) => {
                config
                    .validate()
                    .map_err(|(key, message)| self.refuse(key, message))?;
                let origins = self
                    .values
                    .into_iter()
                    .map(|(key, (_, o))| (key, o))
                    .collect();
                Ok(Merged {
                    config,
                    origins,
                    warnings,
                    hints,
                })
            }
            Err(e) => Err(self.blame(&e.to_string())),
        }
    }

    /// Finds the value that made the whole unreadable: without it, parsing succeeds.
    fn blame(&self, message: &str) -> ConfigError {
        let culprit = self.values.iter().find(|(key, (value, _))| {
            let mut only = self.with_defaults_except(key);
            insert(&mut only, key, value.clone());
            Config::deserialize(Value::Table(only)).is_err()
        });
        let key = culprit.map_or("", |(key, _)| key);
        self.refuse(key, message.trim().to_owned())
    }

    fn with_defaults_except(&self, except: &str) -> Table {
        let mut layers = Self::default();
        layers.defaults(&BTreeMap::from([("HOME".to_owned(), "/".to_owned())]));
        let mut table = Table::new();
        for (key, (value, _)) in layers.values.into_iter().filter(|(key, _)| *key != except) {
            insert(&mut table, key, value);
        }
        table
    }

    fn refuse(&self, key: &str, message: String) -> ConfigError {
        let origin = self
            .values
            .get(key)
            .map_or(&Origin::Default, |(_, origin)| origin);
        ConfigError::Value {
            key: key.to_owned(),
            origin: origin.to_string(),
            message,
        }
    }
}

/// Leaves by dotted key. A table that is itself a setting's value (`worker.labels`) is a leaf.
fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(inner) if !is_map(&key) => {
                for (inner_key, value) in inner {
                    leaves.push((format!("{key}.{inner_key}"), value));
                }
            }
            value => leaves.push((key, value)),
        }
    }
    leaves
}

fn is_map(key: &str) -> bool {
    SETTINGS
        .iter()
        .any(|s| s.key == key && s.kind == ValueKind::Map)
}

fn insert(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, key)) => {
            let section = table
                .entry(section)
                .or_insert_with(|| Value::Table(Table::new()))
                .as_table_mut();
            if let Some(section) = section {
                section.insert(key.to_owned(), value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
