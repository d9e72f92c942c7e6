//! The table of settings: the one list of valid keys. The names of variables, how to parse them, defaults and what is
//! printed follow from it.

/// The shape of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A string.
    Text,
    /// A list of strings; in a variable, separated by commas.
    List,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// Names and values; in a variable, `name=value` separated by commas.
    Map,
}

/// What holds where a setting is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usual {
    /// This value, written as in a variable.
    Value(&'static str),
    /// Nothing is set, or a list is empty: then something else decides; this text says what.
    Open(&'static str),
    /// `mc-wasm` in the user's directory of this kind (`$XDG_<kind>_HOME`), which without a variable is this one below
    /// the home directory.
    Directory(&'static str, &'static str),
}

/// One setting. The fields of [`Config`](crate::Config) document its purpose.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its dotted key.
    pub key: &'static str,
    /// The shape of its value.
    pub kind: ValueKind,
    /// What holds where it is not set.
    pub usual: Usual,
}

/// Every setting, in the order in which they are printed.
pub const SETTINGS: &[Setting] = &[
    directory("data_dir", "DATA", ".local/share"),
    value("network", ValueKind::Text, "main"),
    open(
        "node",
        ValueKind::Text,
        "the node of data_dir, or one of the command's own",
    ),
    open(
        "api.listen",
        ValueKind::Text,
        "127.0.0.1:7780, or a free port if that is taken",
    ),
    value("api.hosts", ValueKind::List, ""),
    open(
        "p2p.listen",
        ValueKind::List,
        "TCP and QUIC port 7781 of all interfaces, or free ports if those are taken",
    ),
    value("p2p.bootstrap", ValueKind::List, ""),
    value("p2p.mdns", ValueKind::Bool, "true"),
    value("p2p.dht", ValueKind::Text, "auto"),
    value("p2p.relay", ValueKind::Bool, "true"),
    value("p2p.ipfs", ValueKind::Bool, "true"),
    value("p2p.ipfs_dht", ValueKind::List, ""),
    value("content.gateways", ValueKind::List, ""),
    open(
        "content.max",
        ValueKind::Text,
        "four fifths of the room that the disk has for blocks",
    ),
    value("worker.execute", ValueKind::Bool, "true"),
    open("worker.slots", ValueKind::Integer, "one per core"),
    open(
        "worker.memory",
        ValueKind::Text,
        "four fifths of the machine's",
    ),
    open("worker.scratch", ValueKind::Text, "as much as worker.disk"),
    open("worker.output", ValueKind::Text, "as much as worker.disk"),
    open(
        "worker.disk",
        ValueKind::Text,
        "four fifths of what the disk has free at start, and 1GiB at least",
    ),
    open(
        "worker.attempt_time",
        ValueKind::Text,
        "as long as the job allows",
    ),
    open(
        "worker.compile_memory",
        ValueKind::Text,
        "as much as worker.memory",
    ),
    value("worker.labels", ValueKind::Map, ""),
    value("worker.silent_terms", ValueKind::Integer, "240"),
    value("lease.ttl", ValueKind::Text, "15s"),
    open("ledger.url", ValueKind::Text, "an SQLite file in data_dir"),
    open("ledger.keep", ValueKind::Text, "for ever"),
    open("ledger.archive", ValueKind::Text, "none"),
    value("placement.policy", ValueKind::Text, "first-answer"),
    value("placement.children", ValueKind::List, ""),
    value("placement.peers", ValueKind::List, ""),
    open("placement.parent", ValueKind::Text, "none"),
    directory("cache.dir", "CACHE", ".cache"),
    value("cache.max", ValueKind::Text, "2GiB"),
    value("compile.max_component", ValueKind::Text, "128MiB"),
    value("compile.time", ValueKind::Text, "180s"),
    value("compile.memory", ValueKind::Text, "8GiB"),
    value("compile.max_code", ValueKind::Text, "1GiB"),
];

const fn value(key: &'static str, kind: ValueKind, text: &'static str) -> Setting {
    let usual = Usual::Value(text);
    Setting { key, kind, usual }
}

const fn open(key: &'static str, kind: ValueKind, words: &'static str) -> Setting {
    let usual = Usual::Open(words);
    Setting { key, kind, usual }
}

const fn directory(key: &'static str, variable: &'static str, below_home: &'static str) -> Setting {
    let usual = Usual::Directory(variable, below_home);
    Setting {
        key,
        kind: ValueKind::Text,
        usual,
    }
}

/// The valid name that looks most like `name`, among `valid`.
pub(crate) fn nearest<'a>(name: &str, valid: impl Iterator<Item = String> + 'a) -> String {
    valid
        .min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate))
        .unwrap_or_default()
}
