//! Prints a line, sleeps, and so on: `ticks COUNT MILLISECONDS`.

use std::{io::Write, time::Duration};

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
        std::thread::sleep(Duration::from_millis(pause));
    }
}
