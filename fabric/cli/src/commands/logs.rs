//! `logs`

use crate::{client::NodeClient, failure::Failure, follow, keys, output, terminal::Filter};
use futures::StreamExt;
use mc_api::LogQuery;
use mc_options::{Global, Logs};
use mc_types::LogStream;
use std::{io::IsTerminal, process::ExitCode};

/// Most bytes of the last lines that are kept, however long these are.
const MAX_TAIL_BYTES: usize = 64 << 20;
/// How much must arrive before older lines are dropped.
const TAIL_STEP_BYTES: usize = 1 << 20;

pub(super) async fn run(
    global: &Global,
    client: &NodeClient,
    args: &Logs,
) -> Result<ExitCode, Failure> {
    let stream = match args.stderr {
        true => LogStream::Stderr,
        false => LogStream::Stdout,
    };
    let id = client.find(&args.id).await?;
    let job = client.job(id).await?;
    let key = keys::of_job(global, client, &job).await?;
    let is_stuck = args.follow && client.is_stuck(&job).await?;
    let follows = args.follow && !is_stuck;
    let end = |printer: Printer| {
        let ended = printer.end()?;
        Ok(match is_stuck {
            true => follow::stuck(global, &job),
            false => ended,
        })
    };
    let wanted = LogQuery {
        stream,
        offset: 0,
        follow: false,
        attempt: args.attempt,
    };
    let mut printer = Printer::new();
    // Bytes that are there already, and of which the last lines have been printed.
    let mut before = 0;
    if let Some(lines) = args.tail {
        let mut tail = Tail::new(lines);
        let mut pieces = Box::pin(client.logs(id, wanted, key.as_ref()));
        while let Some(piece) = pieces.next().await {
            tail.push(&piece?);
        }
        before = tail.seen;
        printer.print(tail.lines())?;
        if !follows {
            return end(printer);
        }
    }
    let wanted = LogQuery {
        follow: follows,
        ..wanted
    };
    let mut pieces = Box::pin(client.logs(id, wanted, key.as_ref()));
    let printing = async {
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            let known = before.min(piece.len());
            before -= known;
            printer.print(piece.get(known..).unwrap_or_default())?;
        }
        Ok::<_, Failure>(())
    };
    if !follows {
        printing.await?;
        return end(printer);
    }
    // The request for the job's state notices when a node falls silent.
    match tokio::try_join!(printing, follow::wait(client, global, (id, job), None)) {
        Ok(_) => printer.end(),
        Err(failure) if failure.is_away() => {
            let again = match stream {
                LogStream::Stdout => "logs -f",
                LogStream::Stderr => "logs -f --stderr",
            };
            let again = follow::command(global, again, id);
            Ok(follow::lost(global, id, &again, failure))
        }
        Err(failure) => Err(failure),
    }
}

/// Prints a guest's output: unchanged, or escaped for a terminal.
struct Printer(Option<Filter>);

impl Printer {
    fn new() -> Self {
        Self(std::io::stdout().is_terminal().then(Filter::default))
    }

    fn print(&mut self, piece: &[u8]) -> Result<(), Failure> {
        match &mut self.0 {
            Some(filter) => output::write(filter.next(piece).as_bytes()),
            None => output::write(piece),
        }
    }

    fn end(mut self) -> Result<ExitCode, Failure> {
        if let Some(filter) = &mut self.0 {
            output::write(filter.end().as_bytes())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The last lines of a stream.
struct Tail {
    count: usize,
    kept: Vec<u8>,
    /// Bytes that have come.
    seen: usize,
    /// From how many bytes on there may be lines to forget.
    forget_from: usize,
}

impl Tail {
    const fn new(count: usize) -> Self {
        Self {
            count,
            kept: Vec::new(),
            seen: 0,
            forget_from: TAIL_STEP_BYTES,
        }
    }

    fn push(&mut self, piece: &[u8]) {
        self.seen += piece.len();
        self.kept.extend_from_slice(piece);
        if self.kept.len() >= self.forget_from {
            self.forget();
            // Twice as many, so that the kept lines are not searched on every new piece.
            self.forget_from = TAIL_STEP_BYTES.max(2 * self.kept.len());
        }
    }

    fn forget(&mut self) {
        let too_many = self.kept.len().saturating_sub(MAX_TAIL_BYTES);
        let first = self.kept.len() - self.lines().len();
        self.kept.drain(..first.max(too_many));
    }

    /// The lines, of which the last one may not have ended yet.
    fn lines(&self) -> &[u8] {
        let Some(before_last) = self.count.checked_sub(1) else {
            return &[];
        };
        let whole = self.kept.strip_suffix(b"\n").unwrap_or(&self.kept);
        let breaks = whole.iter().enumerate().rev();
        let mut breaks = breaks.filter(|(_, byte)| **byte == b'\n');
        let first = breaks.nth(before_last).map_or(0, |(at, _)| at + 1);
        self.kept.get(first..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_wherever_a_stream_is_cut() {
        let text = b"one\ntwo\n\nfour\nfive";
        for (count, expected) in [
            (0, &b""[..]),
            (1, b"five"),
            (2, b"four\nfive"),
            (3, b"\nfour\nfive"),
            (9, text),
        ] {
            for piece in 1..=text.len() {
                let mut tail = Tail::new(count);
                for piece in text.chunks(piece) {
                    tail.push(piece);
                    tail.forget();
                }
                assert_eq!((tail.lines(), tail.seen), (expected, text.len()));
            }
        }
        let mut ended = Tail::new(1);
        ended.push(b"a\nb\n");
        assert_eq!(ended.lines(), b"b\n");
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let mut tail = Tail::new(1);
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..70 {
            tail.push(&piece);
        }
        assert!(tail.kept.len() <= 2 * MAX_TAIL_BYTES);
    }
}
