//! The table of settings: the one list of valid keys. Names of variables, how they are read, what holds where nothing is
//! set and what is printed follow from it.

/// The shape of a setting's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
    /// Nothing is set, or a list is empty: then something else decides, which this says in words.
    Open(&'static str),
    /// `mc-wasm` in the user's directory of this kind (`$XDG_<kind>_HOME`), which without a variable is this one below
    /// the home directory.
    Directory(&'static str, &'static str),
}

/// One setting. What it is for is said where it is read: at the fields of [`Config`](super::Config).
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its dotted key.
    pub key: &'static str,
    /// The shape of its value.
    pub kind: Kind,
    /// What holds where it is not set.
    pub usual: Usual,
}

/// Every setting, in the order in which they are printed.
pub const SETTINGS: &[Setting] = &[
    directory("data_dir", "DATA", ".local/share"),
    value("network", Kind::Text, "main"),
    open(
        "node",
        Kind::Text,
        "the node of data_dir, or one of the command's own",
    ),
    open(
        "api.listen",
        Kind::Text,
        "127.0.0.1:7780, or a free port if that is taken",
    ),
    value("api.hosts", Kind::List, ""),
    open(
        "p2p.listen",
        Kind::List,
        "TCP and QUIC port 7781 of all interfaces, or free ports if those are taken",
    ),
    value("p2p.bootstrap", Kind::List, ""),
    value("p2p.mdns", Kind::Bool, "true"),
    value("p2p.dht", Kind::Text, "auto"),
    value("p2p.relay", Kind::Bool, "true"),
    value("p2p.ipfs", Kind::Bool, "true"),
    value("p2p.ipfs_dht", Kind::List, ""),
    value("content.gateways", Kind::List, ""),
    open(
        "content.max",
        Kind::Text,
        "four fifths of the room that the disk has for blocks",
    ),
    value("worker.execute", Kind::Bool, "true"),
    open("worker.slots", Kind::Integer, "one per core"),
    open("worker.memory", Kind::Text, "four fifths of the machine's"),
    open("worker.scratch", Kind::Text, "as much as worker.disk"),
    open("worker.output", Kind::Text, "as much as worker.disk"),
    open(
        "worker.disk",
        Kind::Text,
        "four fifths of what the disk has free at start, and 1GiB at least",
    ),
    open(
        "worker.attempt_time",
        Kind::Text,
        "as long as the job allows",
    ),
    open(
        "worker.compile_memory",
        Kind::Text,
        "as much as worker.memory",
    ),
    value("worker.labels", Kind::Map, ""),
    value("worker.silent_terms", Kind::Integer, "240"),
    value("lease.ttl", Kind::Text, "15s"),
    open("ledger.url", Kind::Text, "an SQLite file in data_dir"),
    open("ledger.keep", Kind::Text, "for ever"),
    open("ledger.archive", Kind::Text, "none"),
    value("placement.policy", Kind::Text, "first-answer"),
    value("placement.children", Kind::List, ""),
    value("placement.peers", Kind::List, ""),
    open("placement.parent", Kind::Text, "none"),
    directory("cache.dir", "CACHE", ".cache"),
    value("cache.max", Kind::Text, "2GiB"),
    value("compile.max_component", Kind::Text, "128MiB"),
    value("compile.time", Kind::Text, "180s"),
    value("compile.memory", Kind::Text, "8GiB"),
    value("compile.max_code", Kind::Text, "1GiB"),
];

const fn value(key: &'static str, kind: Kind, text: &'static str) -> Setting {
    let usual = Usual::Value(text);
    Setting { key, kind, usual }
}

const fn open(key: &'static str, kind: Kind, words: &'static str) -> Setting {
    let usual = Usual::Open(words);
    Setting { key, kind, usual }
}

const fn directory(key: &'static str, variable: &'static str, below_home: &'static str) -> Setting {
    let usual = Usual::Directory(variable, below_home);
    Setting {
        key,
        kind: Kind::Text,
        usual,
    }
}

/// The valid name that looks most like `name`, among `valid`.
pub(super) fn nearest<'a>(name: &str, valid: impl Iterator<Item = String> + 'a) -> String {
    valid
        .min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate))
        .unwrap_or_default()
}
