//! From bytes to programs.

mod backend;
mod compiling;
mod options;
mod way;

pub use options::Options;

use crate::{
    Error, Form, Need, Program,
    cache::Cache,
    config::Counting,
    isolated::Job,
    offered::{check_names, check_proposals},
    sites,
};
use backend::{Backend, Lazy, in_another_form};
use compiling::invalid;
use mc_checkpoint::{Ability, Refused};
use mc_types::Cid;
use std::{
    borrow::Cow,
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio_util::sync::CancellationToken;
use way::Way;

/// Largest component, in bytes. CPython with its standard library has some 40 million.
pub const MAX_COMPONENT_BYTES: u64 = 128 << 20;
/// Programs that are kept in memory.
const MAX_LOADED: usize = 64;

/// A cheap handle to an engine.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    cache: Option<Cache>,
    instrumented: Lazy<Backend>,
    plain: Lazy<Backend>,
    loaded: Mutex<Loaded>,
}

/// Programs in memory.
#[derive(Default)]
struct Loaded {
    /// Each with the number of its last use.
    programs: HashMap<(Cid, Need), (Program, u64)>,
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
        let open = |dir: &PathBuf| Cache::open(dir, options.cache_max_bytes);
        let inner = Inner {
            options: options.clone(),
            cache: options.cache_dir.as_ref().map(open).transpose()?,
            instrumented: Lazy::default(),
            plain: Lazy::default(),
            loaded: Mutex::default(),
        };
        let engine = Self {
            inner: Arc::new(inner),
        };
        engine.backend(Counting::Instrumented)?;
        Ok(engine)
    }

    /// The wasmtime engine for a way of counting, made when it is first needed.
    fn backend(&self, counting: Counting) -> Result<&Backend, Error> {
        let backend = match counting {
            Counting::Instrumented => &self.inner.instrumented,
            Counting::Wasmtime => &self.inner.plain,
        };
        backend.get(|| Backend::new(&self.inner.options, counting))
    }

    /// The program of a component or module that was compiled before, in this process or another.
    #[must_use]
    pub fn cached(&self, cid: &Cid, need: impl Into<Need>) -> Option<Program> {
        let need = need.into();
        if let Some(program) = self.ready(cid, need) {
            return Some(program);
        }
        let cache = self.inner.cache.as_ref()?;
        let program = Way::of(need).iter().find_map(|way| {
            let backend = self.backend(way.counting()).ok()?;
            let (path, file, end) = cache.get(cid, &key(*way, backend))?;
            let compiled = backend.deserialize(&path)?;
            let sites = sites::Source::find(file, end);
            backend.program(&compiled, *way, sites).ok()
        })?;
        self.keep(cid, need, &program);
        Some(program)
    }

    /// The program of the component or module `cid`, whose bytes are given. Takes seconds for a large
    /// one that was not compiled before: call it where that may block.
    ///
    /// # Errors
    ///
    /// [`Error`] says why it cannot be run.
    pub fn load(&self, cid: &Cid, bytes: &[u8], need: impl Into<Need>) -> Result<Program, Error> {
        self.load_until(cid, bytes, need, &CancellationToken::new())
    }

    /// The same, unless `cancel` is cancelled. A compiler in a process of its own is killed then; one in this process
    /// goes on to its end.
    ///
    /// # Errors
    ///
    /// [`Error`] says why it cannot be run, or that this was called off.
    pub fn load_until(
        &self,
        cid: &Cid,
        bytes: &[u8],
        need: impl Into<Need>,
        cancel: &CancellationToken,
    ) -> Result<Program, Error> {
        let need = need.into();
        if let Some(program) = self.cached(cid, need) {
            return Ok(program);
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > MAX_COMPONENT_BYTES {
            return Err(Error::TooLarge {
                bytes: length,
                max: MAX_COMPONENT_BYTES,
            });
        }
        let form = check_names(bytes)?;
        if let (Some(compiler), Some(cache_dir)) =
            (&self.inner.options.compiler, &self.inner.options.cache_dir)
        {
            let job = Job {
                cid: *cid,
                need,
                cache_dir: cache_dir.clone(),
                cache_max_bytes: self.inner.options.cache_max_bytes,
                limits: compiler.limits,
            };
            compiler.compile(&job, bytes, cancel)?;
            let lost = || Error::Engine("compiled code was not found in the cache".to_owned());
            return self.cached(cid, need).ok_or_else(lost);
        }
        // Not before: checking types compiles a little code that may come from a stranger.
        self.backend(Counting::Instrumented)?
            .check_types(form, bytes, need == Need::Relaxed)?;
        let (way, instrumented) = prepare(cid, form, bytes, need);
        let backend = self.backend(way.counting())?;
        let (wasm, sites) = match instrumented {
            Some(program) => (Cow::Owned(program.wasm), program.sites.ok()),
            None => {
                check_proposals(bytes)?;
                (Cow::Borrowed(bytes), None)
            }
        };
        let compiled = backend.compile(form, &wasm)?;
        let tail = sites::tail(sites.as_ref());
        let program = backend.program(&compiled, way, sites.map(sites::Source::new));
        let program = program.map_err(in_another_form)?;
        if let Some(cache) = &self.inner.cache {
            let mut code = compiled.serialize().map_err(invalid)?;
            code.extend(tail);
            cache.put(cid, &key(way, backend), &code);
        }
        self.keep(cid, need, &program);
        Ok(program)
    }

    /// The program of a component or module that this process has used before. Never blocks.
    #[must_use]
    pub fn ready(&self, cid: &Cid, need: impl Into<Need>) -> Option<Program> {
        let need = need.into();
        let mut loaded = self
            .inner
            .loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Loaded { programs, uses } = &mut *loaded;
        *uses += 1;
        let (program, last_use) = programs.get_mut(&(*cid, need))?;
        *last_use = *uses;
        Some(program.clone())
    }

    fn keep(&self, cid: &Cid, need: Need, program: &Program) {
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
                .map(|(key, _)| *key);
            oldest.map(|oldest| programs.remove(&oldest));
        }
        programs.insert((*cid, need), (program.clone(), *uses));
    }
}

