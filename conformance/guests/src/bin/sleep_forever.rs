//! Sleeps again and again.

fn main() {
    loop {
        std::thread::sleep(std::time::Duration::from_secs(1_000_000));
    }
}
