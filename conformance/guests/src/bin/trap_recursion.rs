//! Recurses without end, and without any use of memory.

fn main() {
    println!("{}", deeper(std::hint::black_box(1)));
}

fn deeper(n: u64) -> u64 {
    if n == 0 {
        return 0;
    }
    // No loop can be made of this: what comes after the call cannot be done before it.
    deeper(n.wrapping_mul(3) | 1)
        .rotate_left(7)
        .wrapping_mul(31)
        ^ n
}
