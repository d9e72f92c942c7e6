//! Configuration: defaults, then the TOML file, then `MC_WASM_*` variables, then flags.
//!
//! Every setting has one dotted key ([`SETTINGS`]), which is its place in the file; its variable is
//! the key in capitals with `MC_WASM_` before it and `_` for the dots (`p2p.listen`, `MC_WASM_P2P_LISTEN`).
//!
//! Nothing here opens a data directory or uses the network: a crate that needs the settings alone, as options do, is
//! compiled without a node.

mod checks;
mod config;
mod environment;
mod error;
mod lent;
mod locator;
mod merge;
mod origin;
mod settings;
mod shown;
mod value;

pub use config::{Api, Cache, Compile, Config, Content, Lease, Ledger, P2p, Placement, Worker};
pub use error::ConfigError;
pub use locator::{is_database_url, is_http_url};
pub use merge::{Merged, Sources};
pub use origin::Origin;
pub use settings::{SETTINGS, Setting, Usual, ValueKind};
pub use shown::{urls, without_password};
pub use value::{ByteSize, Period, ValueError};
