//! A wasmtime engine, and what guests may import from it.

use super::{
    Options,
    compiling::{contained, invalid},
    way::Way,
};
use crate::{
    Error, Form, Program,
    config::{self, Counting},
    guest::Guest,
    offered::{is_offered, is_run},
    preview1, preview2,
    program::Code,
    relaxed, sites,
    ticker::Ticker,
};
use mc_checkpoint::{Ability, imports_only, instrument_component};
use sha2::{Digest, Sha256};
use std::{
    hash::{Hash, Hasher},
    path::Path,
    sync::{Arc, OnceLock},
};
use wasmtime::{InstancePre, Module, Precompiled, component, component::Component};
use wasmtime_wasi::p2::bindings::CommandPre;

/// What is made when it is first needed, which may fail.
pub(super) struct Lazy<T>(OnceLock<T>);

impl<T> Default for Lazy<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Lazy<T> {
    pub(super) fn get<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if let Some(made) = self.0.get() {
            return Ok(made);
        }
        let made = make()?;
        Ok(self.0.get_or_init(|| made))
    }
}

/// A wasmtime engine with all that guests may import.
pub(super) struct Backend {
    raw: wasmtime::Engine,
    ticker: Arc<Ticker>,
    on_guest_thread: Option<fn()>,
    components: Lazy<wasmtime::component::Linker<Guest>>,
    /// For components that can be stopped.
    stoppable: Lazy<wasmtime::component::Linker<Guest>>,
    modules: Lazy<wasmtime::Linker<Guest>>,
    /// Names the engine and how it compiles.
    pub(super) fingerprint: String,
}

/// A program that was compiled.
pub(super) enum Compiled {
    Component(Component),
    Module(Module),
}

impl Compiled {
    pub(super) fn serialize(&self) -> wasmtime::Result<Vec<u8>> {
        match self {
            Self::Component(component) => component.serialize(),
            Self::Module(module) => module.serialize(),
        }
    }
}

fn engine_error(error: wasmtime::Error) -> Error {
    Error::Engine(format!("{error:#}"))
}

/// What was compiled is valid, and the names of its imports are known. So if it cannot be linked, it imports something
/// of another type by such a name.
pub(super) fn in_another_form(error: Error) -> Error {
    match error {
        Error::Invalid { reason } => Error::ImportForm { reason },
        error => error,
    }
}

impl Backend {
    pub(super) fn new(options: &Options, counting: Counting) -> Result<Self, Error> {
        let raw = config::engine(options.allocation, options.target, counting)?;
        Ok(Self {
            ticker: Arc::new(Ticker::new()),
            on_guest_thread: options.on_guest_thread,
            components: Lazy::default(),
            stoppable: Lazy::default(),
            modules: Lazy::default(),
            fingerprint: fingerprint(&raw),
            raw,
        })
    }

    pub(super) fn compile(&self, form: Form, bytes: &[u8]) -> Result<Compiled, Error> {
        Ok(match form {
            Form::Component => {
                Compiled::Component(contained(|| Component::from_binary(&self.raw, bytes))?)
            }
            Form::Module => Compiled::Module(contained(|| Module::from_binary(&self.raw, bytes))?),
        })
    }

