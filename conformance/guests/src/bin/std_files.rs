//! Does with files what programs do, by the standard library, and checks what POSIX says of it.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::Path,
};

fn main() {
    write_and_read();
    append_and_truncate();
    rename_over();
    unlinked_but_open();
    directories();
    links();
    escapes();
    read_only_places();
    names();
    devices();
    println!("all is well");
}

fn write_and_read() {
    fs::write("/tmp/a", "hello").unwrap();
    assert_eq!(fs::read_to_string("/tmp/a").unwrap(), "hello");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/tmp/a")
        .unwrap();
    file.seek(SeekFrom::Start(10)).unwrap();
    file.write_all(b"!").unwrap();
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"hello\0\0\0\0\0!");
    assert_eq!(file.metadata().unwrap().len(), 11);
    assert_eq!(
        File::open("/tmp/none").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(
        File::create_new("/tmp/a").unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
}

fn append_and_truncate() {
    fs::write("/tmp/log", "one\n").unwrap();
    let mut log = OpenOptions::new().append(true).open("/tmp/log").unwrap();
    let mut second = OpenOptions::new().append(true).open("/tmp/log").unwrap();
    log.write_all(b"two\n").unwrap();
    second.write_all(b"three\n").unwrap();
    log.write_all(b"four\n").unwrap();
    assert_eq!(
        fs::read_to_string("/tmp/log").unwrap(),
        "one\ntwo\nthree\nfour\n"
    );
    log.set_len(3).unwrap();
    assert_eq!(fs::read_to_string("/tmp/log").unwrap(), "one");
    log.set_len(5).unwrap();
    assert_eq!(fs::read("/tmp/log").unwrap(), b"one\0\0");
    File::create("/tmp/log").unwrap();
    assert_eq!(fs::metadata("/tmp/log").unwrap().len(), 0);
}

fn rename_over() {
    fs::write("/tmp/old", "old").unwrap();
    fs::write("/tmp/new", "new").unwrap();
    let mut replaced = File::open("/tmp/new").unwrap();
    fs::rename("/tmp/old", "/tmp/new").unwrap();
    assert_eq!(fs::read_to_string("/tmp/new").unwrap(), "old");
    let mut text = String::new();
    replaced.read_to_string(&mut text).unwrap();
    assert_eq!(text, "new", "what is open stays readable");
    assert!(!Path::new("/tmp/old").exists());
    fs::create_dir("/tmp/dir").unwrap();
    assert!(fs::rename("/tmp/new", "/tmp/dir").is_err());
    assert!(fs::rename("/tmp/dir", "/tmp/dir/inside").is_err());
    fs::rename("/tmp/new", "/out/moved").unwrap();
    assert_eq!(fs::read_to_string("/out/moved").unwrap(), "old");
}

fn unlinked_but_open() {
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open("/tmp/gone")
        .unwrap();
    fs::remove_file("/tmp/gone").unwrap();
    file.write_all(b"still here").unwrap();
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "still here");
    assert!(!Path::new("/tmp/gone").exists());
}

fn directories() {
    fs::create_dir_all("/tmp/x/y/z").unwrap();
    for name in ["b", "a", "ü", "C"] {
        fs::write(format!("/tmp/x/{name}"), name).unwrap();
    }
    let names: Vec<_> = fs::read_dir("/tmp/x")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(
        names,
        ["C", "a", "b", "y", "ü"],
        "in the order of their bytes"
    );
    assert!(fs::remove_dir("/tmp/x").is_err(), "it is not empty");
    assert!(fs::remove_file("/tmp/x").is_err(), "it is a directory");
    assert!(fs::remove_dir("/tmp/x/a").is_err(), "it is a file");
    // Entries may be removed while they are listed.
    fs::create_dir("/tmp/many").unwrap();
    for n in 0..300 {
        fs::write(format!("/tmp/many/{n}"), "").unwrap();
    }
    let mut seen = BTreeSet::new();
    for entry in fs::read_dir("/tmp/many").unwrap() {
        let entry = entry.unwrap();
        fs::remove_file(entry.path()).unwrap();
        seen.insert(entry.file_name());
    }
    assert_eq!(seen.len(), 300);
    fs::remove_dir("/tmp/many").unwrap();
    fs::remove_dir_all("/tmp/x").unwrap();
}

fn links() {
    fs::write("/tmp/target", "target").unwrap();
    fs::hard_link("/tmp/target", "/tmp/second").unwrap();
    fs::write("/tmp/second", "changed").unwrap();
    assert_eq!(fs::read_to_string("/tmp/target").unwrap(), "changed");
    fs::remove_file("/tmp/target").unwrap();
    assert_eq!(fs::read_to_string("/tmp/second").unwrap(), "changed");
}

fn escapes() {
    for path in [
        "/../etc/passwd",
        "/tmp/../../etc/passwd",
        "../etc/passwd",
        "/in/../../x",
    ] {
        assert!(File::open(path).is_err(), "{path}");
        assert!(fs::write(path, "").is_err(), "{path}");
    }
    assert!(File::open("/etc/passwd").is_err());
    let names: Vec<_> = fs::read_dir("/")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["dev", "in", "out", "tmp"]);
}

fn read_only_places() {
    assert!(fs::write("/x", "").is_err());
    assert!(fs::create_dir("/in/x").is_err());
    assert!(fs::remove_dir("/tmp/../in").is_err());
    assert!(fs::rename("/out", "/tmp/out").is_err());
    assert!(fs::remove_dir("/tmp").is_err());
}

fn names() {
    let long = "n".repeat(255);
    fs::write(format!("/tmp/{long}"), "x").unwrap();
    assert!(fs::write(format!("/tmp/{long}n"), "x").is_err());
    fs::write("/tmp/tab\tand\nline", "x").unwrap();
    assert!(fs::write("/tmp/a/b", "x").is_err(), "a is a file");
    let deep: String = std::iter::repeat_n("/d", 100).collect();
    fs::create_dir_all(format!("/tmp{deep}")).unwrap();
    fs::write(format!("/tmp{deep}/leaf"), "x").unwrap();
    let file = OpenOptions::new().write(true).open("/tmp/a").unwrap();
    assert!(file.set_len(u64::MAX).is_err(), "no file is so long");
    assert!(file.set_len(1 << 62).is_err(), "no quota is so large");
}

fn devices() {
    let names: Vec<_> = fs::read_dir("/dev")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names, ["null", "random", "urandom", "zero"]);
    let read = |name: &str| {
        let mut bytes = [1; 64];
        let mut file = File::open(format!("/dev/{name}")).unwrap();
        file.read_exact(&mut bytes).map(|()| bytes)
    };
    assert_eq!(read("zero").unwrap(), [0; 64]);
    assert_ne!(read("urandom").unwrap(), read("urandom").unwrap());
    assert_ne!(read("random").unwrap(), [1; 64]);
    assert_eq!(read("null").unwrap_err().kind(), ErrorKind::UnexpectedEof);
    for name in names {
        let path = format!("/dev/{name}");
        fs::write(&path, "taken and forgotten").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 0);
        assert!(fs::remove_file(&path).is_err());
        assert!(fs::rename(&path, "/tmp/device").is_err());
        assert!(fs::hard_link(&path, "/tmp/device").is_err());
    }
    assert!(fs::write("/dev/made", "x").is_err());
    assert!(File::open("/dev/none").is_err());
    assert!(fs::remove_dir("/dev").is_err());
}
