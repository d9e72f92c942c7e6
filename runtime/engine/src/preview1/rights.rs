//! Rights. By them a program says whether it will read or write, and learns whether it can. Every descriptor has all
//! other rights. They cannot be given away, since later previews have none.

pub(super) const READ: u64 = 1 << 1;
pub(super) const WRITE: u64 = 1 << 6;
/// To synchronise what was written, to allocate and to cut off: none without writing.
const CHANGE: u64 = WRITE | 1 | (1 << 8) | (1 << 22);
/// All rights of a file: the above, to seek, set flags, synchronise, tell, advise, look and set times, and to poll.
const FILE: u64 = READ | CHANGE | (0b1111 << 2) | (1 << 7) | (1 << 21) | (1 << 23) | (1 << 27);
/// All rights of a directory: to make, link, open, list, rename, remove and look at its entries. Not to set a file's
/// size by its path, which no call does.
const DIRECTORY: u64 = (0x3ff << 9) | (0b11 << 20) | (0b1111 << 23);

/// Rights of a directory, and of what is opened in it.
pub(super) const fn of_directory() -> [u64; 2] {
    [DIRECTORY, DIRECTORY | FILE]
}

/// Rights of a file, and none of what is opened in it.
pub(super) const fn of_file(read: bool, write: bool) -> [u64; 2] {
    let mut rights = FILE;
    if !read {
        rights &= !READ;
    }
    if !write {
        rights &= !CHANGE;
    }
    [rights, 0]
}
