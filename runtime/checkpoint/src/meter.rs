//! The memory that a host and a running guest share for the meter. A stopped guest leaves its stack there.
//!
//! | offset | what |
//! |---|---|
//! | 0 | the page: the words below, little-endian |
//! | [`GLOBALS`] | the mutable globals of all modules, while a guest is stopped |
//! | [`FRAMES`] | the frames of a guest that is stopped, the innermost first |

/// The module name under which instrumented modules import the memory.
pub const IMPORT_MODULE: &str = "mc:meter";
/// The name of the memory, as import and as export.
pub const PAGE: &str = "mc:meter";
/// The prefix of all imports and exports that the pass adds to a component.
pub const NAMES: &str = "mc-";
/// The function that a rewritten component imports and calls before anything of the guest runs, and whenever the host
/// calls [`ARM_EXPORT`]: `func(memory: list<u8>) -> list<u8>`. It takes the memory, and returns the new contents of its
/// beginning.
pub const ATTACH_IMPORT: &str = "mc-meter-attach";
/// The function of a component that can be stopped that makes it call [`ATTACH_IMPORT`]: `func()`.
pub const ARM_EXPORT: &str = "mc-meter-arm";
/// Imported by a component that can be stopped, in the place of the destructors of all resources:
/// `func(handle: u32)`. Resources are plain numbers there.
pub const DROP_IMPORT: &str = "mc-drop";
/// Imported by a component that can be stopped: `func(memory: u32, what: u32) -> u64`, see [`Ask`].
pub const ASK_IMPORT: &str = "mc-memory-ask";
/// Imported by a component that can be stopped: `func(memory: u32) -> list<u8>`, the bytes that belong to
/// the address that [`Ask::Address`] gave last.
pub const RESTORE_IMPORT: &str = "mc-memory-restore";
/// Imported by a component that can be stopped: `func(memory: u32, bytes: list<u8>)`. It shows a memory to the host
/// when the host calls [`CAPTURE_EXPORT`].
pub const EXPOSE_IMPORT: &str = "mc-memory-expose";
/// The function of a component that can be stopped which copies all globals to the meter's memory and
/// shows all memories: `func()`.
pub const CAPTURE_EXPORT: &str = "mc-capture";

/// What a component that is resumed asks about a memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// How many pages of 64 KiB it has.
    Pages,
    /// Where the next bytes belong; [`u64::MAX`] if there are none left.
    Address,
    /// Its first 8 bytes, which were used meanwhile.
    First,
}

impl Ask {
    /// The number that stands for it.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Pages => 0,
            Self::Address => 1,
            Self::First => 2,
        }
    }

    /// What a number stands for.
    #[must_use]
    pub fn of(number: u32) -> Option<Self> {
        [Self::Pages, Self::Address, Self::First]
            .into_iter()
            .find(|ask| ask.number() == number)
    }
}

/// Offset of the fuel that is left of the slice that the guest took: a signed 64-bit integer, negative once
/// there is none. [`UNWINDING`] while the guest's calls return one after the other.
pub const FUEL_LEFT: u64 = 0;
/// Offset of the bytes of stack that are left: a signed 32-bit integer.
pub const STACK_LEFT: u64 = 8;
/// Offset of a 32-bit integer that is 1 if the meter ended the guest.
pub const STRUCK: u64 = 12;
/// Offset of the fuel that is left beyond [`FUEL_LEFT`] and [`ROOM`]: a signed 64-bit integer. A guest that has used
/// this too ends; before that, it only stops.
pub const RESERVE: u64 = 16;
/// Offset of the value of [`FUEL_LEFT`] at the stop, which it gets again on resuming.
pub const KEPT_FUEL: u64 = 24;
/// Offset of a signed 32-bit integer: [`RESUMING`], 0, or the number of open calls that must return to the host. The
/// guest does not stop during those.
pub const MODE: u64 = 32;
/// Offset of where the frames end: a 32-bit integer.
pub const FRAMES_END: u64 = 36;
/// Offset of the fuel at the last call before the stop, as [`FUEL_LEFT`] had it. It counts when a guest traps.
pub const PAID_FUEL: u64 = 40;
/// Offset of the fuel beyond [`FUEL_LEFT`] until the guest must stop: a signed 64-bit integer. The guest takes a slice
/// of it whenever it has none left, unless it was told to stop.
pub const ROOM: u64 = 48;
/// Offset of a 64-bit integer that is zero. Another thread changes it to tell the guest to stop.
pub const STOP: u64 = 56;
/// Bytes of the page that tell how the guest stands.
pub const BYTES: usize = 64;
/// Offset of 8 bytes that [`ATTACH_IMPORT`] uses.
pub const SCRATCH: u64 = 64;
/// Fuel that a guest takes at a time: what it uses in about a millisecond, or in some 20 when it is interpreted. It may
/// take that long to notice that it was told to stop.
pub const SLICE: i64 = 1 << 20;

/// Offset of the globals.
pub const GLOBALS: u32 = 1 << 16;
/// Bytes for globals.
pub const GLOBALS_BYTES: u32 = 1 << 20;
/// Offset of the frames.
pub const FRAMES: u32 = GLOBALS + GLOBALS_BYTES;
/// Bytes for frames. A frame is never larger than what its function counts as stack.
pub const FRAMES_BYTES: u32 = 16 << 20;
/// Bytes of the whole memory.
pub const MEMORY_BYTES: u32 = FRAMES + FRAMES_BYTES;

