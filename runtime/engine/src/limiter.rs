//! How much memory a guest may have.

use mc_types::Limits;
use mc_wasi::Stop;
use wasmtime::ResourceLimiter;

/// Most core instances, memories and tables of one component.
const MAX_INSTANCES: usize = 64;
/// Most bytes of one memory of a component: a list that stands for a whole memory has a length of 32 bits.
const MAX_COMPONENT_MEMORY: u64 = (1 << 32) - (1 << 16);

/// Counts the linear memory of all instances of one guest, and what its exceptions take.
#[derive(Debug)]
pub(crate) struct Limiter {
    max_bytes: u64,
    /// Most bytes of one memory.
    max_memory: u64,
    bytes: u64,
    peak_bytes: u64,
    /// Bytes that are not the guest's.
    overhead_bytes: u64,
    max_table_entries: u64,
    table_entries: u64,
    refused: bool,
    /// Whether a table was refused that was to be made, not to grow.
    refused_table: bool,
    /// Why the machine did not give what the guest may have, if it ever did not.
    failed: Option<String>,
}

impl Limiter {
    /// A limiter for a guest that has `overhead_bytes` of memory besides its own.
    pub(crate) const fn new(limits: &Limits, overhead_bytes: u64) -> Self {
        Self {
            max_bytes: limits.memory_bytes.saturating_add(overhead_bytes),
            max_memory: u64::MAX,
            bytes: 0,
            peak_bytes: 0,
            overhead_bytes,
            max_table_entries: limits.table_entries,
            table_entries: 0,
            refused: false,
            refused_table: false,
            failed: None,
        }
    }

    /// A limiter for a component, whose memories are at most a page smaller.
    pub(crate) fn of_component(self) -> Self {
        Self {
            max_memory: MAX_COMPONENT_MEMORY,
            ..self
        }
    }

    /// The highest total so far, in bytes.
    pub(crate) const fn peak_bytes(&self) -> u64 {
        self.peak_bytes.saturating_sub(self.overhead_bytes)
    }

    /// Goes on with a guest that was refused memory before, or was not.
    pub(crate) const fn resume(&mut self, refused: bool) {
        self.refused = refused;
    }

    /// Whether the guest was ever refused memory.
    pub(crate) const fn refused(&self) -> bool {
        self.refused
    }

    /// Whether the guest was refused one of its initial tables.
    pub(crate) const fn refused_table(&self) -> bool {
        self.refused_table
    }

    /// Why the machine refused something within the guest's limits, if it did. The guest may have gone on: wasmtime
    /// does not report that there is no room for exceptions.
    pub(crate) fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// The guest did nothing wrong: this is no outcome, but a failure of this machine.
    fn fail(&mut self, error: &wasmtime::Error) -> wasmtime::Error {
        let reason = format!("this machine is out of memory: {error:#}");
        self.failed = Some(reason.clone());
        Stop::Host(reason).into()
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let total = self.bytes.saturating_add(growth);
        let is_too_large = u64::try_from(desired).map_or(true, |bytes| bytes > self.max_memory);
        if total > self.max_bytes || is_too_large {
            self.refused = true;
            return Ok(false);
        }
        // A memory does not grow beyond its own maximum; the guest is told so.
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.bytes = total;
        self.peak_bytes = self.peak_bytes.max(total);
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(self.fail(&error))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = u64::try_from(desired.saturating_sub(current)).unwrap_or(u64::MAX);
        let total = self.table_entries.saturating_add(growth);
        if total > self.max_table_entries || maximum.is_some_and(|maximum| desired > maximum) {
            self.refused_table |= current == 0;
            return Ok(false);
        }
        self.table_entries = total;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(self.fail(&error))
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_INSTANCES
    }

    fn tables(&self) -> usize {
        MAX_INSTANCES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(memory_bytes: u64) -> Limiter {
        let limits = Limits {
            memory_bytes,
            ..Limits::default()
        };
        Limiter::new(&limits, 0)
    }

    #[test]
    fn limit_counts_all_memories_together() {
        let mut limiter = limiter(100);
        assert!(limiter.memory_growing(0, 60, None).unwrap());
        assert!(limiter.memory_growing(0, 40, None).unwrap());
        assert!(!limiter.refused());
        assert!(!limiter.memory_growing(40, 41, None).unwrap());
        assert!(limiter.refused());
        assert_eq!(limiter.peak_bytes(), 100);
    }

    #[test]
    fn no_memory_of_a_component_has_all_addresses() {
        let most = 65_535 << 16;
        assert!(
            limiter(1 << 33)
                .memory_growing(0, most + 65_536, None)
                .unwrap()
        );
        let mut limiter = limiter(1 << 33).of_component();
        assert!(limiter.memory_growing(0, most, None).unwrap());
        assert!(!limiter.memory_growing(most, most + 65_536, None).unwrap());
        assert!(limiter.refused());
    }

    #[test]
    fn growth_beyond_the_memorys_own_maximum_is_not_counted() {
        let mut limiter = limiter(100);
        assert!(!limiter.memory_growing(0, 50, Some(10)).unwrap());
        assert!(!limiter.table_growing(0, 50, Some(10)).unwrap());
        assert_eq!(limiter.peak_bytes(), 0);
        assert!(!limiter.refused());
    }

    #[test]
    fn a_table_that_cannot_be_made_is_told_from_one_that_cannot_grow() {
        let limits = Limits {
            table_entries: 10,
            ..Limits::default()
        };
        let mut limiter = Limiter::new(&limits, 0);
        assert!(limiter.table_growing(0, 8, None).unwrap());
        assert!(!limiter.table_growing(8, 11, None).unwrap());
        assert!(!limiter.refused_table());
        assert!(!limiter.table_growing(0, 3, None).unwrap());
        assert!(limiter.refused_table() && !limiter.refused());
    }

    #[test]
    fn what_the_machine_lacks_is_kept_in_mind() {
        let mut limiter = limiter(100);
        assert_eq!(limiter.failed(), None);
        let error = wasmtime::Error::msg("no room");
        assert!(limiter.memory_grow_failed(error).is_err());
        assert!(limiter.failed().unwrap().contains("no room"));
        assert!(!limiter.refused());
    }
}
