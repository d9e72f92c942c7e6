//! Does to files what its arguments say, one after the other: `write PATH TEXT`, `append PATH TEXT`, `rename FROM TO`,
//! `link TARGET PATH`, `mkdir PATH`, `remove PATH`, `rmtree PATH`, `say TEXT`, `spin MILLIONS`, `trap`.

use std::{fs, hint::black_box, io::Write};

fn main() {
    let mut arguments = std::env::args().skip(1);
    while let Some(command) = arguments.next() {
        let mut next = || arguments.next().expect("an argument");
        match command.as_str() {
            "write" => fs::write(next(), next()).unwrap(),
            "append" => {
                let mut file = fs::OpenOptions::new().append(true).open(next()).unwrap();
                file.write_all(next().as_bytes()).unwrap();
            }
            "rename" => fs::rename(next(), next()).unwrap(),
            "link" => {
                // Not in the standard library of this target.
                #[expect(deprecated)]
                fs::soft_link(next(), next()).unwrap();
            }
            "mkdir" => fs::create_dir(next()).unwrap(),
            "remove" => fs::remove_file(next()).unwrap(),
            "rmtree" => fs::remove_dir_all(next()).unwrap(),
            "say" => println!("{}", next()),
            "spin" => {
                let millions: u64 = next().parse().unwrap();
                for n in 0..millions * 1_000_000 {
                    black_box(n);
                }
            }
            "trap" => std::process::abort(),
            other => panic!("{other}"),
        }
    }
}
