//! Counts lines, words and bytes of `/in/text`, a file or a directory.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

const INPUT: &str = "/in/text";
const OUTPUT: &str = "/out/counts.json";
const TOP: usize = 10;

#[derive(Default)]
struct Counts {
    files: u64,
    lines: u64,
    words: u64,
    bytes: u64,
    by_word: BTreeMap<String, u64>,
}

fn main() -> ExitCode {
    if !Path::new(INPUT).exists() {
        eprintln!("word-count: there is no {INPUT}; give it with --input text=FILE");
        return ExitCode::from(2);
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("word-count: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    let mut counts = Counts::default();
    for file in files(Path::new(INPUT))? {
        counts.add(&fs::read(file)?);
    }
    println!(
        "{} files, {} lines, {} words, {} bytes",
        counts.files, counts.lines, counts.words, counts.bytes
    );
    for (word, count) in counts.top() {
        println!("{count:>7} {word}");
    }
    fs::write(OUTPUT, counts.to_json())
}

/// The files at or below `path`, in the order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries = fs::read_dir(path)?
        .map(|e| Ok(e?.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    let below = entries
        .iter()
        .map(|entry| files(entry))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(below.concat())
}

impl Counts {
    fn add(&mut self, bytes: &[u8]) {
        self.files += 1;
        self.bytes += bytes.len() as u64;
        self.lines += bytes.iter().filter(|b| **b == b'\n').count() as u64;
        for word in String::from_utf8_lossy(bytes).split_whitespace() {
            self.words += 1;
            let word = word
                .trim_matches(|c: char| !c.is_alphanumeric())
                .to_lowercase();
            if !word.is_empty() {
                *self.by_word.entry(word).or_default() += 1;
            }
        }
    }

    /// The most frequent words; of equally frequent ones the first in the alphabet.
    fn top(&self) -> Vec<(&String, u64)> {
        let mut words: Vec<_> = self
            .by_word
            .iter()
            .map(|(word, count)| (word, *count))
            .collect();
        words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        words.truncate(TOP);
        words
    }

    /// Words consist of letters and digits alone, so they need no escaping.
    fn to_json(&self) -> String {
        let top: Vec<_> = self
            .top()
            .iter()
            .map(|(word, n)| format!("\"{word}\": {n}"))
            .collect();
        format!(
            "{{\"files\": {}, \"lines\": {}, \"words\": {}, \"bytes\": {}, \"top\": {{{}}}}}\n",
            self.files,
            self.lines,
            self.words,
            self.bytes,
            top.join(", ")
        )
    }
}
