//! What the host does to a directory, and what is in it.

use crate::scenario::Random;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Of a file its content, of a link its target, of a directory nothing.
    pub(crate) text: Option<String>,
    pub(crate) mode: u32,
    pub(crate) modified: Option<(i64, i64)>,
}

/// Everything below a directory, without following links.
pub(crate) fn listed(root: &Path) -> BTreeMap<String, Entry> {
    let mut found = BTreeMap::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let text = if metadata.is_dir() {
                left.push(path.clone());
                None
            } else if metadata.is_symlink() {
                Some(fs::read_link(&path).unwrap().to_str().unwrap().to_owned())
            } else {
                Some(fs::read_to_string(&path).unwrap())
            };
            let modified = metadata
                .is_file()
                .then(|| (metadata.mtime(), metadata.mtime_nsec()));
            let place = path.strip_prefix(root).unwrap().to_str().unwrap();
            let mode = metadata.mode();
            found.insert(
                place.to_owned(),
                Entry {
                    text,
                    mode,
                    modified,
                },
            );
        }
    }
    found
}

/// The user, who works on while the changes are applied.
#[derive(Debug, Default)]
pub(crate) struct Host {
    /// What was written and not overwritten or removed by the user again.
    pub(crate) written: BTreeSet<String>,
    /// What the user overwrote or removed.
    pub(crate) destroyed: BTreeSet<String>,
    pub(crate) edits: usize,
}

impl Host {
    fn destroy(&mut self, path: &Path) {
        let text = match fs::read_link(path) {
            Ok(target) => target.to_str().unwrap().to_owned(),
            Err(_) => fs::read_to_string(path).unwrap(),
        };
        self.written.remove(&text);
        self.destroyed.insert(text);
    }

    /// Longer than anything that was there, so that every edit changes a size.
    fn text(&mut self) -> String {
        self.edits += 1;
        let text = format!("host-{}-{}", self.edits, "=".repeat(self.edits));
        self.written.insert(text.clone());
        text
    }

    /// Writes to a file, if there is one.
    pub(crate) fn overwrite(&mut self, file: &Path) {
        if fs::symlink_metadata(file).is_ok_and(|it| it.is_file()) {
            self.destroy(file);
            fs::write(file, self.text()).unwrap();
        }
    }

    /// Writes to a file, if there is one, so that only its time of change tells.
    pub(crate) fn overwrite_secretly(&mut self, file: &Path) {
        if fs::symlink_metadata(file).is_ok_and(|it| it.is_file()) {
            let text = fs::read_to_string(file).unwrap().to_uppercase();
            self.destroy(file);
            edit_secretly(file, &text);
            self.written.insert(text);
            self.edits += 1;
        }
    }

    pub(crate) fn edit(&mut self, root: &Path, random: &mut Random) {
        let mut all = listed(root);
        all.retain(|place, _| !place.contains("mc-wasm"));
        let is_file = |entry: &Entry| entry.modified.is_some();
        let files: Vec<PathBuf> = all
            .iter()
            .filter(|(_, entry)| is_file(entry))
            .map(|(place, _)| root.join(place))
            .collect();
        let mut dirs: Vec<PathBuf> = all
            .iter()
            .filter(|(_, entry)| entry.text.is_none())
            .map(|(place, _)| root.join(place))
            .collect();
        let some_dir = random.pick(&dirs);
        dirs.push(root.to_owned());
        let free = random
            .pick(&dirs)
            .unwrap()
            .join(random.pick(&["a", "b", "c", "g"]).unwrap());
        let is_free = fs::symlink_metadata(&free).is_err();
        let file = random.pick(&files);
        match (random.below(10), file, some_dir) {
            (0..=2, Some(file), _) => {
                self.destroy(&file);
                fs::write(&file, self.text()).unwrap();
            }
            (3, Some(file), _) => {
                self.destroy(&file);
                let draft = root.join("draft");
                fs::write(&draft, self.text()).unwrap();
                fs::rename(draft, &file).unwrap();
            }
            (4, Some(file), _) => {
                self.destroy(&file);
                fs::remove_file(&file).unwrap();
            }
            (5, Some(file), _) if is_free => fs::rename(file, free).unwrap(),
            (6, _, Some(dir)) if is_free && !free.starts_with(&dir) => {
                fs::rename(dir, free).unwrap();
            }
            (7, ..) if is_free => fs::create_dir(free).unwrap(),
            // Only an empty one goes.
            (8, _, Some(dir)) => drop(fs::remove_dir(dir)),
            _ if is_free => fs::write(free, self.text()).unwrap(),
            _ => return,
        }
        self.edits += 1;
    }
}

/// Writes `text`, which is as long as what is there, and sets the time of modification back.
pub(crate) fn edit_secretly(path: &Path, text: &str) {
    let before = fs::metadata(path).unwrap();
    assert_eq!(before.len(), u64::try_from(text.len()).unwrap());
    let changed = |it: &fs::Metadata| (it.ctime(), it.ctime_nsec());
    // Older kernels count time in steps of some milliseconds.
    while changed(&fs::metadata(path).unwrap()) == changed(&before) {
        fs::write(path, text).unwrap();
        let file = fs::File::open(path).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
    }
}
