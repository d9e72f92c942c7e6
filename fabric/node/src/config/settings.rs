//! The table of settings: the one list of valid keys.

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

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its dotted key.
    pub key: &'static str,
    /// The shape of its value.
    pub kind: Kind,
    /// What it is, with its unit and default.
    pub doc: &'static str,
}

/// Every setting.
pub const SETTINGS: &[Setting] = &[
    setting(
        "data_dir",
        Kind::Text,
        "where identity, blocks and ledger are kept",
    ),
    setting(
        "network",
        Kind::Text,
        "the network (namespace) this node belongs to",
    ),
    setting(
        "node",
        Kind::Text,
        "base URL of the node that commands talk to",
    ),
    setting(
        "api.listen",
        Kind::Text,
        "address of the HTTP API; default 127.0.0.1:7780",
    ),
    setting(
        "api.hosts",
        Kind::List,
        "names by which the HTTP API may be asked, besides the machine's own; default none",
    ),
    setting(
        "p2p.listen",
        Kind::List,
        "multiaddrs to listen on; default port 7781, TCP and QUIC",
    ),
    setting(
        "p2p.bootstrap",
        Kind::List,
        "multiaddrs of peers to connect to at start",
    ),
    setting(
        "p2p.mdns",
        Kind::Bool,
        "find peers on the local network; default true",
    ),
    setting(
        "p2p.dht",
        Kind::Text,
        "server to keep records for others, client to only ask, auto for server once others can connect; default auto",
    ),
    setting(
        "p2p.relay",
        Kind::Bool,
        "pass on what peers send to others that they cannot reach; default true",
    ),
    setting(
        "p2p.ipfs",
        Kind::Bool,
        "exchange blocks with IPFS nodes; default true",
    ),
    setting(
        "p2p.ipfs_dht",
        Kind::List,
        "peers of the DHT of IPFS, with which it is joined and told what users pin; default none",
    ),
    setting(
        "content.gateways",
        Kind::List,
        "URLs of HTTP gateways of IPFS that are asked for what no peer has; default none",
    ),
    setting(
        "content.max",
        Kind::Text,
        "how large the block store may grow, such as 100GiB; default four fifths of the disk's room for it",
    ),
    setting(
        "worker.execute",
        Kind::Bool,
        "run tasks on this node; default true",
    ),
    setting(
        "worker.slots",
        Kind::Integer,
        "tasks at a time; default one per core",
    ),
    setting(
        "worker.memory",
        Kind::Text,
        "most memory of all tasks together; default four fifths of the machine's",
    ),
    setting(
        "worker.scratch",
        Kind::Text,
        "most disk for files that tasks write, together; default that of worker.disk",
    ),
    setting(
        "worker.output",
        Kind::Text,
        "most disk for what tasks print, together; default that of worker.disk",
    ),
    setting(
        "worker.disk",
        Kind::Text,
        "most disk that tasks fill, together; default four fifths of what was free at start, and 1GiB at least",
    ),
    setting(
        "worker.attempt_time",
        Kind::Text,
        "longest time of one attempt; default none",
    ),
    setting(
        "worker.compile_memory",
        Kind::Text,
        "most memory of all compilers together, but one may always run; default that of worker.memory",
    ),
    setting(
        "worker.labels",
        Kind::Map,
        "names and values that describe this node",
    ),
    setting(
        "worker.silent_terms",
        Kind::Integer,
        "terms of a lease after which a task ends with a checkpoint whose coordinators are silent; default 240",
    ),
    setting(
        "lease.ttl",
        Kind::Text,
        "silence after which a task moves on; default 15s",
    ),
    setting(
        "ledger.url",
        Kind::Text,
        "postgres://… for a ledger that nodes share; default a file in data_dir",
    ),
    setting(
        "ledger.keep",
        Kind::Text,
        "how long jobs and results are kept after their end; default for ever",
    ),
    setting(
        "ledger.archive",
        Kind::Text,
        "file to which jobs are appended before they are removed",
    ),
    setting(
        "placement.policy",
        Kind::Text,
        "who gets a job: first-answer (default), random, best-fit, local-first, data-locality",
    ),
    setting(
        "placement.children",
        Kind::List,
        "multiaddrs of nodes that local-first prefers to others",
    ),
    setting(
        "placement.peers",
        Kind::List,
        "multiaddrs of nodes that it prefers after children",
    ),
    setting(
        "placement.parent",
        Kind::Text,
        "multiaddr of the node whose child this is",
    ),
    setting(
        "cache.dir",
        Kind::Text,
        "where compiled components are kept",
    ),
    setting(
        "cache.max",
        Kind::Text,
        "how large the cache may grow; default 2GiB",
    ),
    setting(
        "compile.max_component",
        Kind::Text,
        "largest component that is compiled for others; default 128MiB",
    ),
    setting(
        "compile.time",
        Kind::Text,
        "longest time that this may take; default 180s",
    ),
    setting(
        "compile.memory",
        Kind::Text,
        "most memory that this may take; default 8GiB",
    ),
    setting(
        "compile.max_code",
        Kind::Text,
        "most compiled code of one component; default 1GiB",
    ),
];

const fn setting(key: &'static str, kind: Kind, doc: &'static str) -> Setting {
    Setting { key, kind, doc }
}

/// The valid name that looks most like `name`, among `valid`.
pub(super) fn nearest<'a>(name: &str, valid: impl Iterator<Item = String> + 'a) -> String {
    valid
        .min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate))
        .unwrap_or_default()
}
