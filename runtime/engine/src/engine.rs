//! From bytes to programs.

use crate::{
    Allocation, Error, Program,
    cache::Cache,
    classify, config,
    ticker::Ticker,
    wasi::{self, State},
};
use mc_types::Cid;
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    hash::{Hash, Hasher},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use wasmtime::component::{Component, Linker};

/// Largest component, in bytes. CPython with its standard library has some 40 million.
pub const MAX_COMPONENT_BYTES: u64 = 128 << 20;
/// Programs that are kept in memory.
const MAX_LOADED: usize = 64;

/// How an engine is to be made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where compiled code is kept; nowhere if absent.
    pub cache_dir: Option<PathBuf>,
    /// How large that directory may grow, in bytes.
    pub cache_max_bytes: u64,
    /// Where instances come from.
    pub allocation: Allocation,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_max_bytes: 2 << 30,
            allocation: Allocation::default(),
        }
    }
}

/// A cheap handle to an engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    raw: wasmtime::Engine,
    linker: Linker<State>,
    cache: Option<Cache>,
    ticker: Arc<Ticker>,
    loaded: Mutex<Loaded>,
}

/// Programs in memory.
#[derive(Default)]
struct Loaded {
    /// Each with the number of its last use.
    programs: HashMap<Cid, (Program, u64)>,
    uses: u64,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine.
    ///
    /// # Errors
    ///
    /// [`Error::Cache`] when the directory cannot be used, [`Error::Engine`] when wasmtime fails.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let raw = config::engine(options.allocation)?;
        let linker = wasi::linker(&raw).map_err(|e| Error::Engine(format!("{e:#}")))?;
        let open = |dir: &PathBuf| Cache::open(dir, options.cache_max_bytes, fingerprint(&raw));
        let cache = options.cache_dir.as_ref().map(open).transpose()?;
        let inner = Inner {
            raw,
            linker,
            cache,
            ticker: Arc::new(Ticker::new()),
            loaded: Mutex::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The program of a component that was compiled before, in this process or another.
    #[must_use]
    pub fn cached(&self, cid: &Cid) -> Option<Program> {
        if let Some(program) = self.loaded(cid) {
            return Some(program);
        }
        let code = self.inner.cache.as_ref()?.get(cid)?;
        let component = self.deserialize(&code)?;
        let program = Program::new(self, &component).ok()?;
        self.keep(cid, &program);
        Some(program)
    }

    /// The program of the component `cid`, whose bytes are given. Takes seconds for a large one that
    /// was not compiled before: call it where that may block.
    ///
    /// # Errors
    ///
    /// [`Error`] says why the component cannot be run.
    pub fn load(&self, cid: &Cid, bytes: &[u8]) -> Result<Program, Error> {
        if let Some(program) = self.cached(cid) {
            return Ok(program);
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > MAX_COMPONENT_BYTES {
            return Err(Error::TooLarge {
                bytes: length,
                max: MAX_COMPONENT_BYTES,
            });
        }
        classify::check(bytes)?;
        let invalid = |e: wasmtime::Error| Error::Invalid {
            reason: format!("{e:#}"),
        };
        let component = Component::from_binary(&self.inner.raw, bytes).map_err(invalid)?;
        let program = Program::new(self, &component)?;
        if let Some(cache) = &self.inner.cache {
            cache.put(cid, &component.serialize().map_err(invalid)?);
        }
        self.keep(cid, &program);
        Ok(program)
    }

    pub(crate) fn raw(&self) -> &wasmtime::Engine {
        &self.inner.raw
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.inner.linker
    }

    pub(crate) fn ticker(&self) -> Arc<Ticker> {
        Arc::clone(&self.inner.ticker)
    }

    fn deserialize(&self, code: &[u8]) -> Option<Component> {
        #[expect(
            unsafe_code,
            reason = "compiled code can be trusted only as far as its origin"
        )]
        // SAFETY: `Cache::get` returned the code, so its checksum over component, engine fingerprint
        // and code is intact, and it lies in a directory that only this user can write to: it is
        // what `Component::serialize` gave to `Cache::put` under the same engine.
        let component = unsafe { Component::deserialize(&self.inner.raw, code) };
        component
            .inspect_err(|error| tracing::warn!(%error, "cached code was refused"))
            .ok()
    }

    fn loaded(&self, cid: &Cid) -> Option<Program> {
        let mut loaded = self
            .inner
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Loaded { programs, uses } = &mut *loaded;
        *uses += 1;
        let (program, last_use) = programs.get_mut(cid)?;
        *last_use = *uses;
        Some(program.clone())
    }

    fn keep(&self, cid: &Cid, program: &Program) {
        let mut loaded = self
            .inner
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Loaded { programs, uses } = &mut *loaded;
        if programs.len() >= MAX_LOADED {
            let oldest = programs
                .iter()
                .min_by_key(|(_, (_, used))| *used)
                .map(|(cid, _)| *cid);
            oldest.map(|oldest| programs.remove(&oldest));
        }
        programs.insert(*cid, (program.clone(), *uses));
    }
}

/// Names everything that decides whether compiled code fits an engine.
fn fingerprint(engine: &wasmtime::Engine) -> String {
    let mut hasher = Fingerprint(Sha256::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    let digest = hasher.0.finalize();
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A hasher whose result does not depend on the standard library's version.
struct Fingerprint(Sha256);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}
