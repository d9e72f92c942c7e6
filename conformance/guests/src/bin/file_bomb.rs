//! Makes files until that fails.

fn main() {
    let mut made = 0;
    let error = loop {
        match std::fs::write(format!("/tmp/{made}"), "") {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
    };
    println!("{made} files, then: {error}");
}
