//! The state of a guest's world, and what is neither file nor stream.

use crate::{
    At, Errno, Error, FileSystem, Handle, Inputs, Quota, Result, Stop,
    clock::{Clock, DEFAULT_START_SECONDS},
    handles::{Descriptor, Handles, Pollable},
    log::Logs,
    random::Random,
};
use mc_types::LogStream;
use serde::{Deserialize, Serialize};

/// Fuel that a call costs, whatever it does.
const CALL_FUEL: u64 = 32;
/// Bytes that a call may move for one unit of fuel.
const BYTES_PER_FUEL: usize = 16;
/// Most random bytes of one call.
const MAX_RANDOM_BYTES: u64 = 16 << 20;

/// What a guest may make grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// Bytes of standard output and standard error together.
    pub output_bytes: u64,
    /// What it may write to files.
    pub files: Quota,
    /// Handles at a time.
    pub handles: u32,
}

/// Which interface the guest was built for: it decides what it holds at the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preview {
    /// `wasi_snapshot_preview1`: descriptors 0 to 2 are the standard streams, 3 is `/`.
    One,
    /// WASI 0.2: nothing.
    Two,
}

/// A place in the guest's tree, and what is there at the beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// An absolute path.
    pub path: String,
    /// Whether it was given; otherwise it is an empty directory.
    pub given: bool,
    /// Whether the guest may change it.
    pub writable: bool,
}

/// How a guest's world begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Its arguments, beginning with its own name.
    pub args: Vec<String>,
    /// Its environment.
    pub env: Vec<(String, String)>,
    /// Its directories.
    pub mounts: Vec<Mount>,
    /// What it may make grow.
    pub bounds: Bounds,
    /// When it believes to start, in seconds since 1970.
    pub start_seconds: Option<u64>,
}

/// All that changes while a guest runs, apart from its memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) files: FileSystem,
    pub(crate) handles: Handles,
    pub(crate) logs: Logs,
    pub(crate) stdin_bytes: u64,
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    /// Fuel for the work of calls.
    pub(crate) call_fuel: u64,
}

/// A guest's world.
pub struct Host {
    /// All of it that changes.
    pub(crate) state: State,
    pub(crate) inputs: Box<dyn Inputs>,
    /// Fuel that the guest's own instructions have used. The caller sets it before each call.
    pub(crate) guest_fuel: u64,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// A world in which nothing has happened.
    #[must_use]
    pub fn new(setup: Setup, preview: Preview, inputs: Box<dyn Inputs>) -> Self {
        let start = setup.start_seconds.unwrap_or(DEFAULT_START_SECONDS);
        let clock = Clock::new(start);
        let mut files = FileSystem::new(setup.bounds.files, clock.wall(0));
        for (number, mount) in (0..).zip(&setup.mounts) {
            let given = mount.given.then(|| At::mount(number));
            files.mount(&mount.path, given, mount.writable);
        }
        let mut handles = Handles::new(setup.bounds.handles);
        if preview == Preview::One {
            files.keep(FileSystem::ROOT);
            let standard = [
                Handle::Stdin,
                Handle::Standard(LogStream::Stdout),
                Handle::Standard(LogStream::Stderr),
                Handle::Descriptor(Descriptor::new(FileSystem::ROOT, true, true)),
            ];
            for handle in standard {
                // If the bounds leave no room for these, the guest begins without them.
                let _ = handles.insert(handle);
            }
        }
        let state = State {
            args: setup.args,
            env: setup.env,
            files,
            handles,
            logs: Logs::new(setup.bounds.output_bytes),
            stdin_bytes: 0,
            clock,
            random: Random::default(),
            call_fuel: 0,
        };
        Self::resume(state, inputs)
    }

    /// A world as it was when `state` was taken from it.
    #[must_use]
    pub fn resume(state: State, inputs: Box<dyn Inputs>) -> Self {
        Self {
            state,
            inputs,
            guest_fuel: 0,
        }
    }

    /// All that changes.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The files, to be read when the guest has ended.
    pub fn files(&mut self) -> (&mut FileSystem, &mut dyn Inputs) {
        (&mut self.state.files, &mut *self.inputs)
    }

    /// Begins a call of a guest whose own instructions have used `guest_fuel`, and charges for it.
    pub fn enter(&mut self, guest_fuel: u64) {
        self.guest_fuel = guest_fuel;
        self.state.call_fuel = self.state.call_fuel.saturating_add(CALL_FUEL);
    }

    /// Fuel for the calls so far.
    #[must_use]
    pub const fn call_fuel(&self) -> u64 {
        self.state.call_fuel
    }

    /// Charges for moving `bytes`.
    pub(crate) fn charge(&mut self, bytes: usize) {
        let fuel = u64::try_from(bytes / BYTES_PER_FUEL).unwrap_or(u64::MAX);
        self.state.call_fuel = self.state.call_fuel.saturating_add(fuel);
    }

    const fn fuel(&self) -> u64 {
        self.guest_fuel.saturating_add(self.state.call_fuel)
    }

    /// The arguments, beginning with the program's name.
    #[must_use]
    pub fn args(&self) -> &[String] {
        &self.state.args
    }

    /// The environment.
    #[must_use]
    pub fn env(&self) -> &[(String, String)] {
        &self.state.env
    }

