//! A file system in the simplest way: names in maps, contents in vectors.

use mc_wasi::{Errno, OpenFlags};
use std::collections::BTreeMap;

/// A directory, or the number of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Directory(BTreeMap<String, Node>),
    File(usize),
}

/// All directories, and the contents of all files that ever were.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) root: Node,
    pub(crate) files: Vec<Vec<u8>>,
}

type Result<T> = std::result::Result<T, Errno>;

pub(crate) type Path = [&'static str];

impl Model {
    pub(crate) fn find(&self, path: &Path) -> Result<Option<&Node>> {
        let mut here = &self.root;
        for (index, name) in path.iter().enumerate() {
            let Node::Directory(entries) = here else {
                return Err(Errno::NotDirectory);
            };
            match entries.get(*name) {
                Some(node) => here = node,
                None if index + 1 == path.len() => return Ok(None),
                None => return Err(Errno::NoEntry),
            }
        }
        Ok(Some(here))
    }

    /// The entries of the directory that a path is in. The path was found before.
    fn parent(&mut self, path: &Path) -> (&mut BTreeMap<String, Node>, String) {
        let (name, parents) = path.split_last().unwrap();
        let mut here = &mut self.root;
        for name in parents {
            let Node::Directory(entries) = here else {
                unreachable!("it was found before");
            };
            here = entries.get_mut(*name).unwrap();
        }
        match here {
            Node::Directory(entries) => (entries, (*name).to_owned()),
            Node::File(_) => unreachable!("it was found before"),
        }
    }

    fn put(&mut self, path: &Path, node: Node) {
        let (entries, name) = self.parent(path);
        entries.insert(name, node);
    }

    fn take(&mut self, path: &Path) -> Node {
        let (entries, name) = self.parent(path);
        entries.remove(&name).unwrap()
    }

    /// The file that is opened, or none for a directory.
    pub(crate) fn open(&mut self, path: &Path, flags: OpenFlags) -> Result<Option<usize>> {
        let OpenFlags {
            create,
            exclusive,
            truncate,
            directory,
            write,
            ..
        } = flags;
        if create && directory {
            return Err(Errno::Invalid);
        }
        match self.find(path)? {
            None if !create => Err(Errno::NoEntry),
            None => {
                self.files.push(Vec::new());
                let file = self.files.len() - 1;
                self.put(path, Node::File(file));
                Ok(Some(file))
            }
            Some(_) if create && exclusive => Err(Errno::Exist),
            Some(Node::Directory(_)) if truncate || create || write => Err(Errno::IsDirectory),
            Some(Node::Directory(_)) => Ok(None),
            Some(Node::File(_)) if directory => Err(Errno::NotDirectory),
            Some(Node::File(file)) => {
                let file = *file;
                if truncate {
                    self.files[file].clear();
                }
                Ok(Some(file))
            }
        }
    }

    pub(crate) fn make_directory(&mut self, path: &Path) -> Result<()> {
        if self.find(path)?.is_some() {
            return Err(Errno::Exist);
        }
        self.put(path, Node::Directory(BTreeMap::new()));
        Ok(())
    }

    pub(crate) fn remove_directory(&mut self, path: &Path) -> Result<()> {
        match self.find(path)?.ok_or(Errno::NoEntry)? {
            Node::File(_) => return Err(Errno::NotDirectory),
            Node::Directory(entries) if !entries.is_empty() => return Err(Errno::NotEmpty),
            Node::Directory(_) => {}
        }
        self.take(path);
        Ok(())
    }

    pub(crate) fn remove_file(&mut self, path: &Path) -> Result<()> {
        match self.find(path)?.ok_or(Errno::NoEntry)? {
            Node::Directory(_) => return Err(Errno::IsDirectory),
            Node::File(_) => {}
        }
        self.take(path);
        Ok(())
    }

    pub(crate) fn link(&mut self, old: &Path, new: &Path) -> Result<()> {
        let node = self.find(old)?.ok_or(Errno::NoEntry)?.clone();
        if matches!(node, Node::Directory(_)) {
            return Err(Errno::NotPermitted);
        }
        if self.find(new)?.is_some() {
            return Err(Errno::Exist);
        }
        self.put(new, node);
        Ok(())
    }

    pub(crate) fn rename(&mut self, old: &Path, new: &Path) -> Result<()> {
        let node = self.find(old)?.ok_or(Errno::NoEntry)?.clone();
        let replaced = self.find(new)?.cloned();
        let is_directory = matches!(node, Node::Directory(_));
        if is_directory && new.len() > old.len() && new.starts_with(old) {
            return Err(Errno::Invalid);
        }
        match replaced {
            _ if old == new => return Ok(()),
            Some(Node::File(file)) if node == Node::File(file) => return Ok(()),
            Some(Node::Directory(_)) if !is_directory => return Err(Errno::IsDirectory),
            Some(Node::File(_)) if is_directory => return Err(Errno::NotDirectory),
            Some(Node::Directory(entries)) if !entries.is_empty() => {
                return Err(Errno::NotEmpty);
            }
            _ => {}
        }
        let node = self.take(old);
        self.put(new, node);
        Ok(())
    }

    pub(crate) fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let contents = &mut self.files[file];
        if bytes.is_empty() {
            return;
        }
        if contents.len() < offset + bytes.len() {
            contents.resize(offset + bytes.len(), 0);
        }
        contents[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}
