//! Says what the clocks and the random numbers of the standard library say.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    thread,
    time::{Duration, Instant, SystemTime},
};

fn main() {
    let (begun, wall) = (Instant::now(), SystemTime::now());
    thread::sleep(Duration::from_secs(3600));
    let slept = begun.elapsed();
    assert!(slept >= Duration::from_secs(3600) && slept < Duration::from_secs(3601));
    assert_eq!(wall.elapsed().unwrap().as_secs(), 3600);
    let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    println!("{} {}", wall.as_secs(), RandomState::new().hash_one("x"));
}
