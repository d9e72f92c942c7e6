//! Listing directories.

use super::{guest_memory::GuestMemory, stat::file_type};
use mc_wasi::{Errno, FileKind, Host, Result};

const DIRENT_BYTES: usize = 24;

/// Fills a buffer with entries; the last one is cut off where the buffer ends, by which a guest can tell
/// that there are more. Cookies are numbers of entries; the names behind those of the last call are
/// remembered, so that a listing goes on where it was although entries were removed.
pub(super) fn read_directory(
    host: &mut Host,
    buffer: &mut [u8],
    fd: u32,
    cookie: u64,
) -> Result<u32> {
    let mut after = match cookie {
        0 | 1 => None,
        2.. => match host.descriptor(fd)?.cookies.get(&cookie) {
            Some(name) => Some(name.clone()),
            None => name_at(host, fd, cookie)?,
        },
    };
    let mut cookies = std::collections::BTreeMap::new();
    if let Some(name) = &after {
        cookies.insert(cookie, name.clone());
    }
    let (mut next, mut used) = (cookie, 0);
    while used < buffer.len() {
        let (name, node, kind) = match next {
            0 => (".".to_owned(), host.stat(fd)?.node, FileKind::Directory),
            1 => ("..".to_owned(), host.parent(fd)?, FileKind::Directory),
            _ => match host.entry_after(fd, after.as_deref())? {
                None => break,
                Some(entry) => {
                    after = Some(entry.name.clone());
                    cookies.insert(next + 1, entry.name.clone());
                    (entry.name, entry.node, entry.kind)
                }
            },
        };
        next += 1;
        let mut entry = [0; DIRENT_BYTES].to_vec();
        let length = u32::try_from(name.len()).map_err(|_| Errno::Overflow)?;
        let mut fields = GuestMemory::new(&mut entry);
        fields.write_u64(0, next)?;
        fields.write_u64(8, node.0)?;
        fields.write_u32(16, length)?;
        fields.write_u8(20, file_type(kind))?;
        entry.extend(name.as_bytes());
        let room = buffer.get_mut(used..).unwrap_or_default();
        let fits = entry.len().min(room.len());
        let (room, _) = room.split_at_mut(fits);
        room.copy_from_slice(entry.get(..fits).unwrap_or_default());
        used += fits;
    }
    host.descriptor_mut(fd)?.cookies = cookies;
    Ok(u32::try_from(used).map_err(|_| Errno::Overflow)?)
}

/// The name of an entry by its number, for a guest that goes back in a listing.
fn name_at(host: &mut Host, fd: u32, cookie: u64) -> Result<Option<String>> {
    let mut after = None;
    for _ in 2..cookie {
        match host.entry_after(fd, after.as_deref())? {
            Some(entry) => after = Some(entry.name),
            None => break,
        }
    }
    Ok(after)
}