    pub(super) fn deserialize(&self, path: &Path) -> Option<Compiled> {
        #[expect(
            unsafe_code,
            reason = "compiled code can be trusted only as far as its origin"
        )]
        // SAFETY: `Cache::get` returned the path, so the checksum over program, engine fingerprint
        // and code is intact, and the file lies in a directory that only this user can write to: it
        // is what `serialize` gave to `Cache::put` under the same engine. Entries are replaced by
        // renaming, never written to, so what is mapped does not change.
        let compiled = unsafe {
            match wasmtime::Engine::detect_precompiled_file(path).ok()?? {
                Precompiled::Component => {
                    Component::deserialize_file(&self.raw, path).map(Compiled::Component)
                }
                Precompiled::Module => {
                    Module::deserialize_file(&self.raw, path).map(Compiled::Module)
                }
            }
        };
        compiled
            .inspect_err(|error| tracing::warn!(%error, "cached code was refused"))
            .ok()
    }

    /// Links a program that is a command.
    pub(super) fn program(
        &self,
        compiled: &Compiled,
        way: Way,
        sites: Option<sites::Source>,
    ) -> Result<Program, Error> {
        let code = match (compiled, way) {
            (Compiled::Component(component), Way::Relaxed) => self.relaxed(component)?,
            (Compiled::Component(component), _) => self.component(component, sites.is_some())?,
            (Compiled::Module(module), Way::Relaxed) => self.relaxed_module(module)?,
            (Compiled::Module(module), _) => self.module(module)?,
        };
        Ok(Program {
            raw: self.raw.clone(),
            ticker: Arc::clone(&self.ticker),
            on_thread: self.on_guest_thread,
            counting: way.counting(),
            code,
            resumes: way == Way::Resumable && sites.is_some(),
            sites: sites.map(Arc::new),
        })
    }

    /// Refuses a program that imports something of another type by a known name. The program without its code is
    /// linked, just as all of it would be.
    pub(super) fn check_types(
        &self,
        form: Form,
        program: &[u8],
        is_relaxed: bool,
    ) -> Result<(), Error> {
        let Some(imports) = imports_only(program) else {
            return Ok(());
        };
        // A program that is malformed, or needs what is not offered, gets an error of its own when its code is read.
        let linked = match self.compile(form, &imports) {
            Err(_) => return Ok(()),
            Ok(Compiled::Component(component)) if is_relaxed => {
                self.relaxed_imports(&component).map(drop)
            }
            Ok(Compiled::Component(component)) => self
                .imports(&component, false)
                .and_then(|_| self.check_numbers(&imports)),
            Ok(Compiled::Module(module)) if is_relaxed => {
                self.relaxed_module_imports(&module).map(drop)
            }
            Ok(Compiled::Module(module)) => self.module_imports(&module).map(drop),
        };
        linked.map_err(in_another_form)
    }

    /// Refuses a component that gives handles away where it should lend them, or the other way round. In a component
    /// that can be stopped, handles are numbers, and those for lending and for giving away differ.
    fn check_numbers(&self, imports: &[u8]) -> Result<(), Error> {
        let numbers = match instrument_component(imports, Ability::Stop) {
            Ok(program) if program.sites.is_ok() => imports_only(&program.wasm),
            _ => None,
        };
        let Some(numbers) = numbers else {
            return Ok(());
        };
        match self.compile(Form::Component, &numbers) {
            Ok(Compiled::Component(component)) => self.imports(&component, true).map(drop),
            _ => Ok(()),
        }
    }

    /// The name of the interface that runs a component, if all its imports exist.
    fn command(&self, component: &Component) -> Result<String, Error> {
        let kind = component.component_type();
        let imports = kind.imports(&self.raw).map(|(name, _)| name.to_owned());
        let names: Vec<_> = imports.filter(|name| !is_offered(name)).collect();
        if !names.is_empty() {
            return Err(Error::UnsupportedImports { names });
        }
        let mut exports = kind.exports(&self.raw).map(|(name, _)| name.to_owned());
        let run = exports.find(|name| is_run(name));
        run.ok_or_else(|| Error::NotACommand {
            exports: kind.exports(&self.raw).map(|(n, _)| n.to_owned()).collect(),
        })
    }

    /// Links what a component imports.
    fn imports(
        &self,
        component: &Component,
        stops: bool,
    ) -> Result<component::InstancePre<Guest>, Error> {
        let all = if stops {
            self.stoppable.get(|| preview2::stoppable(&self.raw))
        } else {
            self.components.get(|| preview2::linker(&self.raw))
        };
        let all = all.map_err(engine_error)?;
        let mut linker = None;
        let imports = component.component_type();
        let mut names = imports.imports(&self.raw).map(|(name, _)| name);
        if names.any(preview2::is_denied) {
            let linker = linker.insert(all.clone());
            preview2::deny(linker, component, &self.raw).map_err(invalid)?;
        }
        let linker = linker.as_ref().unwrap_or(all);
        linker.instantiate_pre(component).map_err(invalid)
    }

    fn component(&self, component: &Component, stops: bool) -> Result<Code, Error> {
        let interface = self.command(component)?;
        let pre = self.imports(component, stops)?;
        let run = component
            .get_export_index(None, &interface)
            .and_then(|interface| component.get_export_index(Some(&interface), "run"));
        let run = run.ok_or_else(|| Error::NotACommand {
            exports: vec![interface],
        })?;
        Ok(Code::Component(pre, run))
    }

    /// Links what a module imports.
    fn module_imports(&self, module: &Module) -> Result<InstancePre<Guest>, Error> {
        let linker = self.modules.get(|| preview1::linker(&self.raw));
        let linker = linker.map_err(engine_error)?;
        linker.instantiate_pre(module).map_err(invalid)
    }

    fn module(&self, module: &Module) -> Result<Code, Error> {
        check_command(module)?;
        Ok(Code::Module(self.module_imports(module)?))
    }

    /// Links what a component imports to the machine's world.
    fn relaxed_imports(
        &self,
        component: &Component,
    ) -> Result<component::InstancePre<relaxed::State>, Error> {
        let linker = relaxed::linker(&self.raw).map_err(engine_error)?;
        linker.instantiate_pre(component).map_err(invalid)
    }

    fn relaxed(&self, component: &Component) -> Result<Code, Error> {
        self.command(component)?;
        let command = CommandPre::new(self.relaxed_imports(component)?);
        let command = relaxed::Command::Component(Arc::new(command.map_err(invalid)?));
        Ok(Code::Relaxed(command))
    }

    /// Links what a module imports to the machine's world.
    fn relaxed_module_imports(
        &self,
        module: &Module,
    ) -> Result<InstancePre<relaxed::ModuleState>, Error> {
        let linker = relaxed::module_linker(&self.raw).map_err(engine_error)?;
        linker.instantiate_pre(module).map_err(invalid)
    }

    fn relaxed_module(&self, module: &Module) -> Result<Code, Error> {
        check_command(module)?;
        let pre = self.relaxed_module_imports(module)?;
        Ok(Code::Relaxed(relaxed::Command::Module(pre)))
    }
}

/// Refuses a module that is no command. What it imports was looked at before it was compiled.
fn check_command(module: &Module) -> Result<(), Error> {
    let lacking = |reason: &str| Error::CoreModule {
        reason: reason.to_owned(),
    };
    let start = module.get_export("_start");
    let start = start.and_then(|start| start.func().cloned());
    let start = start.ok_or_else(|| lacking("it does not export the function _start"))?;
    if start.params().len() + start.results().len() > 0 {
        return Err(lacking("its _start takes parameters or returns something"));
    }
    Ok(())
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
