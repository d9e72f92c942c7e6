//! The tree of files, and what needs no path: opening, reading, writing.

use super::{
    data::{Data, MAX_FILE_BYTES},
    devices,
    node::{Device, Directory, FileKind, Kind, Node, NodeId, Slot, Stat},
};
use crate::{At, Errno, Given, Inputs, Nothing, Result, Stop, error::BadState};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How much a guest may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// Bytes of all files that it wrote to, together.
    pub bytes: u64,
    /// Files, directories and links that it made.
    pub files: u64,
}

/// What opening does besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenFlags {
    /// Makes the file if it is not there.
    pub create: bool,
    /// Fails unless it is a directory.
    pub directory: bool,
    /// Fails if it is there.
    pub exclusive: bool,
    /// Empties the file.
    pub truncate: bool,
    /// Follows a link at the end of the path.
    pub follow: bool,
    /// Whether the file is to be written to.
    pub write: bool,
}

/// What is mounted in a directory.
#[derive(Debug)]
#[must_use]
pub struct Covers(BTreeMap<String, Slot>);

/// All files of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    pub(super) nodes: BTreeMap<NodeId, Node>,
    next: u64,
    quota: Quota,
    used: Quota,
    /// The time of everything that was given, in nanoseconds since 1970.
    start: u64,
}

impl FileSystem {
    /// The directory `/`.
    pub const ROOT: NodeId = NodeId(1);

    /// A read-only `/` with nothing in it but `/dev`.
    pub(crate) fn new(quota: Quota, start: u64) -> Self {
        let devices = Slot::Given {
            at: devices::place(),
            writable: false,
        };
        let root = Directory {
            parent: Self::ROOT,
            given: None,
            entries: BTreeMap::from([(devices::DIRECTORY.to_owned(), devices)]),
        };
        let root = Node::new(Kind::Directory(root), false, false, start);
        Self {
            nodes: BTreeMap::from([(Self::ROOT, root)]),
            next: Self::ROOT.0 + 1,
            quota,
            used: Quota { bytes: 0, files: 0 },
            start,
        }
    }

    /// Checks files that were taken from elsewhere against those with which the task begins.
    pub(crate) fn check(&self, begin: &Self) -> Result<(), BadState> {
        let bad = |what| Err(BadState(what));
        if self.quota != begin.quota || self.start != begin.start {
            return bad("another quota");
        }
        if self.used.bytes > self.quota.bytes || self.used.files > self.quota.files {
            return bad("more files than the quota allows");
        }
        let mut charged = 0_u64;
        let mut entered = BTreeSet::from([Self::ROOT]);
        for (id, node) in &self.nodes {
            if id.0 >= self.next {
                return bad("a file with a number that is not given out");
            }
            match &node.kind {
                Kind::File(data) if data.is_sound() => {
                    charged = charged.saturating_add(data.charged());
                }
                Kind::File(_) => return bad("a file that contradicts itself"),
                Kind::Symlink(_) | Kind::Device(_) => {}
                Kind::Directory(directory) => {
                    for child in directory.entries.values().filter_map(Slot::node) {
                        let Some(node) = self.nodes.get(&child) else {
                            return bad("a name of nothing");
                        };
                        let is_directory = matches!(node.kind, Kind::Directory(_));
                        // Each directory has one place, so that there are no circles.
                        if is_directory && !entered.insert(child) {
                            return bad("a directory in two places");
                        }
                    }
                }
            }
        }
        if charged > self.quota.bytes {
            return bad("more bytes than the quota allows");
        }
        if !self.ways_up_end() {
            return bad("a directory above itself");
        }
        match self.directory(Self::ROOT) {
            Ok(_) => Ok(()),
            Err(_) => bad("no root"),
        }
    }

