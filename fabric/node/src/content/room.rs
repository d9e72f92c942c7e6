//! How much disk blocks may take, unless that is configured.

use std::{fs, path::Path};

/// The fraction of the available disk that blocks may take; the rest is for other uses.
const PARTS: (u64, u64) = (4, 5);
/// However little that is.
const LEAST_BYTES: u64 = 64 << 20;

/// Most bytes of blocks in `dir`: a fraction of what they take already and of the free space. `None` when the disk
/// cannot be asked.
pub(crate) fn usual_max_bytes(dir: &Path) -> Option<u64> {
    let existing = dir.ancestors().find(|dir| dir.exists())?;
    let free = mc_system::inventory::free_disk_bytes(existing)?;
    Some(part_of(free.saturating_add(bytes_in(dir))))
}

fn part_of(bytes: u64) -> u64 {
    let (parts, of) = PARTS;
    (bytes / of).saturating_mul(parts).max(LEAST_BYTES)
}

/// The bytes of all files in a directory. Unreadable ones are not counted.
fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.map(bytes).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_leave_some_room_and_what_they_take_counts() {
        let dir = tempfile::tempdir().unwrap();
        let max = usual_max_bytes(&dir.path().join("not/yet")).unwrap();
        let free = mc_system::inventory::free_disk_bytes(dir.path()).unwrap();
        assert!(max >= LEAST_BYTES && max < free.max(LEAST_BYTES + 1));
        fs::create_dir(dir.path().join("below")).unwrap();
        fs::write(dir.path().join("below/file"), [1; 1000]).unwrap();
        assert_eq!(bytes_in(dir.path()), 1000);
        assert_eq!(part_of(100 << 30), 80 << 30);
        assert_eq!(part_of(1), LEAST_BYTES);
    }
}
