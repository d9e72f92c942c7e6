//! The page by which a host and a running module speak about the meter.

/// The module name under which instrumented modules import the page.
pub const IMPORT_MODULE: &str = "mc:meter";
/// The name of the page, as import and as export.
pub const PAGE: &str = "mc:meter";
/// The function that a rewritten component imports and calls before anything of the guest runs:
/// `func(page: list<u8>) -> tuple<s64, u32>`. It is given the page, and gives the fuel and the bytes of
/// stack that the guest may use.
pub const ATTACH_IMPORT: &str = "mc-meter-attach";

/// Offset of the fuel that is left: a signed 64-bit integer, negative once there is none.
pub const FUEL_LEFT: u64 = 0;
/// Offset of the bytes of stack that are left: a signed 32-bit integer.
pub const STACK_LEFT: u64 = 8;
/// Offset of a 32-bit integer that is 1 if the meter ended the guest.
pub const STRUCK: u64 = 12;
/// Bytes of the page that tell how the guest stands.
pub const BYTES: usize = 16;
/// Offset of the first of [`STOP_WORDS`] signed 64-bit integers, of which each site looks at one. They are
/// zero; another thread ends the guest by making all of them negative. Each loop of a function has its own,
/// so that no compiler can take the value that an earlier loop has seen for that of a later one.
pub const STOP: u64 = 16;
/// Integers that end the guest: all that fit the page.
pub const STOP_WORDS: u32 = 8190;

/// What the page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Fuel that is left; negative once there is none.
    pub fuel_left: i64,
    /// Bytes of stack that are left.
    pub stack_left: i32,
    /// Whether the meter ended the guest: for want of fuel if there is none left, else of stack.
    pub struck: bool,
}

impl Reading {
    /// Reads the first [`BYTES`] of the page.
    #[must_use]
    pub fn of(page: &[u8]) -> Option<Self> {
        let (fuel, rest) = page.split_first_chunk()?;
        let (stack, rest) = rest.split_first_chunk()?;
        let (struck, _) = rest.split_first_chunk()?;
        Some(Self {
            fuel_left: i64::from_le_bytes(*fuel),
            stack_left: i32::from_le_bytes(*stack),
            struck: u32::from_le_bytes(*struck) != 0,
        })
    }
}

/// The beginning of a page that allows `fuel` and `stack` bytes of stack.
#[must_use]
pub fn page(fuel: i64, stack: i32) -> [u8; BYTES] {
    let mut page = [0; BYTES];
    let (head, rest) = page.split_at_mut(8);
    head.copy_from_slice(&fuel.to_le_bytes());
    rest.split_at_mut(4).0.copy_from_slice(&stack.to_le_bytes());
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_was_put_on_it() {
        let reading = Reading::of(&page(-7, 9)).unwrap();
        assert_eq!((reading.fuel_left, reading.stack_left), (-7, 9));
        assert!(!reading.struck);
        assert_eq!(Reading::of(&[0; 15]), None);
    }
}
