//! Cores, memory and disk, as far as this process may use them.

use std::{fs, path::Path};

/// Longest line of memory information that is looked at, in files of the kernel.
const MAX_FILE_BYTES: usize = 64 << 10;

/// Processor cores that this process may use: affinity and control groups count.
#[must_use]
pub fn cpus() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

/// Memory of the machine in bytes, or of the control group if that is less; 0 when neither says.
#[must_use]
pub fn memory_bytes() -> u64 {
    let machine = read("/proc/meminfo")
        .and_then(|text| meminfo_total(&text))
        .unwrap_or(0);
    let group = read("/sys/fs/cgroup/memory.max").and_then(|text| text.trim().parse().ok());
    group.map_or(machine, |group: u64| machine.min(group))
}

/// What the machine is called, if that can be the name of a host.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname();
    let name = name.nodename().to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

/// How many files and connections this process may have open at a time.
#[must_use]
pub fn open_files() -> u64 {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.unwrap_or(u64::MAX)
}

/// Bytes that this user may still write on the file system of `path`; `None` when it cannot be asked.
#[must_use]
pub fn free_disk_bytes(path: &Path) -> Option<u64> {
    let statistics = rustix::fs::statvfs(path).ok()?;
    Some(statistics.f_bavail.saturating_mul(statistics.f_frsize))
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .filter(|text| text.len() <= MAX_FILE_BYTES)
}

fn meminfo_total(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_memory_is_read_from_the_kernels_text() {
        let text = "MemTotal:       24684092 kB\nMemFree:        123 kB\n";
        assert_eq!(meminfo_total(text), Some(24_684_092 * 1024));
        assert_eq!(meminfo_total("MemFree: 1 kB"), None);
        assert_eq!(meminfo_total("MemTotal: many kB"), None);
    }

    #[test]
    fn this_machine_has_something_of_everything() {
        assert!(cpus() > 0);
        assert!(memory_bytes() > 1 << 20);
        assert!(host_name().is_some());
        assert!(open_files() > 2);
        assert!(free_disk_bytes(Path::new("/")).is_some());
    }
}
