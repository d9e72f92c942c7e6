//! Rust source as words and signs, without comments and without what literals say.

/// A part of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'s> {
    /// A name or a keyword.
    Word(&'s str),
    /// `::`
    Colons,
    /// Any other sign.
    Sign(char),
    /// A literal or a lifetime.
    Literal,
}

/// All tokens of a file that compiles.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (token, after) = next(rest, first);
        tokens.extend(token);
        rest = after;
    }
    tokens
}

/// The token with which `text` begins, if it is not a comment or a space, and what follows.
fn next(text: &str, first: char) -> (Option<Token<'_>>, &str) {
    if first.is_whitespace() {
        return (None, text.trim_start());
    }
    if text.starts_with("//") {
        return (None, behind(text, "\n"));
    }
    if let Some(comment) = text.strip_prefix("/*") {
        return (None, behind_comment(comment));
    }
    if let Some(after) = text.strip_prefix("::") {
        return (Some(Token::Colons), after);
    }
    if let Some(string) = text.strip_prefix('"') {
        return (Some(Token::Literal), behind_string(string));
    }
    if let Some(quoted) = text.strip_prefix('\'') {
        return (Some(Token::Literal), behind_quote(quoted));
    }
    let (word, after) = split_word(text);
    if word.is_empty() {
        let after = text.strip_prefix(first).unwrap_or_default();
        return (Some(Token::Sign(first)), after);
    }
    let (token, after) = word_or_literal(word, after);
    (Some(token), after)
}

/// A word, or the literal that it begins: `b'x'`, `r#"…"#`, `10`.
fn word_or_literal<'s>(word: &'s str, after: &'s str) -> (Token<'s>, &'s str) {
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return (Token::Literal, after);
    }
    if let ("b" | "c", Some(string)) = (word, after.strip_prefix('"')) {
        return (Token::Literal, behind_string(string));
    }
    if let ("b", Some(quoted)) = (word, after.strip_prefix('\'')) {
        return (Token::Literal, behind_quote(quoted));
    }
    if matches!(word, "r" | "br" | "cr") {
        let string = after.trim_start_matches('#');
        let hashes = after.len() - string.len();
        if let Some(string) = string.strip_prefix('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            return (Token::Literal, behind(string, &end));
        }
        if hashes > 0 {
            let (name, after) = split_word(string);
            return (Token::Word(name), after);
        }
    }
    (Token::Word(word), after)
}

/// The word with which `text` begins, which may be empty, and what follows.
fn split_word(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    text.split_at(end.unwrap_or(text.len()))
}

/// What follows the first `end`.
fn behind<'s>(text: &'s str, end: &str) -> &'s str {
    text.split_once(end).map_or("", |(_, after)| after)
}

/// What follows a comment of which the opening was read; comments nest.
fn behind_comment(text: &str) -> &str {
    let mut rest = text;
    let mut depth = 1;
    while depth > 0 {
        let Some(end) = rest.find("*/") else {
            return "";
        };
        let (before, after) = rest.split_at(end);
        if let Some((_, inner)) = before.split_once("/*") {
            rest = rest.split_at(rest.len() - inner.len() - after.len()).1;
            depth += 1;
        } else {
            rest = after.split_at("*/".len()).1;
            depth -= 1;
        }
    }
    rest
}

/// What follows a string of which the opening was read.
fn behind_string(text: &str) -> &str {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            // Whatever it is, it does not end the string.
            '\\' => {
                characters.next();
            }
            _ => {}
        }
    }
    characters.as_str()
}

/// What follows a character or a lifetime of which the quote was read.
fn behind_quote(text: &str) -> &str {
    let mut characters = text.chars();
    if characters.next() == Some('\\') {
        // The character that is escaped may be a quote.
        characters.next();
        return behind(characters.as_str(), "'");
    }
    match characters.as_str().strip_prefix('\'') {
        Some(after) => after,
        None => split_word(text).1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<&str> {
        let words = tokens(source).into_iter().filter_map(|token| match token {
            Token::Word(word) => Some(word),
            _ => None,
        });
        words.collect()
    }

    #[test]
    fn comments_and_literals_say_nothing() {
        assert_eq!(words("a // b\n/* c /* d */ e */ f"), ["a", "f"]);
        assert_eq!(words(r#"a "b \" c" d"#), ["a", "d"]);
        assert_eq!(words("a r#\"b \" c\"# d br\"e\\\" f"), ["a", "d", "f"]);
        assert_eq!(words(r#"b"a" c"b" d"#), ["d"]);
        assert_eq!(words("1_000u64 0x1f x"), ["x"]);
    }

    #[test]
    fn characters_are_told_from_lifetimes() {
        assert_eq!(
            words(r"'a' b '\'' c '\u{1f}' d b'e' f"),
            ["b", "c", "d", "f"]
        );
        assert_eq!(words("&'a str<'static>"), ["str"]);
        assert_eq!(words("'\"' a '\"' b"), ["a", "b"]);
    }

    #[test]
    fn paths_have_their_signs() {
        use Token::{Colons, Sign, Word};
        let path = [Word("a"), Colons, Word("type"), Sign(';')];
        assert_eq!(tokens("a::r#type;"), path);
    }
}
