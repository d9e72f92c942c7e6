//! The one constructor of `wasmtime::Config`.

use crate::Error;
use wasmtime::{Config, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

/// Bytes of native stack that wasm may use. A guest's own recursion reaches this limit as a trap.
const WASM_STACK_BYTES: usize = 1 << 20;
/// Bytes of the stack that a guest and the host functions it calls share.
const ASYNC_STACK_BYTES: usize = 2 << 20;
/// Bytes of address space per linear memory of the pool: all that 32-bit wasm can address.
const POOL_MEMORY_BYTES: usize = 1 << 32;
/// Core instances, memories and tables of one component. Components from Python tools have some 15.
const CORE_INSTANCES: u32 = 64;

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

/// An engine in which every honest peer gets the same results.
pub(crate) fn engine(allocation: Allocation) -> Result<wasmtime::Engine, Error> {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Results must not depend on the bits of a NaN, which differ between processors.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .consume_fuel(true)
        // The kill switch: a guest yields at every tick, and can then be dropped.
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .max_wasm_stack(WASM_STACK_BYTES)
        .async_stack_size(ASYNC_STACK_BYTES)
        .memory_init_cow(true);
    if let Allocation::Pooling { slots } = allocation {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(slots)
            .total_core_instances(slots.saturating_mul(CORE_INSTANCES))
            .total_memories(slots.saturating_mul(4))
            .total_tables(slots.saturating_mul(CORE_INSTANCES))
            .total_stacks(slots)
            .max_core_instances_per_component(CORE_INSTANCES)
            .max_memories_per_component(4)
            .max_tables_per_component(CORE_INSTANCES)
            .max_memory_size(POOL_MEMORY_BYTES)
            .table_elements(1 << 20);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    wasmtime::Engine::new(&config).map_err(|e| Error::Engine(format!("{e:#}")))
}
