//! Opens what each line of standard input names, in the way that it says, and prints what that came to.
//!
//! A line has flags of the path, flags of opening and flags of the descriptor as numbers, and the path below `/`. The
//! answer has the error, or `ok` with the size and what writing, reading and cutting off come to, in this order.

use std::io::BufRead;
use wasip2::filesystem::{
    preopens,
    types::{Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags},
};

fn main() {
    let (root, _) = preopens::get_directories().remove(0);
    for line in std::io::stdin().lock().lines() {
        println!("{}", answer(&root, &line.unwrap()));
    }
}

fn answer(root: &Descriptor, line: &str) -> String {
    let parts: Vec<&str> = line.splitn(4, ' ').collect();
    let number = |index: usize| parts[index].parse::<u8>().unwrap();
    let opened = root.open_at(
        PathFlags::from_bits_retain(number(0)),
        parts[3],
        OpenFlags::from_bits_retain(number(1)),
        DescriptorFlags::from_bits_retain(number(2)),
    );
    let file = match opened {
        Ok(file) => file,
        Err(error) => return error.name().to_owned(),
    };
    let stat = file.stat().unwrap();
    let size = match stat.type_ {
        DescriptorType::RegularFile => stat.size,
        _ => 0,
    };
    format!(
        "ok {size} {} {} {}",
        name(file.write(b"x", 0)),
        name(file.read(1, 0)),
        name(file.set_size(1)),
    )
}

fn name<T>(result: Result<T, ErrorCode>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => error.name().to_owned(),
    }
}
