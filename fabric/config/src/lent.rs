//! What a worker may be told to lend, and compilers to take.

use crate::{
    checks::{Refused, refuse},
    config::{Compile, Worker},
    value::{ByteSize, Period},
};
use std::time::Duration;

/// Most tasks at a time: far more than any machine has cores.
const MAX_SLOTS: u32 = 1024;
/// Half a year of the usual terms.
const MAX_SILENT_TERMS: u32 = 1_000_000;
/// With a shorter time hardly any attempt would reach its first checkpoint.
const MIN_ATTEMPT_TIME: Duration = Duration::from_secs(1);
/// With less than that, no task runs and no component is compiled.
const MIN_BYTES: u64 = 1 << 20;
/// Nothing is compiled within less.
const MIN_COMPILE_TIME: Duration = Duration::from_secs(1);

impl Worker {
    /// Checks what a worker on a machine with `machine` bytes of memory lends; 0 if that is not known.
    ///
    /// More memory than the machine has is refused, though a smaller machine may get the file of a larger one by
    /// mistake: jobs are placed by this number, and the kernel would end the node with all that runs on it. A node that
    /// runs nothing may share the file. Disk is not compared: it may be mounted or enlarged later, and a task that finds
    /// it full is only told to wait.
    pub(crate) fn validate(&self, machine: u64) -> Result<(), Refused> {
        if self
            .slots
            .is_some_and(|slots| !(1..=MAX_SLOTS).contains(&slots))
        {
            return refuse(
                "worker.slots",
                "1 to 1024 are accepted; to run nothing, start the node with --no-execute \
                 (worker.execute = false)",
            );
        }
        if !(1..=MAX_SILENT_TERMS).contains(&self.silent_terms) {
            return refuse("worker.silent_terms", "1 to 1000000 are accepted");
        }
        let too_short = |time: Period| time.0 < MIN_ATTEMPT_TIME;
        if self.attempt_time.is_some_and(too_short) {
            return refuse("worker.attempt_time", "1s or more is accepted");
        }
        if self.memory.is_some_and(too_small) {
            return refuse(
                "worker.memory",
                "1MiB to the memory of the machine is accepted; to run nothing, start the node with \
                 --no-execute (worker.execute = false)",
            );
        }
        if self.disk.is_some_and(too_small) {
            return refuse(
                "worker.disk",
                "1MiB or more is accepted; to run nothing, start the node with --no-execute \
                 (worker.execute = false)",
            );
        }
        match self.memory {
            Some(memory) if self.execute && machine > 0 && memory.0 > machine => {
                let mebibytes = machine >> 20;
                let message = format!(
                    "{memory} is more than this machine has; 1MiB to {mebibytes}MiB are accepted"
                );
                Err(("worker.memory", message))
            }
            _ => Ok(()),
        }
    }
}

impl Compile {
    /// Checks that something can be compiled.
    pub(crate) fn validate(&self) -> Result<(), Refused> {
        let sizes = [
            ("compile.max_component", self.max_component),
            ("compile.memory", self.memory),
            ("compile.max_code", self.max_code),
        ];
        if let Some((key, _)) = sizes.into_iter().find(|(_, size)| too_small(*size)) {
            return refuse(key, "1MiB or more is accepted");
        }
        if self.time.0 < MIN_COMPILE_TIME {
            return refuse("compile.time", "1s or more is accepted");
        }
        Ok(())
    }
}

fn too_small(size: ByteSize) -> bool {
    size.0 < MIN_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, Sources};

    fn worker(memory: u64, execute: bool) -> Worker {
        let sources = Sources {
            environment: [("HOME".to_owned(), "/home/ada".to_owned())].into(),
            ..Sources::default()
        };
        Worker {
            memory: Some(ByteSize(memory)),
            execute,
            ..Config::load(sources).unwrap().worker
        }
    }

    #[test]
    fn no_more_memory_is_lent_than_the_machine_has() {
        let machine = 8 << 30;
        assert_eq!(worker(machine, true).validate(machine), Ok(()));
        let (key, message) = worker(100 << 40, true).validate(machine).unwrap_err();
        assert_eq!(key, "worker.memory");
        assert!(
            message.contains("100TiB") && message.contains("8192MiB"),
            "{message}"
        );
        // A node that runs nothing lends nothing of it. For an unknown machine there is no number.
        assert_eq!(worker(100 << 40, false).validate(machine), Ok(()));
        assert_eq!(worker(100 << 40, true).validate(0), Ok(()));
    }

    #[test]
    fn too_little_to_run_anything_is_refused() {
        for memory in [0, MIN_BYTES - 1] {
            let (key, message) = worker(memory, true).validate(0).unwrap_err();
            assert_eq!(key, "worker.memory");
            assert!(message.contains("1MiB"), "{message}");
        }
        assert_eq!(worker(MIN_BYTES, true).validate(0), Ok(()));
        let no_disk = Worker {
            disk: Some(ByteSize(0)),
            ..worker(MIN_BYTES, true)
        };
        assert_eq!(no_disk.validate(0).unwrap_err().0, "worker.disk");
    }
}
