//! Does nothing, well.

fn main() {}
