//! Changes what is in `/work`: appends, removes, makes, renames.

use std::{fs, io::Write};

fn main() {
    let mut kept = fs::OpenOptions::new()
        .append(true)
        .open("/work/appended")
        .unwrap();
    kept.write_all(b" and more").unwrap();
    fs::remove_file("/work/removed").unwrap();
    fs::remove_dir_all("/work/removed_dir").unwrap();
    fs::create_dir_all("/work/made/deep").unwrap();
    fs::write("/work/made/deep/file", "new").unwrap();
    // One name is given to what another had, which was read from the same disk.
    fs::rename("/work/one", "/work/swap").unwrap();
    fs::rename("/work/two", "/work/one").unwrap();
    fs::rename("/work/swap", "/work/two").unwrap();
}
