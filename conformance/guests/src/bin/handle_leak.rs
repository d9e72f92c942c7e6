//! Opens files and never closes them, until that fails.

fn main() {
    std::fs::write("/tmp/file", "x").unwrap();
    let mut opened = 0;
    let error = loop {
        match std::fs::File::open("/tmp/file") {
            Ok(file) => std::mem::forget(file),
            Err(error) => break error,
        }
        opened += 1;
    };
    println!("{opened} files, then: {error}");
}
