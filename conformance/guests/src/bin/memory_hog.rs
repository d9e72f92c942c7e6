//! Takes memory until there is none.

fn main() {
    let mut held = Vec::new();
    loop {
        held.push(vec![1u8; 1 << 20]);
        std::hint::black_box(&held);
    }
}
