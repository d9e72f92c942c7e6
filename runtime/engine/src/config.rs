//! The one constructor of `wasmtime::Config`.

use crate::Error;
use wasmtime::{Collector, Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// Bytes of address space per linear memory of the pool: all that 32-bit wasm can address.
const POOL_MEMORY_BYTES: usize = 1 << 32;
/// Core instances and tables of one component. Components from Python tools have some 15.
const CORE_INSTANCES: u32 = 64;
/// Memories of one component, with the page of the meter.
const MEMORIES: u32 = 5;
/// Memories of one task, with that of its exceptions.
const ALL_MEMORIES: u32 = MEMORIES + 1;
/// Bytes of stack for the calls that a guest makes of the host.
pub(crate) const HOST_STACK_BYTES: usize = 2 << 20;

/// Where instances come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Allocation {
    /// Each instance is mapped when it is needed: best for a process that runs one task.
    #[default]
    OnDemand,
    /// Instances come from a pool made beforehand: best for a node that runs many.
    Pooling {
        /// Tasks at a time.
        slots: u32,
    },
}

/// How much memory wasmtime itself may use for a program in a pool: some bytes for each of its globals, imports, and
/// functions in tables. Nothing is reserved for it. With less, large programs with 33 thousand functions in tables
/// could not run in the pool.
const INSTANCE_BYTES: usize = 64 << 20;

/// What executes a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// This machine, by code that Cranelift made for it.
    #[default]
    Native,
    /// Pulley, an interpreter that is the same on every machine and some 20 times as slow. It stands in
    /// for a machine of another kind.
    Pulley,
}

/// Who counts fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Counting {
    /// The guest itself, as it was instrumented.
    Instrumented,
    /// wasmtime.
    Wasmtime,
}

impl Counting {
    /// Bytes of native stack that wasm may use. Instrumented guests count their own and stop long
    /// before; this many is four times the most that they may ask for.
    pub(crate) const fn stack_bytes(self) -> usize {
        match self {
            Self::Instrumented => 64 << 20,
            Self::Wasmtime => 8 << 20,
        }
    }
}

/// An engine in which every honest peer gets the same results.
pub(crate) fn engine(
    allocation: Allocation,
    target: Target,
    counting: Counting,
) -> Result<wasmtime::Engine, Error> {
    let failed = |e: wasmtime::Error| Error::Engine(format!("{e:#}"));
    let mut config = Config::new();
    if target == Target::Pulley {
        config.target("pulley64").map_err(failed)?;
    }
    config
        .wasm_component_model(true)
        // Results must not depend on the bits of a NaN, which differ between processors.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_gc(false)
        // Exceptions are the only garbage-collected objects of a guest, and they count as its memory. The collector
        // runs whenever they have filled their heap, which happens at the same position everywhere.
        .collector(Collector::DeferredReferenceCounting)
        // Instrumented guests say which of their branches are hardly ever taken.
        .wasm_branch_hinting(counting == Counting::Instrumented)
        .consume_fuel(counting == Counting::Wasmtime)
        // The kill switch of guests that have no meter of ours to look at.
        .epoch_interruption(counting == Counting::Wasmtime)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(counting.stack_bytes())
        .async_stack_size(counting.stack_bytes() + HOST_STACK_BYTES)
        .memory_init_cow(true);
    if let Allocation::Pooling { slots } = allocation {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(slots)
            .total_core_instances(slots.saturating_mul(CORE_INSTANCES))
            .total_memories(slots.saturating_mul(ALL_MEMORIES))
            .total_tables(slots.saturating_mul(CORE_INSTANCES))
            .total_stacks(slots)
            .total_gc_heaps(slots)
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_memories_per_component(MEMORIES)
            .max_memories_per_module(MEMORIES)
            .max_tables_per_component(CORE_INSTANCES)
            .max_tables_per_module(CORE_INSTANCES)
            .max_memory_size(POOL_MEMORY_BYTES)
            .max_core_instance_size(INSTANCE_BYTES)
            .max_component_instance_size(INSTANCE_BYTES)
            .table_elements(1 << 20);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    wasmtime::Engine::new(&config).map_err(failed)
}
