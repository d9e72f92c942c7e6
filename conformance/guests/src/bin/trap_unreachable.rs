//! Traps.

fn main() {
    std::process::abort()
}
