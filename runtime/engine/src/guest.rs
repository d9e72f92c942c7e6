//! What a running guest has on the host's side, and how its calls get there.

use crate::{limiter::Limiter, sink::Sink, ticker::Watch};
use mc_checkpoint::meter::{self, Reading};
use mc_wasi::{Host, Stop, Stream};
use std::sync::Arc;
use wasmtime::{AsContext, Memory, StoreContextMut, component::WasmList};

/// A guest that calls.
pub(crate) type Call<'a> = StoreContextMut<'a, Guest>;

/// Where the fuel that a guest's own instructions used can be read.
pub(crate) enum Counter {
    /// Nowhere yet: the guest has not begun.
    Absent,
    /// On the page of an instrumented component.
    Component(WasmList<u8>),
    /// On the page of an instrumented core module.
    Module(Memory),
    /// With wasmtime.
    Wasmtime,
}

/// The limits of a guest, in the meter's terms.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) fuel: i64,
    pub(crate) stack: i32,
}

impl Allowance {
    /// The fuel as others count it; there never is less than none.
    pub(crate) fn units(self) -> u64 {
        u64::try_from(self.fuel).unwrap_or_default()
    }
}

/// What a running guest has on the host's side.
pub(crate) struct Guest {
    pub(crate) host: Host,
    pub(crate) limiter: Limiter,
    pub(crate) counter: Counter,
    pub(crate) allowance: Allowance,
    /// The memory that a core module's calls refer to.
    pub(crate) memory: Option<Memory>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) stdout: Sink,
    pub(crate) stderr: Sink,
    /// Whether whoever read the output has gone.
    pub(crate) output_closed: bool,
}

impl Guest {
    /// Takes note of a component's meter, and says what may be used.
    pub(crate) fn attach(mut cx: Call<'_>, page: WasmList<u8>) -> Vec<u8> {
        if matches!(cx.data().counter, Counter::Absent) {
            // It is called with the beginning of the page before anything of the guest runs.
            let address = page.as_le_slice(&cx).as_ptr();
            address.expose_provenance();
            cx.data().watch.attach(address);
            cx.data_mut().counter = Counter::Component(page);
        }
        cx.data().page().to_vec()
    }

    /// What the meter says, if there is one of ours.
    pub(crate) fn reading(cx: impl AsContext<Data = Self>) -> Option<Reading> {
        let cx = cx.as_context();
        match &cx.data().counter {
            Counter::Component(page) => Reading::of(page.as_le_slice(&cx)),
            Counter::Module(page) => Reading::of(page.data(&cx)),
            Counter::Absent | Counter::Wasmtime => None,
        }
    }

    /// Fuel that the guest's own instructions have used.
    pub(crate) fn own_fuel(cx: impl AsContext<Data = Self>) -> u64 {
        let cx = cx.as_context();
        let left = match &cx.data().counter {
            Counter::Absent => return 0,
            Counter::Wasmtime => cx.get_fuel().ok().and_then(|left| i64::try_from(left).ok()),
            Counter::Component(_) | Counter::Module(_) => {
                Self::reading(&cx).map(|reading| reading.fuel_left)
            }
        };
        let used = left.and_then(|left| cx.data().allowance.fuel.checked_sub(left));
        used.and_then(|used| u64::try_from(used).ok()).unwrap_or(0)
    }

    /// Makes a call of the guest, which then pays for it.
    pub(crate) fn call<T>(
        mut cx: Call<'_>,
        f: impl FnOnce(&mut Host) -> Result<T, Stop>,
    ) -> wasmtime::Result<T> {
        let own = Self::own_fuel(&cx);
        let guest = cx.data_mut();
        guest.host.enter(own);
        let result = f(&mut guest.host);
        guest.settle(own)?;
        Ok(result?)
    }

    /// Delivers what the guest wrote, and stops it if it cannot pay.
    pub(crate) fn settle(&mut self, own_fuel: u64) -> Result<(), Stop> {
        if self.host.has_output() {
            self.deliver()?;
        }
        if self.fuel_used(own_fuel) > self.allowance.units() {
            return Err(Stop::OutOfFuel);
        }
        Ok(())
    }

    /// Fuel for the guest's own instructions and for the calls that it made.
    pub(crate) fn fuel_used(&self, own_fuel: u64) -> u64 {
        own_fuel.saturating_add(self.host.call_fuel())
    }

    fn deliver(&mut self) -> Result<(), Stop> {
        for (stream, sink) in [
            (Stream::Stdout, &mut self.stdout),
            (Stream::Stderr, &mut self.stderr),
        ] {
            let bytes = self.host.take_output(stream);
            if let Err(error) = sink.write_all(&bytes) {
                self.output_closed = error.kind() == std::io::ErrorKind::BrokenPipe;
                let reason = format!("output could not be written: {error}");
                return Err(Stop::Host(reason));
            }
        }
        Ok(())
    }

    /// The destructor of all resources, whose representation is the number of a handle.
    pub(crate) fn drop_handle(cx: Call<'_>, number: u32) -> wasmtime::Result<()> {
        Self::call(cx, |host| {
            host.close(number)
                .map_err(|_| Stop::Trap("a handle was dropped twice"))
        })
    }

    /// The beginning of the meter's page.
    pub(crate) fn page(&self) -> [u8; meter::BYTES] {
        meter::begin(meter::Allowance {
            fuel: self.allowance.fuel,
            reserve: 0,
            stack: self.allowance.stack,
        })
    }
}
