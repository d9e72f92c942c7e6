//! What a worker lends at most, whatever a coordinator or a job says.

use super::disk::Disk;
use crate::config::{Config, Period};
use mc_types::{Lent, ONE_CORE_MILLIS, Resources};
use std::{path::Path, sync::Arc, time::Duration};

/// Of what the disk has free, tasks may fill so many parts of so many.
const DISK_PARTS: (u64, u64) = (4, 5);
/// However little that is: a task that may write as much as tasks usually may is no task that can run nowhere.
const LEAST_DISK_BYTES: u64 = 1 << 30;

/// What a worker lends at most.
#[derive(Debug, Clone)]
pub(crate) struct Caps {
    /// In all.
    pub(crate) total: Resources,
    /// Of the disk.
    pub(crate) disk: Arc<Disk>,
    /// Of the time of one attempt.
    pub(crate) attempt: Option<Duration>,
    /// Compilers at a time.
    pub(crate) compilers: usize,
}

impl Caps {
    /// Those of a node with so many slots, whose tasks keep their files in `dir`.
    pub(crate) fn of(config: &Config, slots: u32, dir: &Path) -> Self {
        let worker = &config.worker;
        let all = worker.disk.map_or_else(|| usual_disk(dir), |disk| disk.0);
        let scratch = worker.scratch.map_or(all, |scratch| scratch.0).min(all);
        let output = worker.output.map_or(all, |output| output.0).min(all);
        let memory = config.memory_bytes();
        let compiling = worker.compile_memory.map_or(memory, |memory| memory.0);
        Self {
            total: Resources {
                cpu_millis: u64::from(slots).saturating_mul(ONE_CORE_MILLIS),
                memory_bytes: memory,
                scratch_bytes: scratch,
                output_bytes: output,
                gpus: 0,
            },
            disk: Arc::new(Disk::new(scratch, output, all)),
            attempt: worker.attempt_time.map(|Period(time)| time),
            compilers: compilers(compiling, config.compile.memory.0),
        }
    }

    /// What it says of that while nothing runs.
    pub(crate) fn lent(&self) -> Lent {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Lent {
            total: self.total,
            free: self.total,
            attempt_millis: self.attempt.map(millis),
        }
    }
}

/// How many compilers that take so much each may take so much together. One may always run.
fn compilers(together: u64, each: u64) -> usize {
    let compilers = together.checked_div(each).unwrap_or(1).max(1);
    // A semaphore has fewer permits than numbers can express.
    usize::try_from(compilers.min(1 << 16)).unwrap_or(1)
}

fn usual_disk(dir: &Path) -> u64 {
    let free = mc_system::inventory::free_disk_bytes(dir).unwrap_or_default();
    let (parts, of) = DISK_PARTS;
    (free / of).saturating_mul(parts).max(LEAST_DISK_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn caps(worker: &str) -> Caps {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("[worker]\n{worker}")).unwrap();
        let sources = Sources {
            file: Some(file.path().to_owned()),
            environment: [("HOME".to_owned(), "/home/ada".to_owned())].into(),
            flags: Vec::new(),
        };
        let config = Config::load(sources).unwrap();
        Caps::of(&config, 3, &std::env::temp_dir())
    }

    #[test]
    fn a_fifth_of_the_memory_and_of_the_disk_is_not_lent() {
        let caps = caps("");
        let machine = mc_system::inventory::memory_bytes();
        assert!(caps.total.memory_bytes <= machine / 5 * 4 && caps.total.memory_bytes > 0);
        assert!(caps.total.scratch_bytes >= LEAST_DISK_BYTES);
        assert_eq!(caps.total.scratch_bytes, caps.total.output_bytes);
        assert_eq!(caps.total.cpu_millis, 3_000);
        assert_eq!(caps.lent().attempt_millis, None);
        assert!(caps.compilers >= 1);
    }

    #[test]
    fn caps_are_those_that_are_set_and_no_purpose_has_more_disk_than_all() {
        let caps = caps(
            "memory = '1GiB'\nscratch = '3GiB'\noutput = '1MiB'\ndisk = '2GiB'\n\
             attempt_time = '1h'\ncompile_memory = '20GiB'",
        );
        let Resources {
            memory_bytes,
            scratch_bytes,
            output_bytes,
            ..
        } = caps.total;
        assert_eq!(
            (memory_bytes, scratch_bytes, output_bytes),
            (1 << 30, 2 << 30, 1 << 20)
        );
        assert_eq!(caps.lent().attempt_millis, Some(3_600_000));
        assert_eq!(caps.compilers, 2);
        assert_eq!(compilers(1, 8), 1);
        assert_eq!(compilers(u64::MAX, 1), 1 << 16);
        assert_eq!(compilers(1, 0), 1);
    }
}
