//! What a worker lends at most, as the configuration of its node says.

use mc_config::{Config, Period};
use mc_types::{ONE_CORE_MILLIS, Resources};
use mc_worker::Caps;
use std::path::Path;

/// The fraction of the free disk that tasks may fill.
const DISK_PARTS: (u64, u64) = (4, 5);
/// Even on a small disk, a task with the default limits must be able to run.
const LEAST_DISK_BYTES: u64 = 1 << 30;

/// What a node with this many slots lends, whose tasks keep their files in `dir`.
pub(crate) fn of(config: &Config, slots: u32, dir: &Path) -> Caps {
    let worker = &config.worker;
    let all = worker.disk.map_or_else(|| usual_disk(dir), |disk| disk.0);
    Caps {
        total: Resources {
            cpu_millis: u64::from(slots).saturating_mul(ONE_CORE_MILLIS),
            memory_bytes: config.memory_bytes(),
            scratch_bytes: worker.scratch.map_or(all, |scratch| scratch.0).min(all),
            output_bytes: worker.output.map_or(all, |output| output.0).min(all),
            gpus: 0,
        },
        disk_bytes: all,
        attempt: worker.attempt_time.map(|Period(time)| time),
    }
}

/// How many compilers may run at a time.
pub(crate) fn compilers(config: &Config) -> usize {
    let compiling = config.worker.compile_memory;
    let together = compiling.map_or_else(|| config.memory_bytes(), |memory| memory.0);
    compilers_within(together, config.compile.memory.0)
}

/// How many compilers of this size fit into this much memory. One may always run.
fn compilers_within(together: u64, each: u64) -> usize {
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
    use mc_config::Sources;

    fn caps(worker: &str) -> (Caps, usize) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("[worker]\n{worker}")).unwrap();
        let sources = Sources {
            file: Some(file.path().to_owned()),
            environment: [("HOME".to_owned(), "/home/ada".to_owned())].into(),
            flags: Vec::new(),
        };
        let config = Config::load(sources).unwrap();
        let caps = of(&config, 3, &std::env::temp_dir());
        (caps, compilers(&config))
    }

    #[test]
    fn a_fifth_of_the_memory_and_of_the_disk_is_not_lent() {
        let (caps, compilers) = caps("");
        let machine = mc_system::inventory::memory_bytes();
        assert!(caps.total.memory_bytes <= machine / 5 * 4 && caps.total.memory_bytes > 0);
        assert!(caps.total.scratch_bytes >= LEAST_DISK_BYTES);
        assert_eq!(caps.total.scratch_bytes, caps.total.output_bytes);
        assert_eq!(caps.total.cpu_millis, 3_000);
        assert_eq!(caps.lent().attempt_millis, None);
        assert!(compilers >= 1);
    }

    #[test]
    fn caps_are_those_that_are_set_and_no_purpose_has_more_disk_than_all() {
        let (caps, compilers) = caps(
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
        assert_eq!(compilers, 2);
        assert_eq!(compilers_within(1, 8), 1);
        assert_eq!(compilers_within(u64::MAX, 1), 1 << 16);
        assert_eq!(compilers_within(1, 0), 1);
    }
}
