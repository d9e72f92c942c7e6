//! From paths to nodes.

use super::{
    node::{NodeId, NodeKind},
    tree::FileSystem,
};
use crate::{Errno, Inputs, Result};

/// Longest name of a file, in bytes.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest path, in bytes.
const MAX_PATH_BYTES: usize = 4096;
/// Most links that one path may lead through.
const MAX_LINKS: usize = 40;

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ResolvedPath {
    /// The directory that has, or would have, the entry.
    pub(super) parent: NodeId,
    /// The entry's name; empty when the path leads to a directory by no name, as `.` and `a/..` do.
    pub(super) name: String,
    /// What is there.
    pub(super) node: Option<NodeId>,
    /// Whether the path ends as only a directory's may, in a slash or `.`.
    pub(super) directory: bool,
}

impl ResolvedPath {
    /// What is there.
    pub(super) fn existing(&self) -> Result<NodeId, Errno> {
        self.node.ok_or(Errno::NoEntry)
    }
}

impl FileSystem {
    /// Follows `path` from the directory `base`, which it cannot leave. `follow` decides whether a
    /// link at its very end is followed too.
    pub(super) fn resolve(
        &mut self,
        base: NodeId,
        path: &str,
        follow: bool,
        inputs: &mut dyn Inputs,
    ) -> Result<ResolvedPath> {
        check(path)?;
        let mut links = 0;
        // The directories from the base to where the path has come, without the base.
        let mut below: Vec<(String, NodeId)> = Vec::new();
        // The parts that are left, the next one last.
        let mut parts: Vec<String> = split(path);
        let mut directory = ends_as_directory(path);
        self.directory(base)?;
        while let Some(part) = parts.pop() {
            let here = below.last().map_or(base, |(_, node)| *node);
            // Whatever a path goes on from must be a directory, even before `..`.
            self.directory(here)?;
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    below.pop().ok_or(Errno::NotPermitted)?;
                    continue;
                }
                _ => {}
            }
            let last = parts.iter().all(|part| part.is_empty() || part == ".");
            let Some(node) = self.child(here, &part, inputs)? else {
                if !last {
                    return Err(Errno::NoEntry.into());
                }
                return Ok(ResolvedPath {
                    parent: here,
                    name: part,
                    node: None,
                    directory,
                });
            };
            if let NodeKind::Symlink(target) = &self.node(node)?.kind
                && (follow || directory || !last)
            {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::Loop.into());
                }
                check(target)?;
                directory |= last && ends_as_directory(target);
                parts.extend(split(target));
                continue;
            }
            below.push((part, node));
        }
        let place = arrived(base, below, path, directory);
        if place.directory {
            self.directory(place.existing()?)?;
        }
        Ok(place)
    }
}

/// The end of a path that led from `base` through the directories `below`.
fn arrived(
    base: NodeId,
    mut below: Vec<(String, NodeId)>,
    path: &str,
    directory: bool,
) -> ResolvedPath {
    let Some((name, node)) = below.pop() else {
        return ResolvedPath {
            parent: base,
            name: String::new(),
            node: Some(base),
            directory: true,
        };
    };
    ResolvedPath {
        parent: below.last().map_or(base, |(_, node)| *node),
        name: if ends_in_dots(path) {
            String::new()
        } else {
            name
        },
        node: Some(node),
        directory,
    }
}

/// Refuses what is no path, or no relative one.
fn check(path: &str) -> Result<(), Errno> {
    if path.is_empty() {
        return Err(Errno::NoEntry);
    }
    if path.contains('\0') {
        return Err(Errno::Invalid);
    }
    if path.starts_with('/') {
        return Err(Errno::NotPermitted);
    }
    let too_long =
        path.len() > MAX_PATH_BYTES || path.split('/').any(|part| part.len() > MAX_NAME_BYTES);
    if too_long {
        return Err(Errno::NameTooLong);
    }
    Ok(())
}

/// The parts of a path, the first one last.
fn split(path: &str) -> Vec<String> {
    path.rsplit('/').map(str::to_owned).collect()
}

fn ends_as_directory(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or_default();
    matches!(last, "" | "." | "..")
}

/// Whether a path does not end in a name.
fn ends_in_dots(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next();
    matches!(last, Some("." | ".."))
}