    /// Nanoseconds since the guest began.
    #[must_use]
    pub const fn monotonic_now(&self) -> u64 {
        self.state.clock.monotonic(self.fuel())
    }

    /// Nanoseconds that the guest has computed: what it slept does not count.
    #[must_use]
    pub const fn computed_now(&self) -> u64 {
        self.fuel()
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub const fn wall_now(&self) -> u64 {
        self.state.clock.wall(self.fuel())
    }

    /// Sleeps until a time on the monotonic clock, which takes no time at all.
    pub fn sleep_until(&mut self, deadline: u64) {
        let fuel = self.fuel();
        self.state.clock.sleep_until(deadline, fuel);
    }

    /// `length` random bytes.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] for more than 16 MiB at once.
    pub fn random(&mut self, length: u64, secure: bool) -> Result<Vec<u8>, Stop> {
        if length > MAX_RANDOM_BYTES {
            return Err(Stop::Trap("more than 16 MiB of random bytes at once"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        self.charge(bytes.len());
        let (random, inputs) = (&mut self.state.random, &mut *self.inputs);
        if secure {
            random.secure(&mut bytes, inputs)?;
        } else {
            random.insecure(&mut bytes, inputs)?;
        }
        Ok(bytes)
    }

    /// Fills `into` with random bytes.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    pub fn fill_random(&mut self, into: &mut [u8]) -> Result<(), Stop> {
        self.charge(into.len());
        self.state.random.secure(into, &mut *self.inputs)
    }

    /// Two numbers that are the same at every call.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    pub fn insecure_seed(&mut self) -> Result<(u64, u64), Stop> {
        self.state.random.seed(&mut *self.inputs)
    }

    /// A handle of something that can fail only by the number of handles.
    pub(crate) fn hold(&mut self, handle: Handle) -> Result<u32, Stop> {
        let held = self.state.handles.insert_beyond(handle);
        held.map_err(|_| Stop::Trap("too many open handles"))
    }

    /// Lets go of a handle.
    ///
    /// # Errors
    ///
    /// [`Errno::BadDescriptor`].
    pub fn close(&mut self, number: u32) -> Result<(), Errno> {
        let handle = self.state.handles.remove(number)?;
        self.release(&handle);
        Ok(())
    }

    /// Ends what a handle that is no longer held kept in being.
    pub(crate) fn release(&mut self, handle: &Handle) {
        if let Some(node) = handle.node() {
            self.state.files.close(node);
        }
    }

    /// Something that is ready at once.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] at the limit of handles.
    pub fn subscribe(&mut self) -> Result<u32, Stop> {
        self.hold(Handle::Pollable(Pollable::Ready))
    }

    /// Something that is ready at a time on the monotonic clock.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] at the limit of handles.
    pub fn subscribe_at(&mut self, deadline: u64) -> Result<u32, Stop> {
        self.hold(Handle::Pollable(Pollable::At(deadline)))
    }

    /// Whether something is ready.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] for what is no pollable.
    pub fn is_ready(&self, number: u32) -> Result<bool, Stop> {
        Ok(match self.state.handles.pollable(number)? {
            Pollable::Ready => true,
            Pollable::At(deadline) => deadline <= self.monotonic_now(),
        })
    }

    /// Waits until one of `numbers` is ready and returns the positions of those that are.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] for an empty list, which would wait for ever.
    pub fn poll(&mut self, numbers: &[u32]) -> Result<Vec<u32>, Stop> {
        if numbers.is_empty() {
            return Err(Stop::Trap("poll on nothing"));
        }
        self.charge(numbers.len());
        let mut first = u64::MAX;
        for number in numbers {
            first = first.min(match self.state.handles.pollable(*number)? {
                Pollable::Ready => 0,
                Pollable::At(deadline) => deadline,
            });
        }
        self.sleep_until(first);
        let mut ready = Vec::new();
        for (position, number) in (0..).zip(numbers) {
            if self.is_ready(*number)? {
                ready.push(position);
            }
        }
        Ok(ready)
    }

    /// What was written to a standard stream since the last time, to be delivered.
    pub fn take_output(&mut self, stream: LogStream) -> Vec<u8> {
        match stream {
            LogStream::Stdout => self.state.logs.stdout.take(),
            LogStream::Stderr => self.state.logs.stderr.take(),
        }
    }

    /// Whether there is anything to deliver.
    #[must_use]
    pub const fn has_output(&self) -> bool {
        self.state.logs.stdout.has_pending() || self.state.logs.stderr.has_pending()
    }

    /// Writes to a standard stream.
    ///
    /// # Errors
    ///
    /// [`Stop::OutputLimit`].
    pub fn print(&mut self, stream: LogStream, bytes: &[u8]) -> Result<(), Stop> {
        self.charge(bytes.len());
        self.state.logs.append(stream, bytes)
    }

    /// Reads from standard input; nothing once it has ended.
    ///
    /// # Errors
    ///
    /// [`Stop::Host`].
    pub fn read_stdin(&mut self, into: &mut [u8]) -> Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let read = self.inputs.stdin(self.state.stdin_bytes, into);
        let read = read.map_err(Error::from)?;
        self.charge(read);
        self.state.stdin_bytes += read as u64;
        Ok(read)
    }
}
