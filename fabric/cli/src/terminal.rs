//! Text on terminals. Output of a guest, text from a peer or a file name could control a terminal, or show something
//! false, so control characters are escaped.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
};

/// Whether a character steers a terminal, or changes in which order the others are read.
fn steers(c: char) -> bool {
    let orders = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let breaks = matches!(c, '\u{2028}' | '\u{2029}');
    c.is_control() || orders || breaks
}

fn written_out(
    text: &str,
    stays: impl Fn(char) -> bool,
    write: impl Fn(&mut String, char),
) -> Cow<'_, str> {
    let is_harmless = |c: char| !steers(c) || stays(c);
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            shown.push(c);
        } else {
            write(&mut shown, c);
        }
    }
    Cow::Owned(shown)
}

fn as_in_rust(shown: &mut String, c: char) {
    shown.extend(c.escape_default());
}

/// What is to be in one line, such as a name.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    written_out(text, |_| false, as_in_rust)
}

/// What has several lines.
pub(crate) fn escaped_lines(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c == '\n', as_in_rust)
}

/// JSON, whose meaning stays the same: control characters occur only in its strings.
pub(crate) fn escaped_json(json: &str) -> Cow<'_, str> {
    written_out(
        json,
        |_| false,
        |shown, c| {
            // Writing to a string does not fail. All of these have four digits.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        },
    )
}

/// A stream of bytes that goes to a terminal piece by piece. Ends of lines and tabs stay.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// The beginning of a character.
    rest: Vec<u8>,
}

impl Filter {
    /// What is to be shown of the next piece.
    pub(crate) fn next(&mut self, piece: &[u8]) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend_from_slice(piece);
        let mut shown = String::new();
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            let text = written_out(chunk.valid(), |c| c == '\n' || c == '\t', as_in_rust);
            shown.push_str(&text);
            let bad = chunk.invalid();
            let goes_on = |e: std::str::Utf8Error| e.error_len().is_none();
            if chunks.peek().is_none() && std::str::from_utf8(bad).is_err_and(goes_on) {
                self.rest = bad.to_vec();
            } else {
                push_bytes(&mut shown, bad);
            }
        }
        shown
    }

    /// What is to be shown in the end.
    pub(crate) fn end(&mut self) -> String {
        let mut shown = String::new();
        push_bytes(&mut shown, &std::mem::take(&mut self.rest));
        shown
    }
}

fn push_bytes(shown: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(shown, "\\x{byte:02x}");
    }
}

/// Log lines on standard error, each written at once.
#[derive(Debug)]
pub(crate) struct LogLines {
    /// Whether they are coloured. Then only the colours have escape codes: the library escapes those of the fields.
    pub(crate) has_colours: bool,
}

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let colours = |c: char| self.has_colours && c == '\u{1b}';
        let text = written_out(text, colours, as_in_rust);
        // A closed standard error leaves nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{text}");
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        for (text, shown) in [
            ("plain ünïcode ☃", "plain ünïcode ☃"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\rb\nc\td", "a\\rb\\nc\\td"),
            ("\u{9b}31m\u{7f}", "\\u{9b}31m\\u{7f}"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(escaped(text), shown);
        }
        assert_eq!(escaped_lines("a\nb\u{1b}"), "a\nb\\u{1b}");
    }

    #[test]
    fn json_says_the_same_afterwards() {
        let value = serde_json::json!({ "name": "a\u{1b}\u{9b}\u{7f}\u{202e}\n\"" });
        let json = value.to_string();
        let shown = escaped_json(&json);
        assert!(!shown.chars().any(steers), "{shown}");
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read, value);
    }

    #[test]
    fn streams_are_filtered_wherever_they_are_cut() {
        let bytes = b"tick\tone\n\x1b]0;title\x07 \xc3\xbc \xc2\x9b \xff \xe2\x98";
        let shown = "tick\tone\n\\u{1b}]0;title\\u{7} ü \\u{9b} \\xff \\xe2\\x98";
        for piece in 1..=bytes.len() {
            let mut filter = Filter::default();
            let pieces = bytes.chunks(piece).map(|piece| filter.next(piece));
            let mut all: String = pieces.collect();
            all.push_str(&filter.end());
            assert_eq!(all, shown, "in pieces of {piece}");
        }
    }
}
