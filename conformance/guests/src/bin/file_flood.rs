//! Writes as many mebibytes into a file as its argument says.

use std::io::Write;

fn main() {
    let mebibytes = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1);
    let mut file = std::fs::File::create("/out/flood").unwrap();
    for _ in 0..mebibytes {
        file.write_all(&[7; 1 << 20]).unwrap();
    }
}
