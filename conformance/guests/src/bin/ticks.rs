//! Prints a line, computes, and so on: `ticks COUNT MILLISECONDS`. Sleeping would take no time.

use std::{hint::black_box, io::Write};

/// Turns of the loop below that take about a millisecond.
const TURNS_PER_MILLISECOND: u64 = 500_000;

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
        let mut sum = 1_u64;
        for turn in 0..pause * TURNS_PER_MILLISECOND {
            sum = (sum ^ turn).wrapping_mul(6_364_136_223_846_793_005);
        }
        black_box(sum);
    }
}
