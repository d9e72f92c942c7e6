//! Computes a mix of things, or one of them: `compute [fib|queens|matrices|sieve|words]`.

use std::{collections::HashMap, hint::black_box};

fn main() {
    let only = std::env::args().nth(1);
    let wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if wanted("fib") {
        println!("{}", fib(black_box(30)));
    }
    if wanted("queens") {
        println!("{}", queens(black_box(10), 0, 0, 0, 0));
    }
    if wanted("matrices") {
        println!("{:.6}", matrices(black_box(200)));
    }
    if wanted("sieve") {
        println!("{}", sieve(black_box(5_000_000)));
    }
    if wanted("words") {
        println!("{}", words(black_box(200_000)));
    }
}

fn fib(n: u32) -> u64 {
    if n < 2 {
        n.into()
    } else {
        fib(n - 1) + fib(n - 2)
    }
}

fn queens(size: u32, row: u32, columns: u32, left: u32, right: u32) -> u32 {
    if row == size {
        return 1;
    }
    let mut free = !(columns | left | right) & ((1 << size) - 1);
    let mut found = 0;
    while free != 0 {
        let bit = free & free.wrapping_neg();
        free ^= bit;
        found += queens(
            size,
            row + 1,
            columns | bit,
            (left | bit) << 1,
            (right | bit) >> 1,
        );
    }
    found
}

fn matrices(size: usize) -> f64 {
    let matrix = |seed: usize| -> Vec<f64> {
        (0..size * size)
            .map(|n| ((n * seed) % 17) as f64 / 16.0)
            .collect()
    };
    let (a, b) = (matrix(3), matrix(5));
    let mut sum = 0.0;
    for i in 0..size {
        for j in 0..size {
            sum += (0..size)
                .map(|k| a[i * size + k] * b[k * size + j])
                .sum::<f64>()
                .sqrt();
        }
    }
    sum
}

fn sieve(limit: usize) -> usize {
    let mut composite = vec![false; limit];
    let mut primes = 0;
    for n in 2..limit {
        if !composite[n] {
            primes += 1;
            (n * n..limit)
                .step_by(n)
                .for_each(|multiple| composite[multiple] = true);
        }
    }
    primes
}

fn words(count: u32) -> usize {
    let mut seen: HashMap<String, u32> = HashMap::new();
    for n in 0..count {
        *seen
            .entry(format!("word{}", n.wrapping_mul(2_654_435_761) % 5000))
            .or_default() += n;
    }
    seen.values().filter(|sum| **sum % 2 == 0).count() + seen.len()
}
