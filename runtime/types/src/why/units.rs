//! Sizes, times and numbers as people read them.

use std::fmt;

/// A number of bytes for people.
pub(super) struct Size(pub(super) u64);

const MEBIBYTE: u64 = 1 << 20;

/// Units by their size, the largest first.
const UNITS: [(u64, &str); 4] = [
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (1 << 10, "KiB"),
];

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| self.0 >= *unit) else {
            return write!(f, "{} bytes", self.0);
        };
        let (whole, rest) = (self.0 / unit, self.0 % unit);
        let tenths = u128::from(rest) * 10 / u128::from(unit);
        // A little more than a node has would be shown as what it has, since people ask for whole mebibytes.
        if tenths == 0 && rest > 0 && unit > MEBIBYTE && self.0.is_multiple_of(MEBIBYTE) {
            return write!(f, "{} MiB", self.0 / MEBIBYTE);
        }
        match tenths {
            0 => write!(f, "{whole} {name}"),
            _ => write!(f, "{whole}.{tenths} {name}"),
        }
    }
}

/// A length of time for people, in milliseconds.
pub(super) struct Time(pub(super) u64);

/// Units of time by their length, the longest first.
const TIMES: [(u64, &str); 3] = [(3_600_000, "h"), (60_000, "min"), (1_000, "s")];

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divides = |(unit, _): &(u64, &str)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        match TIMES.into_iter().find(divides) {
            Some((unit, name)) => write!(f, "{} {name}", self.0 / unit),
            None => write!(f, "{} ms", self.0),
        }
    }
}

/// A number and the word that goes with it.
pub(super) fn count(number: u32, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_for_people() {
        for (millis, text) in [
            (0, "0 ms"),
            (1_500, "1500 ms"),
            (90_000, "90 s"),
            (120_000, "2 min"),
            (7_200_000, "2 h"),
        ] {
            assert_eq!(Time(millis).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_for_people() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (65_536, "64 KiB"),
            (6 << 30, "6 GiB"),
            ((3 << 29) + 1, "1.5 GiB"),
            (1025 << 20, "1025 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }
}
