//! Values with a unit.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// A length of time as users write it: `500ms`, `30s`, `5m`, `1h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub Duration);

/// A number of bytes as users write it: `65536`, `256MiB`, `2GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

/// An invalid value; says which values are valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ValueError {
    text: String,
    expected: &'static str,
}

const PERIOD: &str = "a duration such as 500ms, 30s, 5m, 1h or 7d";
const PERIOD_UNITS: &[(&str, u64)] = &[
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
const SIZE: &str = "a size such as 65536, 64KiB, 256MiB or 2GB";
const SIZE_UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Splits `text` into digits and unit, and multiplies.
fn scaled(text: &str, units: &[(&str, u64)], bare: Option<u64>) -> Option<u64> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let unit = unit.trim();
    let factor = if unit.is_empty() {
        bare?
    } else {
        units
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))?
            .1
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// The largest unit that divides `value`, for printing what parses back to the same.
fn with_unit(value: u64, units: &[(&str, u64)]) -> Option<String> {
    let divides = |(_, factor): &&(&str, u64)| value != 0 && value.is_multiple_of(*factor);
    let (name, factor) = units
        .iter()
        .filter(divides)
        .max_by_key(|(_, factor)| *factor)?;
    Some(format!("{}{name}", value / factor))
}

impl FromStr for Period {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        scaled(text, PERIOD_UNITS, None)
            .map(|millis| Self(Duration::from_millis(millis)))
            .ok_or_else(|| ValueError {
                text: text.to_owned(),
                expected: PERIOD,
            })
    }
}

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        scaled(text, SIZE_UNITS, Some(1))
            .map(Self)
            .ok_or_else(|| ValueError {
                text: text.to_owned(),
                expected: SIZE,
            })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        f.write_str(&with_unit(millis, PERIOD_UNITS).unwrap_or_else(|| format!("{millis}ms")))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_unit(self.0, SIZE_UNITS).unwrap_or_else(|| self.0.to_string()))
    }
}

macro_rules! text_conversions {
    ($type:ty) => {
        impl TryFrom<String> for $type {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

text_conversions!(Period);
text_conversions!(ByteSize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_printed_back() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!(period.0, Duration::from_millis(millis));
            assert_eq!(period.to_string(), text);
        }
        for (text, bytes) in [
            ("256MiB", 256 << 20),
            ("2GB", 2_000_000_000),
            ("65537", 65_537),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.0, bytes);
            assert_eq!(size.to_string().parse::<ByteSize>(), Ok(size));
        }
        assert_eq!("1 gib".parse::<ByteSize>(), Ok(ByteSize(1 << 30)));
    }

    #[test]
    fn other_texts_are_refused_with_an_example() {
        for text in ["", "s", "-1s", "10", "1.5h", "9999999999999999h"] {
            let error = text.parse::<Period>().unwrap_err().to_string();
            assert!(error.contains("30s"), "{error}");
        }
        for text in ["", "MiB", "-1", "1XB", "99999999999TiB"] {
            let error = text.parse::<ByteSize>().unwrap_err().to_string();
            assert!(error.contains("256MiB"), "{error}");
        }
    }
}