/// Refuses a program that could not run in any way: it is no WebAssembly, or no command, or imports something that does
/// not exist by that name or type. This does not read code, so it is fast for programs of any size.
///
/// ```
/// use mc_engine::{Error, Form, check};
///
/// let command = wat::parse_str(r#"(module (func (export "_start")))"#).unwrap();
/// assert_eq!(check(&command).unwrap(), Form::Module);
/// let library = wat::parse_str(r#"(module (func (export "sum")))"#).unwrap();
/// assert!(matches!(check(&library), Err(Error::CoreModule { .. })));
/// ```
///
/// # Errors
///
/// [`Error`] says why.
pub fn check(bytes: &[u8]) -> Result<Form, Error> {
    let form = check_names(bytes)?;
    let backend = Backend::new(&Options::default(), Counting::Instrumented)?;
    backend.check_types(form, bytes, false)?;
    Ok(form)
}

/// Decides in which way a program runs, and instruments it for that.
fn prepare(
    cid: &Cid,
    form: Form,
    bytes: &[u8],
    need: Need,
) -> (Way, Option<mc_checkpoint::Program>) {
    let mut way = Way::Relaxed;
    for preferred in Way::of(need) {
        way = *preferred;
        let Some(ability) = way.ability() else {
            break;
        };
        match instrument(form, bytes, ability) {
            Ok(instrumented) => return (way, Some(instrumented)),
            Err(refused) => {
                tracing::info!(%cid, %refused, "wasmtime counts the fuel of this one");
            }
        }
    }
    (way, None)
}

fn instrument(
    form: Form,
    bytes: &[u8],
    ability: Ability,
) -> Result<mc_checkpoint::Program, Refused> {
    match form {
        Form::Component => mc_checkpoint::instrument_component(bytes, ability),
        Form::Module => mc_checkpoint::instrument_module(bytes, ability),
    }
}

/// What names compiled code besides the program's CID.
fn key(way: Way, backend: &Backend) -> String {
    format!("{}-{}", way.label(), backend.fingerprint)
}
