//! Prints a line, computes, and so on: `ticks COUNT MILLISECONDS`. Sleeping would take no time.

use std::{hint::black_box, io::Write};

/// Turns of the loop below that take about a millisecond.
const TURNS_PER_MILLISECOND: u64 = 400_000;

fn main() {
    let number = |n| {
        std::env::args()
            .nth(n)
            .and_then(|text| text.parse::<u64>().ok())
    };
    let (count, pause) = (number(1).unwrap_or(10), number(2).unwrap_or(100));
    for tick in 0..count {
        println!("tick {tick}");
        std::io::stdout().flush().unwrap();
        for turn in 0..pause * TURNS_PER_MILLISECOND {
            black_box(turn);
        }
    }
}