    /// Whether the way from a directory to the one above, and so on, comes to an end: at the root, or at a directory
    /// that was removed together with the one above it.
    fn ways_up_end(&self) -> bool {
        let mut below: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        let (mut reached, mut directories) = (vec![Self::ROOT], 0_usize);
        for (id, node) in &self.nodes {
            let Kind::Directory(directory) = &node.kind else {
                continue;
            };
            directories += 1;
            if *id == Self::ROOT {
                if directory.parent != Self::ROOT {
                    return false;
                }
            } else if self.nodes.contains_key(&directory.parent) {
                below.entry(directory.parent).or_default().push(*id);
            } else {
                reached.push(*id);
            }
        }
        let mut count = 0;
        while let Some(directory) = reached.pop() {
            count += 1;
            reached.extend(below.remove(&directory).unwrap_or_default());
        }
        count == directories
    }

    /// Whether each file is held by as many handles as `opens` says.
    pub(crate) fn has_opens(&self, opens: &BTreeMap<NodeId, u32>) -> bool {
        opens.keys().all(|id| self.nodes.contains_key(id))
            && self
                .nodes
                .iter()
                .all(|(id, node)| node.opens == opens.get(id).copied().unwrap_or_default())
    }

    /// Puts something given, or else an empty directory, at the absolute path `path`, before the guest
    /// starts. Directories on the way are made and read-only. What is given for `/` lies beneath all else.
    pub(crate) fn mount(&mut self, path: &str, given: Option<At>, writable: bool) {
        let mut here = Self::ROOT;
        let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
        if parts.peek().is_none() {
            self.mount_root(given, writable);
            return;
        }
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let slot = match (&given, last) {
                (Some(at), true) => Slot::Given {
                    at: at.clone(),
                    writable,
                },
                (None, true) => Slot::Mount(self.empty_directory(here, writable)),
                (_, false) => Slot::Mount(match self.mounted(here, part) {
                    Some(node) => node,
                    None => self.empty_directory(here, false),
                }),
            };
            let next = slot.node().unwrap_or(here);
            if let Some(Node {
                kind: Kind::Directory(directory),
                ..
            }) = self.nodes.get_mut(&here)
            {
                directory.entries.insert(part.to_owned(), slot);
            }
            here = next;
        }
    }

    fn mount_root(&mut self, given: Option<At>, writable: bool) {
        if let Some(root) = self.nodes.get_mut(&Self::ROOT) {
            root.writable = writable;
            if let Kind::Directory(directory) = &mut root.kind {
                directory.given = given;
            }
        }
    }

    /// What was made or mounted under a name before the guest starts, while no input can be read yet.
    fn mounted(&mut self, parent: NodeId, name: &str) -> Option<NodeId> {
        self.child(parent, name, &mut Nothing).ok()?
    }

    /// Whether what is under a name in a directory is mounted there, so that it cannot be taken away.
    pub(super) fn is_mounted(&self, id: NodeId, name: &str) -> bool {
        let slot = self.directory(id).ok();
        let slot = slot.and_then(|directory| directory.entries.get(name));
        slot.is_some_and(Slot::is_mount)
    }

    /// Takes away what is mounted in a directory, so that what lies beneath can be looked at, until [`Self::cover`]
    /// puts it back.
    pub fn uncover(&mut self, id: NodeId) -> Covers {
        let mut covers = BTreeMap::new();
        if let Ok(directory) = self.directory_mut(id) {
            covers.extend(directory.entries.extract_if(.., |_, slot| slot.is_mount()));
        }
        Covers(covers)
    }

    /// Puts back what [`Self::uncover`] took away.
    pub fn cover(&mut self, id: NodeId, covers: Covers) {
        if let Ok(directory) = self.directory_mut(id) {
            directory.entries.extend(covers.0);
        }
    }

    fn empty_directory(&mut self, parent: NodeId, writable: bool) -> NodeId {
        let directory = Directory {
            parent,
            ..Directory::default()
        };
        let start = self.start;
        self.insert(Node::new(
            Kind::Directory(directory),
            writable,
            false,
            start,
        ))
    }

    pub(super) fn insert(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.next);
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    /// A node that a handle or an entry names. There always is one; if there were none, the guest would be told of a
    /// bad descriptor.
    pub(super) fn node(&self, id: NodeId) -> Result<&Node, Errno> {
        self.nodes.get(&id).ok_or(Errno::BadDescriptor)
    }

    pub(super) fn node_mut(&mut self, id: NodeId) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&id).ok_or(Errno::BadDescriptor)
    }

    pub(super) fn directory(&self, id: NodeId) -> Result<&Directory, Errno> {
        match &self.node(id)?.kind {
            Kind::Directory(directory) => Ok(directory),
            Kind::File(_) | Kind::Symlink(_) | Kind::Device(_) => Err(Errno::NotDirectory),
        }
    }

    pub(super) fn directory_mut(&mut self, id: NodeId) -> Result<&mut Directory, Errno> {
        match &mut self.node_mut(id)?.kind {
            Kind::Directory(directory) => Ok(directory),
            Kind::File(_) | Kind::Symlink(_) | Kind::Device(_) => Err(Errno::NotDirectory),
        }
    }

    fn data(&self, id: NodeId) -> Result<&Data, Errno> {
        match &self.node(id)?.kind {
            Kind::File(data) => Ok(data),
            Kind::Directory(_) => Err(Errno::IsDirectory),
            Kind::Symlink(_) | Kind::Device(_) => Err(Errno::Invalid),
        }
    }

    /// What `name` stands for in a directory, made a node if it was not looked at before.
    pub(super) fn child(
        &mut self,
        parent: NodeId,
        name: &str,
        inputs: &mut dyn Inputs,
    ) -> Result<Option<NodeId>> {
        let writable = self.node(parent)?.writable;
        let directory = self.directory(parent)?;
        let (at, writable, slot): (_, _, fn(NodeId) -> Slot) =
            match (directory.entries.get(name), &directory.given) {
                (Some(Slot::Node(node) | Slot::Made(node) | Slot::Mount(node)), _) => {
                    return Ok(Some(*node));
                }
                (Some(Slot::Removed), _) | (None, None) => return Ok(None),
                (Some(Slot::Given { at, writable }), _) => (at.clone(), *writable, Slot::Mount),
                (None, Some(at)) => (at.child(name), writable, Slot::Node),
            };
        let Some(kind) = look_up(at, parent, inputs)? else {
            return Ok(None);
        };
        let writable = writable || matches!(kind, Kind::Device(_));
        let node = self.insert(Node::new(kind, writable, false, self.start));
        let entries = &mut self.directory_mut(parent)?.entries;
        entries.insert(name.to_owned(), slot(node));
        Ok(Some(node))
    }

    /// Opens what `path` leads to, or makes it, and keeps it until [`Self::close`].
    ///
    /// # Errors
    ///
    /// As `openat` has them.
    pub fn open(
        &mut self,
        base: NodeId,
        path: &str,
        flags: OpenFlags,
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<NodeId> {
        if flags.create && flags.directory {
            return Err(Errno::Invalid.into());
        }
        // As `O_EXCL` does: a link at the end is in the way, wherever it points.
        let follow = flags.follow && !(flags.create && flags.exclusive);
        let bare = path.trim_end_matches('/');
        if flags.create && !bare.is_empty() && bare.len() < path.len() {
            self.resolve(base, bare, false, inputs)?;
            return Err(Errno::IsDirectory.into());
        }
        let place = self.resolve(base, path, follow, inputs)?;
        let node = match place.node {
            None if !flags.create => return Err(Errno::NoEntry.into()),
            None if place.directory => return Err(Errno::IsDirectory.into()),
            None => self.make(&place, Kind::File(Data::default()), now)?,
            Some(_) if flags.create && flags.exclusive => return Err(Errno::Exist.into()),
            Some(node) => {
                self.check_open(node, flags)?;
                if flags.truncate && self.kind(node)? == FileKind::File {
                    self.resize(node, 0, now)?;
                }
                node
            }
        };
        self.keep(node);
        Ok(node)
    }

    fn check_open(&self, id: NodeId, flags: OpenFlags) -> Result<(), Errno> {
        let node = self.node(id)?;
        let changes = flags.truncate || flags.write;
        match node.file_kind() {
            FileKind::Directory if flags.create || changes => Err(Errno::IsDirectory),
            FileKind::Directory => Ok(()),
            _ if flags.directory => Err(Errno::NotDirectory),
            FileKind::Symlink => Err(Errno::Loop),
            FileKind::File | FileKind::Device if changes && !node.writable => Err(Errno::ReadOnly),
            FileKind::File | FileKind::Device => Ok(()),
        }
    }

    /// Counts a handle of `node`.
    pub fn keep(&mut self, node: NodeId) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.opens = node.opens.saturating_add(1);
        }
    }

    /// Ends what [`Self::open`] or [`Self::keep`] began.
    pub fn close(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.opens = node.opens.saturating_sub(1);
            self.collect(id);
        }
    }

    /// Forgets a node that has neither names nor handles.
    pub(super) fn collect(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        if node.links > 0 || node.opens > 0 {
            return;
        }
        let is_made = node.made;
        if let Kind::File(data) = &node.kind {
            self.used.bytes = self.used.bytes.saturating_sub(data.charged());
        }
        if is_made {
            self.release_file();
        }
        self.nodes.remove(&id);
    }

    /// Counts one file, or one more name of a file, less.
    pub(super) fn release_file(&mut self) {
        self.used.files = self.used.files.saturating_sub(1);
    }

    /// Counts one more file that the guest made, or one more name that it gave to a file.
    pub(super) fn charge_file(&mut self) -> Result<(), Errno> {
        if self.used.files >= self.quota.files {
            return Err(Errno::InsufficientSpace);
        }
        self.used.files += 1;
        Ok(())
    }

    /// Counts what a file will occupy instead of what it does.
    fn charge_bytes(&mut self, before: u64, after: u64) -> Result<(), Errno> {
        let used = self.used.bytes.saturating_sub(before);
        let used = used.saturating_add(after);
        if used > self.quota.bytes && after > before {
            return Err(Errno::InsufficientSpace);
        }
        self.used.bytes = used;
        Ok(())
    }

    /// Bytes and files that the guest has written.
    #[must_use]
    pub const fn used(&self) -> Quota {
        self.used
    }

    /// What is known of a node.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] for a number that no node has.
    pub fn stat(&self, id: NodeId) -> Result<Stat, Errno> {
        Ok(self.node(id)?.stat(id))
    }

    /// Where a directory or the bytes of a file were given, whatever the guest changed since.
    #[must_use]
    pub fn origin(&self, id: NodeId) -> Option<&At> {
        match &self.node(id).ok()?.kind {
            Kind::Directory(directory) => directory.given.as_ref(),
            Kind::File(data) => data.origin(),
            Kind::Symlink(_) | Kind::Device(_) => None,
        }
    }

    /// What kind of thing a node is.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] for a number that no node has.
    pub fn kind(&self, id: NodeId) -> Result<FileKind, Errno> {
        Ok(self.node(id)?.file_kind())
    }

    /// What a node is a device of, if it is one.
    pub(crate) fn device(&self, id: NodeId) -> Option<Device> {
        match self.node(id).ok()?.kind {
            Kind::Device(device) => Some(device),
            Kind::Directory(_) | Kind::File(_) | Kind::Symlink(_) => None,
        }
    }

    /// What a file was given as, if the guest has not changed it.
    #[must_use]
    pub fn as_given(&self, id: NodeId) -> Option<&At> {
        self.data(id).ok()?.as_given()
    }

    /// Whether the guest may change a node.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`] for a number that no node has.
    pub fn is_writable(&self, id: NodeId) -> Result<bool, Errno> {
        Ok(self.node(id)?.writable)
    }

    /// The directory that a directory is in, or itself for `/`.
    ///
    /// # Errors
    ///
    /// [`Errno::NotDirectory`].
    pub fn parent(&self, id: NodeId) -> Result<NodeId, Errno> {
        Ok(self.directory(id)?.parent)
    }

    /// Reads as many bytes as there are from `offset` on.
    ///
    /// # Errors
    ///
    /// [`Errno::IsDirectory`] where there is nothing to read.
    pub fn read(
        &self,
        id: NodeId,
        offset: u64,
        into: &mut [u8],
        inputs: &mut dyn Inputs,
    ) -> Result<usize> {
        self.data(id)?.read(offset, into, inputs)
    }

    /// Writes all of `bytes` at `offset`, or at the end if there is none; returns where.
    ///
    /// # Errors
    ///
    /// [`Errno::FileTooLarge`], [`Errno::InsufficientSpace`], [`Errno::ReadOnly`].
    pub fn write(
        &mut self,
        id: NodeId,
        offset: Option<u64>,
        bytes: &[u8],
        now: u64,
        inputs: &mut dyn Inputs,
    ) -> Result<u64> {
        let data = self.data(id)?;
        let offset = offset.unwrap_or_else(|| data.size());
        if bytes.is_empty() {
            return Ok(offset);
        }
        let (before, size) = (data.charged(), data.size_after(offset, bytes.len())?);
        if !self.node(id)?.writable {
            return Err(Errno::ReadOnly.into());
        }
        self.charge_bytes(before, size)?;
        let all = self.used.bytes;
        let node = self.node_mut(id)?;
        if let Kind::File(data) = &mut node.kind {
            data.write(offset, bytes, all, inputs)?;
        }
        (node.modified, node.changed) = (now, now);
        Ok(offset)
    }

    /// Cuts a file off, or extends it with zeros.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub fn resize(&mut self, id: NodeId, size: u64, now: u64) -> Result<()> {
        if size > MAX_FILE_BYTES {
            return Err(Errno::FileTooLarge.into());
        }
        let before = self.data(id)?.charged();
        if !self.node(id)?.writable {
            return Err(Errno::ReadOnly.into());
        }
        self.charge_bytes(before, size)?;
        let node = self.node_mut(id)?;
        if let Kind::File(data) = &mut node.kind {
            data.resize(size);
        }
        (node.modified, node.changed) = (now, now);
        Ok(())
    }

    /// Sets the times of a node, in nanoseconds since 1970; absent ones stay.
    ///
    /// # Errors
    ///
    /// [`Errno::ReadOnly`].
    pub fn set_times(
        &mut self,
        id: NodeId,
        accessed: Option<u64>,
        modified: Option<u64>,
        now: u64,
    ) -> Result<()> {
        let node = self.node_mut(id)?;
        if !node.writable {
            return Err(Errno::ReadOnly.into());
        }
        node.accessed = accessed.unwrap_or(node.accessed);
        node.modified = modified.unwrap_or(node.modified);
        node.changed = now;
        Ok(())
    }
}

/// What is at a place that was given.
fn look_up(at: At, parent: NodeId, inputs: &mut dyn Inputs) -> Result<Option<Kind>, Stop> {
    if devices::has(&at) {
        return Ok(devices::look_up(&at, parent));
    }
    Ok(inputs.look_up(&at)?.map(|given| match given {
        Given::Directory => Kind::Directory(Directory {
            parent,
            given: Some(at),
            entries: BTreeMap::new(),
        }),
        Given::File { size } => Kind::File(Data::given(at, size.min(MAX_FILE_BYTES))),
        Given::Symlink { target } => Kind::Symlink(target),
    }))
}
