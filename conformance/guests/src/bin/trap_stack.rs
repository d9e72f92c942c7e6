//! Recurses without end.

fn main() {
    println!("{}", deeper(std::hint::black_box(1)));
}

fn deeper(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 64]);
    deeper(std::hint::black_box(n + 1)) + frame[(n % 64) as usize]
}
