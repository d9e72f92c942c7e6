//! `add`

use clap::{Args, ValueEnum};
use mc_config::ByteSize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Add {
    /// A file or directory, or - for standard input
    pub path: PathBuf,
    /// Only print the CID, store nothing
    #[arg(long)]
    pub only_hash: bool,
    /// The name of the pin that keeps it; default: the CID
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Cut files into pieces of this size, at most 1MiB. Another size gives other CIDs
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = chunk_size)]
    pub chunk_size: ByteSize,
    /// The version of CIDs, as in `ipfs add`
    #[arg(long, value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub cid_version: u8,
    /// Whether pieces of files are raw blocks of bytes; default: yes with CIDs of version 1
    #[arg(long, value_name = "BOOL")]
    pub raw_leaves: Option<bool>,
    /// Keep permissions, for example to execute a program
    #[arg(long)]
    pub preserve_mode: bool,
    /// Leave out entries that cannot be read or whose names are not UTF-8, and list them
    #[arg(long)]
    pub skip_unreadable: bool,
    /// What to do with symbolic links in a directory
    #[arg(long, value_enum, default_value_t = SymlinksName::Keep)]
    pub symlinks: SymlinksName,
    /// Encrypt files and their names with the key in --key-file
    #[arg(long, requires = "key_file", conflicts_with_all = ["chunk_size", "only_hash"])]
    pub encrypt: bool,
    /// The file with the key; made with a new key if it does not exist
    #[arg(long, value_name = "FILE", requires = "encrypt")]
    pub key_file: Option<PathBuf>,
}

fn chunk_size(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|e| format!("{e}"))?;
    if (1 << 10..=1 << 20).contains(&size.0) {
        Ok(size)
    } else {
        Err("from 1KiB to 1MiB are accepted".to_owned())
    }
}

/// `add --symlinks`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SymlinksName {
    /// They are kept as links.
    Keep,
    /// Their targets are added.
    Follow,
    /// The directory is not added.
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cut_into_pieces_that_a_block_can_have() {
        for (text, bytes) in [("1KiB", 1 << 10), ("1MiB", 1 << 20), ("5000", 5000)] {
            assert_eq!(chunk_size(text), Ok(ByteSize(bytes)));
        }
        for wrong in ["0", "1023", "2MiB", "x"] {
            assert!(chunk_size(wrong).is_err(), "{wrong}");
        }
    }
}
