//! Bytes of a file that a CAR is to have blocks for.

use std::ops::Range;

/// `entity-bytes`: from a byte to another one, or to the end; negative ones count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ByteRange {
    pub(super) from: i64,
    pub(super) to: Option<i64>,
}

/// The bytes of a file that a range selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Covered {
    Some(Range<u64>),
    /// No byte, between two of the file.
    Nothing,
    /// No byte of the file, but some before or after it.
    Outside,
}

impl ByteRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        let to = match to {
            "*" => None,
            to => Some(to.parse().ok()?),
        };
        Some(Self {
            from: from.parse().ok()?,
            to,
        })
    }

    /// The bytes of a file of this length.
    pub(super) fn of(self, file_bytes: u64) -> Covered {
        let length = i128::from(file_bytes);
        if length == 0 {
            return Covered::Nothing;
        }
        let place = |at: i64| match i128::from(at) {
            at if at < 0 => length + at,
            at => at,
        };
        // The last byte is included.
        let (from, to) = (place(self.from), self.to.map_or(length - 1, place));
        if from >= length || to < 0 {
            return Covered::Outside;
        }
        if from > to {
            return Covered::Nothing;
        }
        // Both are in the file now, and so is their number.
        let place = |at: i128| u64::try_from(at.clamp(0, length)).unwrap_or(file_bytes);
        Covered::Some(place(from)..place(to + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_an_entity_count_from_both_ends() {
        for (text, covered) in [
            ("0:*", Covered::Some(0..10)),
            ("0:0", Covered::Some(0..1)),
            ("2:4", Covered::Some(2..5)),
            ("-3:*", Covered::Some(7..10)),
            ("-3:-2", Covered::Some(7..9)),
            ("3:-2", Covered::Some(3..9)),
            ("4:100", Covered::Some(4..10)),
            ("-20:-1", Covered::Some(0..10)),
            ("-20:3", Covered::Some(0..4)),
            ("5:4", Covered::Nothing),
            ("-1:-5", Covered::Nothing),
            ("9:-9", Covered::Nothing),
            ("10:*", Covered::Outside),
            ("20:30", Covered::Outside),
            ("-20:-11", Covered::Outside),
            ("9223372036854775807:-9223372036854775808", Covered::Outside),
        ] {
            assert_eq!(ByteRange::parse(text).unwrap().of(10), covered, "{text}");
        }
        assert_eq!(ByteRange::parse("0:*").unwrap().of(0), Covered::Nothing);
        let whole = ByteRange::parse("0:*").unwrap();
        assert_eq!(whole.of(u64::MAX), Covered::Some(0..u64::MAX));
        for bad in ["", "1", "a:b", "*:1", "1:", ":1", "1:2:3", "1 : 2"] {
            assert_eq!(ByteRange::parse(bad), None, "{bad}");
        }
    }
}
