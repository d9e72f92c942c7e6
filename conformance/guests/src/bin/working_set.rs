//! Computes on a working set: `working_set MEGABYTES ROUNDS`. Each round changes a thousand words of it.

fn main() {
    let number = |n| {
        std::env::args()
            .nth(n)
            .and_then(|text| text.parse::<usize>().ok())
    };
    let (megabytes, rounds) = (number(1).unwrap_or(64), number(2).unwrap_or(1000));
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut words: Vec<u64> = (0..megabytes << 17).map(|_| next()).collect();
    let mut sum = 0_u64;
    for _ in 0..rounds {
        for _ in 0..1000 {
            let random = next();
            let index = random as usize % words.len();
            words[index] = words[index].wrapping_add(random);
        }
        // And more that changes nothing.
        for word in &words[..20_000] {
            sum = sum.rotate_left(5) ^ word.wrapping_mul(0x2545_f491_4f6c_dd1d);
        }
    }
    println!("{sum:x}");
}
