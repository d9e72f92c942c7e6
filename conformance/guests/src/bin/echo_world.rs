//! Prints what it was given: arguments, environment, standard input.

use std::io::Read;

fn main() {
    for argument in std::env::args().skip(1) {
        println!("argument {argument}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("variable {name}={value}");
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).unwrap();
    print!("{input}");
    eprintln!("echoed");
}
