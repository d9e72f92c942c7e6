//! An instance of a program, as it is run, stopped and resumed.

use crate::{
    checkpoint::Restoring,
    guest::{Counter, Guest},
    program::{Code, Program},
};
use mc_checkpoint::{
    LOAD_EXPORT, SAVE_EXPORT, START_EXPORT, memory_export,
    meter::{self, Ask},
};
use mc_types::Termination;
use wasmtime::{Memory, Store, TypedFunc, component};

/// What can be called of an instance.
pub(crate) enum Instance {
    Component {
        run: component::TypedFunc<(), (Result<(), ()>,)>,
        /// Of a component that can be stopped: what passes the meter, and what shows all state.
        stop: Option<(component::TypedFunc<(), ()>, component::TypedFunc<(), ()>)>,
    },
    Module {
        instance: wasmtime::Instance,
        page: Option<Memory>,
        /// Those that the module has of its own, if it can be stopped.
        memories: Vec<Memory>,
        is_resumed: bool,
    },
}

impl Instance {
    /// Makes an instance. What the guest goes on with, if it does, is put in its place.
    pub(crate) fn new(program: &Program, store: &mut Store<Guest>) -> wasmtime::Result<Self> {
        match &program.code {
            Code::Component(component, run) => {
                let instance = component.instantiate(&mut *store)?;
                let run = instance.get_typed_func(&mut *store, run)?;
                let stop = if program.stops() {
                    let arm = instance.get_typed_func(&mut *store, meter::ARM_EXPORT)?;
                    let capture = instance.get_typed_func(&mut *store, meter::CAPTURE_EXPORT)?;
                    Some((arm, capture))
                } else {
                    None
                };
                Ok(Self::Component { run, stop })
            }
            Code::Module(module) => {
                let instance = module.instantiate(&mut *store)?;
                store.data_mut().memory = instance.get_memory(&mut *store, "memory");
                let page = instance.get_memory(&mut *store, meter::PAGE);
                let is_resumed = store.data().restoring.is_some();
                let memories: Vec<_> = own_memories(instance, store);
                if let Some(page) = page {
                    let beginning = store.data_mut().next_image();
                    page.write(&mut *store, 0, &beginning)?;
                    let address = page.data_ptr(&*store);
                    address.expose_provenance();
                    store.data().watch.attach(address);
                    store.data_mut().counter = Counter::Module(page);
                }
                if is_resumed {
                    let mut restoring = store.data_mut().restoring.take().unwrap_or_default();
                    fill(&memories, store, &mut restoring)?;
                    call(instance, store, LOAD_EXPORT)?;
                }
                Ok(Self::Module {
                    instance,
                    page,
                    memories,
                    is_resumed,
                })
            }
            Code::Relaxed(_) => Err(wasmtime::Error::msg("a relaxed program")),
        }
    }

    /// Runs the guest from where it is, until it ends or stops.
    pub(crate) fn run(&mut self, store: &mut Store<Guest>) -> wasmtime::Result<Termination> {
        match self {
            Self::Component { run, .. } => {
                let (result,) = run.call(&mut *store, ())?;
                Ok(Termination::Exited {
                    code: result.is_err().into(),
                })
            }
            Self::Module {
                instance,
                is_resumed,
                ..
            } => {
                let is_first = !std::mem::replace(is_resumed, true);
                if is_first && instance.get_func(&mut *store, START_EXPORT).is_some() {
                    call(*instance, store, START_EXPORT)?;
                }
                call(*instance, store, "_start")?;
                Ok(Termination::Exited { code: 0 })
            }
        }
    }

    /// Shows all state of a guest that was stopped, in [`Guest::exposed`] if it is a component.
    pub(crate) fn capture(&self, store: &mut Store<Guest>) -> wasmtime::Result<()> {
        store.data_mut().exposed.clear();
        match self {
            Self::Component { stop, .. } => match stop {
                Some((_, capture)) => capture.call(&mut *store, ()),
                None => Err(wasmtime::Error::msg("a component that cannot be stopped")),
            },
            Self::Module { instance, .. } => call(*instance, store, SAVE_EXPORT),
        }
    }

    /// Gives the guest what [`Guest::next_image`] says.
    pub(crate) fn arm(&self, store: &mut Store<Guest>) -> wasmtime::Result<()> {
        match self {
            Self::Component { stop, .. } => match stop {
                Some((arm, _)) => arm.call(&mut *store, ()),
                None => Err(wasmtime::Error::msg("a component that cannot be stopped")),
            },
            Self::Module { page, .. } => {
                let image = store.data_mut().next_image();
                match page {
                    Some(page) => Ok(page.write(&mut *store, 0, &image)?),
                    None => Err(wasmtime::Error::msg("the meter is missing")),
                }
            }
        }
    }

    /// The guest's memories, once they have been shown.
    pub(crate) fn memories<'a>(&self, store: &'a Store<Guest>) -> Vec<&'a [u8]> {
        match self {
            Self::Component { .. } => {
                let exposed = store.data().exposed.iter();
                exposed.map(|memory| memory.as_le_slice(store)).collect()
            }
            Self::Module { memories, .. } => {
                memories.iter().map(|memory| memory.data(store)).collect()
            }
        }
    }
}

fn call(
    instance: wasmtime::Instance,
    store: &mut Store<Guest>,
    name: &str,
) -> wasmtime::Result<()> {
    let function: TypedFunc<(), ()> = instance.get_typed_func(&mut *store, name)?;
    function.call(&mut *store, ())
}

/// The memories that a module has of its own.
fn own_memories(instance: wasmtime::Instance, store: &mut Store<Guest>) -> Vec<Memory> {
    (0..)
        .map_while(|number| instance.get_memory(&mut *store, &memory_export(number)))
        .collect()
}

fn fill(
    memories: &[Memory],
    store: &mut Store<Guest>,
    restoring: &mut Restoring,
) -> wasmtime::Result<()> {
    for (number, memory) in (0..).zip(memories) {
        let pages = restoring.answer(number, Ask::Pages.number())?;
        let Some(growth) = pages.checked_sub(memory.size(&*store)) else {
            return Err(wasmtime::Error::msg("a memory that shrank"));
        };
        memory.data_mut(&mut *store).fill(0);
        memory.grow(&mut *store, growth)?;
        loop {
            let address = restoring.answer(number, Ask::Address.number())?;
            let Ok(address) = usize::try_from(address) else {
                break;
            };
            if address == usize::MAX {
                break;
            }
            let bytes = restoring.bytes(number)?;
            memory.write(&mut *store, address, &bytes)?;
        }
    }
    Ok(())
}