/// What [`FUEL_LEFT`] is while the guest unwinds.
pub const UNWINDING: i64 = i64::MIN;
/// Anything below this means [`UNWINDING`]. Fuel never falls so low: one operator costs less than 2³² units, and no
/// function has 2³⁰ operators.
pub const LEAST_FUEL: i64 = -(1 << 62);
/// What [`MODE`] is while the guest's calls are made again one after the other.
pub const RESUMING: i32 = -1;
/// The value of [`RESERVE`] for a guest that is to be ended wherever it is.
pub const NO_RESERVE: i64 = -(3 << 61);

/// What the page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Fuel that is left until the guest must stop; negative once there is none.
    pub fuel_left: i64,
    /// Bytes of stack that are left.
    pub stack_left: i32,
    /// Whether the meter ended the guest: for want of fuel if none is left, or else for want of stack.
    pub struck: bool,
    /// Whether the guest was stopped, and can be resumed.
    pub stopped: bool,
    /// Where the frames end.
    pub frames_end: u32,
    /// Of a guest that was stopped: the fuel that was left at its last call before.
    pub paid_fuel: i64,
    /// Whether a guest that the meter ended had no fuel left.
    pub out_of_fuel: bool,
}

impl Reading {
    /// Reads the first [`BYTES`] of the page.
    #[must_use]
    pub fn of(page: &[u8]) -> Option<Self> {
        let fuel = i64::from_le_bytes(word(page, FUEL_LEFT)?);
        let kept = i64::from_le_bytes(word(page, KEPT_FUEL)?);
        let room = i64::from_le_bytes(word(page, ROOM)?);
        let reserve = i64::from_le_bytes(word(page, RESERVE)?);
        let stopped = fuel == UNWINDING;
        Some(Self {
            fuel_left: if stopped { kept } else { fuel }.saturating_add(room),
            stack_left: i32::from_le_bytes(word(page, STACK_LEFT)?),
            struck: u32::from_le_bytes(word(page, STRUCK)?) != 0,
            stopped,
            frames_end: u32::from_le_bytes(word(page, FRAMES_END)?),
            paid_fuel: i64::from_le_bytes(word(page, PAID_FUEL)?).saturating_add(room),
            out_of_fuel: !stopped && fuel.saturating_add(room).saturating_add(reserve) < 0,
        })
    }
}

fn word<const BYTES: usize>(page: &[u8], offset: u64) -> Option<[u8; BYTES]> {
    let offset = usize::try_from(offset).ok()?;
    page.get(offset..)?.first_chunk().copied()
}

/// How far a guest may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// Fuel until it must stop. At most 2⁶².
    pub fuel: i64,
    /// Fuel beyond that until it must end. At most 2⁶².
    pub reserve: i64,
    /// Bytes of stack.
    pub stack: i32,
}

/// The beginning of the page of a guest that begins.
#[must_use]
pub fn begin(allowance: Allowance) -> [u8; BYTES] {
    let mut page = [0; BYTES];
    put(&mut page, FRAMES_END, &FRAMES.to_le_bytes());
    allow(&mut page, allowance);
    page
}

/// The beginning of the page of a guest that resumes with the frames that end at `frames_end`. `paid` is the fuel that
/// it had left at its last call, counted like the allowance.
#[must_use]
pub fn resume(allowance: Allowance, frames_end: u32, paid: i64) -> [u8; BYTES] {
    let mut page = [0; BYTES];
    // No fuel, so that the first site looks at the mode.
    put(&mut page, FUEL_LEFT, &(-1_i64).to_le_bytes());
    let paid = paid.saturating_sub(allowance.fuel);
    put(&mut page, PAID_FUEL, &paid.to_le_bytes());
    put(&mut page, MODE, &RESUMING.to_le_bytes());
    put(&mut page, FRAMES_END, &frames_end.to_le_bytes());
    allow(&mut page, allowance);
    page
}

fn allow(page: &mut [u8; BYTES], allowance: Allowance) {
    put(page, ROOM, &allowance.fuel.to_le_bytes());
    put(page, STACK_LEFT, &allowance.stack.to_le_bytes());
    put(page, RESERVE, &allowance.reserve.to_le_bytes());
}

fn put(page: &mut [u8; BYTES], offset: u64, bytes: &[u8]) {
    let place = usize::try_from(offset)
        .ok()
        .and_then(|offset| page.get_mut(offset..));
    if let Some(place) = place.and_then(|place| place.get_mut(..bytes.len())) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_was_put_on_it() {
        let allowance = Allowance {
            fuel: 7,
            reserve: 5,
            stack: 9,
        };
        let reading = Reading::of(&begin(allowance)).unwrap();
        assert_eq!((reading.fuel_left, reading.stack_left), (7, 9));
        assert!(!reading.struck && !reading.stopped);
        let mut page = resume(allowance, FRAMES + 4, 8);
        assert_eq!(Reading::of(&page).unwrap().frames_end, FRAMES + 4);
        page[..8].copy_from_slice(&UNWINDING.to_le_bytes());
        let reading = Reading::of(&page).unwrap();
        assert_eq!((reading.stopped, reading.fuel_left), (true, 7));
        assert_eq!(reading.paid_fuel, 8);
        assert_eq!(Reading::of(&[0; 55]), None);
    }

    #[test]
    fn numbers_stand_for_what_is_asked_and_others_for_nothing() {
        for ask in [Ask::Pages, Ask::Address, Ask::First] {
            assert_eq!(Ask::of(ask.number()), Some(ask));
        }
        assert_eq!(Ask::of(3), None);
    }
}
