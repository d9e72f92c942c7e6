//! Copies `/in` to `/out`.

use std::{fs, io, path::Path};

fn main() -> io::Result<()> {
    copy(Path::new("/in"), Path::new("/out"))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        println!("{}", from.display());
        let mut target = fs::File::create(to)?;
        return io::copy(&mut fs::File::open(from)?, &mut target).map(drop);
    }
    fs::create_dir_all(to)?;
    let mut names = fs::read_dir(from)?
        .map(|e| Ok(e?.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort();
    names
        .iter()
        .try_for_each(|name| copy(&from.join(name), &to.join(name)))
}
