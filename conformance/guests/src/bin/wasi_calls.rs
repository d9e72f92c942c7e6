//! Makes every call of WASI 0.2 that is not about the network, and checks what WASI says of it.
//!
//! Expects `input` on standard input, the argument `one` and the variable `A=b`.

use wasip2::{
    cli::{environment, stderr, stdin, stdout, terminal_stderr, terminal_stdin, terminal_stdout},
    clocks::{monotonic_clock, wall_clock},
    filesystem::{
        preopens,
        types::{
            Advice, Descriptor, DescriptorFlags, DescriptorType, ErrorCode, NewTimestamp,
            OpenFlags, PathFlags, filesystem_error_code,
        },
    },
    io::{
        poll,
        streams::{InputStream, OutputStream, StreamError},
    },
    random::{insecure, insecure_seed, random},
};

fn main() {
    surroundings();
    clocks();
    polling();
    numbers();
    standard_input();
    standard_output();
    let tmp = tmp();
    opening(&tmp);
    contents(&tmp);
    file_streams(&tmp);
    failed_streams(&tmp);
    metadata(&tmp);
    times(&tmp);
    names(&tmp);
    listing(&tmp);
    println!("all is well");
}

fn surroundings() {
    assert_eq!(environment::get_arguments()[1..], ["one"]);
    assert_eq!(
        environment::get_environment(),
        [("A".to_owned(), "b".to_owned())]
    );
    assert_eq!(environment::initial_cwd(), None);
    assert!(terminal_stdin::get_terminal_stdin().is_none());
    assert!(terminal_stdout::get_terminal_stdout().is_none());
    assert!(terminal_stderr::get_terminal_stderr().is_none());
}

fn clocks() {
    let begun = monotonic_clock::now();
    assert!(monotonic_clock::resolution() > 0);
    assert!(monotonic_clock::now() > begun);
    let then = begun + 5_000_000_000;
    let pause = monotonic_clock::subscribe_instant(then);
    assert!(!pause.ready());
    pause.block();
    assert!(pause.ready());
    assert!(monotonic_clock::now() >= then);
    let before = wall_clock::now();
    monotonic_clock::subscribe_duration(1_000_000_000).block();
    let after = wall_clock::now();
    assert!(after.seconds > before.seconds);
    assert!(after.nanoseconds < 1_000_000_000);
    let resolution = wall_clock::resolution();
    assert!(resolution.seconds > 0 || resolution.nanoseconds > 0);
    assert!(monotonic_clock::subscribe_instant(0).ready());
}

fn polling() {
    let late = monotonic_clock::subscribe_duration(u64::MAX);
    let soon = monotonic_clock::subscribe_duration(1_000);
    let past = monotonic_clock::subscribe_instant(0);
    assert_eq!(poll::poll(&[&late, &past]), [1]);
    assert_eq!(poll::poll(&[&soon, &late]), [0]);
    assert_eq!(poll::poll(&[&past, &late, &past, &soon]), [0, 2, 3]);
    assert!(!late.ready());
}

fn numbers() {
    assert_eq!(random::get_random_bytes(0), []);
    let bytes = random::get_random_bytes(100);
    assert_eq!(bytes.len(), 100);
    assert_ne!(bytes, random::get_random_bytes(100));
    assert_ne!(random::get_random_u64(), random::get_random_u64());
    assert_eq!(insecure::get_insecure_random_bytes(7).len(), 7);
    assert_ne!(
        insecure::get_insecure_random_u64(),
        insecure::get_insecure_random_u64()
    );
    assert_eq!(
        insecure_seed::insecure_seed(),
        insecure_seed::insecure_seed()
    );
}

fn standard_input() {
    let input = stdin::get_stdin();
    input.subscribe().block();
    assert_eq!(input.read(1).unwrap(), b"i");
    assert_eq!(input.blocking_read(1).unwrap(), b"n");
    assert_eq!(input.skip(1).unwrap(), 1);
    assert_eq!(input.blocking_skip(1).unwrap(), 1);
    assert_eq!(input.read(0).unwrap(), b"");
    assert_eq!(input.blocking_read(u64::MAX).unwrap(), b"t");
    assert!(matches!(input.read(1), Err(StreamError::Closed)));
    assert!(matches!(input.blocking_read(1), Err(StreamError::Closed)));
    assert!(matches!(input.skip(1), Err(StreamError::Closed)));
    assert!(input.subscribe().ready());
}

fn standard_output() {
    let output = stdout::get_stdout();
    output.subscribe().block();
    assert!(output.check_write().unwrap() > 0);
    output.write(b"written\n").unwrap();
    output.flush().unwrap();
    output.blocking_write_and_flush(b"and flushed\n").unwrap();
    output.write_zeroes(2).unwrap();
    output.blocking_write_zeroes_and_flush(1).unwrap();
    output.blocking_flush().unwrap();
    stderr::get_stderr()
        .blocking_write_and_flush(b"an error\n")
        .unwrap();
}

fn tmp() -> Descriptor {
    let mut directories = preopens::get_directories();
    assert_eq!(directories.len(), 1);
    let (root, name) = directories.remove(0);
    assert_eq!(name, "/");
    directory(&root, "tmp")
}

fn open(
    at: &Descriptor,
    path: &str,
    how: OpenFlags,
    flags: DescriptorFlags,
) -> Result<Descriptor, ErrorCode> {
    at.open_at(PathFlags::SYMLINK_FOLLOW, path, how, flags)
}

fn directory(at: &Descriptor, path: &str) -> Descriptor {
    let flags = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    open(at, path, OpenFlags::DIRECTORY, flags).unwrap()
}

const BOTH: DescriptorFlags = DescriptorFlags::READ.union(DescriptorFlags::WRITE);

fn make(at: &Descriptor, path: &str, bytes: &[u8]) -> Descriptor {
    let file = open(at, path, OpenFlags::CREATE | OpenFlags::TRUNCATE, BOTH).unwrap();
    assert_eq!(file.write(bytes, 0).unwrap(), bytes.len() as u64);
    file
}

fn opening(tmp: &Descriptor) {
    let read = DescriptorFlags::READ;
    let none = open(tmp, "none", OpenFlags::empty(), read).unwrap_err();
    assert_eq!(none, ErrorCode::NoEntry);
    let file = make(tmp, "made", b"123");
    assert_eq!(file.get_type().unwrap(), DescriptorType::RegularFile);
    assert_eq!(file.get_flags().unwrap(), BOTH);
    assert_eq!(tmp.get_type().unwrap(), DescriptorType::Directory);
    assert!(
        tmp.get_flags()
            .unwrap()
            .contains(DescriptorFlags::MUTATE_DIRECTORY)
    );
    let again = open(tmp, "made", OpenFlags::CREATE | OpenFlags::EXCLUSIVE, BOTH).unwrap_err();
    assert_eq!(again, ErrorCode::Exist);
    let no_directory = open(tmp, "made", OpenFlags::DIRECTORY, read).unwrap_err();
    assert_eq!(no_directory, ErrorCode::NotDirectory);
    let below = open(tmp, "made/below", OpenFlags::empty(), read).unwrap_err();
    assert_eq!(below, ErrorCode::NotDirectory);
    let reader = open(tmp, "made", OpenFlags::empty(), read).unwrap();
    assert_eq!(reader.write(b"x", 0).unwrap_err(), ErrorCode::BadDescriptor);
    assert_eq!(reader.set_size(0).unwrap_err(), ErrorCode::Invalid);
    assert!(open(tmp, "../..", OpenFlags::DIRECTORY, read).is_err());
    assert!(open(tmp, "/tmp", OpenFlags::DIRECTORY, read).is_err());
    assert!(open(tmp, "", OpenFlags::empty(), read).is_err());
    open(tmp, "made", OpenFlags::TRUNCATE, BOTH).unwrap();
    assert_eq!(reader.stat().unwrap().size, 0);
}

fn contents(tmp: &Descriptor) {
    let file = make(tmp, "contents", b"0123456789");
    assert_eq!(file.read(4, 3).unwrap(), (b"3456".to_vec(), false));
    assert_eq!(file.read(100, 8).unwrap(), (b"89".to_vec(), true));
    assert_eq!(file.read(1, 1 << 40).unwrap(), (vec![], true));
    assert_eq!(file.write(b"x", 12).unwrap(), 1);
    assert_eq!(file.read(5, 9).unwrap().0, b"9\0\0x");
    file.set_size(2).unwrap();
    assert_eq!(file.read(100, 0).unwrap().0, b"01");
    file.set_size(4).unwrap();
    assert_eq!(file.read(100, 0).unwrap().0, b"01\0\0");
    file.advise(0, 4, Advice::WillNeed).unwrap();
    file.sync_data().unwrap();
    file.sync().unwrap();
    assert!(file.set_size(u64::MAX).is_err());
    assert!(file.write(b"x", u64::MAX).is_err());
    assert!(tmp.read(1, 0).is_err());
}

fn all(stream: &InputStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(more) = stream.blocking_read(3) {
        bytes.extend(more);
    }
    bytes
}

fn file_streams(tmp: &Descriptor) {
    let file = make(tmp, "streams", b"0123456789");
    let input = file.read_via_stream(2).unwrap();
    assert_eq!(input.skip(3).unwrap(), 3);
    assert_eq!(all(&input), b"56789");
    let output = file.write_via_stream(8).unwrap();
    output.blocking_write_and_flush(b"abcd").unwrap();
    output.write_zeroes(1).unwrap();
    output.blocking_flush().unwrap();
    assert_eq!(all(&file.read_via_stream(0).unwrap()), b"01234567abcd\0");
    let append = file.append_via_stream().unwrap();
    append.blocking_write_and_flush(b"!").unwrap();
    assert_eq!(all(&file.read_via_stream(12).unwrap()), b"\0!");

    let copy = make(tmp, "copy", b"");
    let to = copy.write_via_stream(0).unwrap();
    let from = file.read_via_stream(0).unwrap();
    assert_eq!(splice(&to, &from, 4), 4);
    assert_eq!(to.blocking_splice(&from, 100).unwrap(), 10);
    to.blocking_flush().unwrap();
    assert!(to.blocking_splice(&from, 100).is_err());
    assert_eq!(copy.read(100, 0).unwrap().0, b"01234567abcd\0!");
    // Where a stream goes on is its own matter.
    copy.set_size(0).unwrap();
    to.blocking_write_and_flush(b"z").unwrap();
    assert_eq!(copy.stat().unwrap().size, 15);
}

fn splice(to: &OutputStream, from: &InputStream, length: u64) -> u64 {
    assert!(to.check_write().unwrap() >= length);
    to.splice(from, length).unwrap()
}

fn failed_streams(tmp: &Descriptor) {
    let reader = open(tmp, "copy", OpenFlags::empty(), DescriptorFlags::READ).unwrap();
    assert_eq!(
        reader.write_via_stream(0).unwrap_err(),
        ErrorCode::BadDescriptor
    );
    assert_eq!(
        reader.append_via_stream().unwrap_err(),
        ErrorCode::BadDescriptor
    );
    assert!(tmp.read_via_stream(0).is_err());
    let file = make(tmp, "copy", b"");
    let beyond = file.write_via_stream(u64::MAX - 1).unwrap();
    match beyond.blocking_write_and_flush(b"too far") {
        Err(StreamError::LastOperationFailed(error)) => {
            assert!(!error.to_debug_string().is_empty());
            assert_eq!(filesystem_error_code(&error), Some(ErrorCode::FileTooLarge));
        }
        other => panic!("{other:?}"),
    }
}

fn metadata(tmp: &Descriptor) {
    let file = make(tmp, "metadata", b"12345");
    let stat = file.stat().unwrap();
    assert_eq!(stat.type_, DescriptorType::RegularFile);
    assert_eq!((stat.size, stat.link_count), (5, 1));
    let at = |path| tmp.stat_at(PathFlags::empty(), path);
    assert_eq!(at("metadata").unwrap().size, 5);
    assert_eq!(at("none").unwrap_err(), ErrorCode::NoEntry);
    assert_eq!(at(".").unwrap().type_, DescriptorType::Directory);
    let again = open(tmp, "metadata", OpenFlags::empty(), BOTH).unwrap();
    let other = make(tmp, "other", b"12345");
    assert!(file.is_same_object(&again));
    assert!(!file.is_same_object(&other));
    let hash = |file: &Descriptor| {
        let hash = file.metadata_hash().unwrap();
        (hash.lower, hash.upper)
    };
    let at = tmp
        .metadata_hash_at(PathFlags::empty(), "metadata")
        .unwrap();
    assert_eq!(hash(&file), hash(&again));
    assert_eq!(hash(&file), (at.lower, at.upper));
    assert_ne!(hash(&file), hash(&other));
    let before = hash(&file);
    file.write(b"longer", 0).unwrap();
    assert_ne!(hash(&file), before);
    let none = tmp
        .metadata_hash_at(PathFlags::empty(), "none")
        .unwrap_err();
    assert_eq!(none, ErrorCode::NoEntry);
}

fn times(tmp: &Descriptor) {
    let at = |seconds| {
        NewTimestamp::Timestamp(wall_clock::Datetime {
            seconds,
            nanoseconds: 7,
        })
    };
    let seconds = |file: &Descriptor| {
        let stat = file.stat().unwrap();
        let of = |time: Option<wall_clock::Datetime>| time.map(|time| time.seconds);
        (
            of(stat.data_access_timestamp),
            of(stat.data_modification_timestamp),
        )
    };
    let file = make(tmp, "times", b"1");
    file.set_times(at(10), at(20)).unwrap();
    assert_eq!(seconds(&file), (Some(10), Some(20)));
    file.set_times(NewTimestamp::NoChange, at(30)).unwrap();
    assert_eq!(seconds(&file), (Some(10), Some(30)));
    tmp.set_times_at(PathFlags::empty(), "times", at(40), NewTimestamp::NoChange)
        .unwrap();
    assert_eq!(seconds(&file), (Some(40), Some(30)));
    let now = wall_clock::now().seconds;
    file.set_times(NewTimestamp::Now, NewTimestamp::Now)
        .unwrap();
    assert!(seconds(&file).1 >= Some(now));
    let nanoseconds = NewTimestamp::Timestamp(wall_clock::Datetime {
        seconds: 0,
        nanoseconds: 1_000_000_000,
    });
    assert!(file.set_times(nanoseconds, NewTimestamp::NoChange).is_err());
}

fn names(tmp: &Descriptor) {
    tmp.create_directory_at("directory").unwrap();
    assert_eq!(
        tmp.create_directory_at("directory").unwrap_err(),
        ErrorCode::Exist
    );
    let directory = directory(tmp, "directory");
    make(&directory, "file", b"here");
    assert_eq!(
        tmp.remove_directory_at("directory").unwrap_err(),
        ErrorCode::NotEmpty
    );
    assert_eq!(
        tmp.remove_directory_at("directory/file").unwrap_err(),
        ErrorCode::NotDirectory
    );

    tmp.symlink_at("directory/file", "link").unwrap();
    assert_eq!(tmp.readlink_at("link").unwrap(), "directory/file");
    assert_eq!(
        tmp.readlink_at("directory").unwrap_err(),
        ErrorCode::Invalid
    );
    let stat = |flags| tmp.stat_at(flags, "link").unwrap().type_;
    assert_eq!(stat(PathFlags::empty()), DescriptorType::SymbolicLink);
    assert_eq!(stat(PathFlags::SYMLINK_FOLLOW), DescriptorType::RegularFile);
    let unfollowed = tmp.open_at(
        PathFlags::empty(),
        "link",
        OpenFlags::empty(),
        DescriptorFlags::READ,
    );
    assert_eq!(unfollowed.unwrap_err(), ErrorCode::Loop);
    assert!(tmp.symlink_at("/absolute", "absolute").is_err());

    tmp.link_at(PathFlags::empty(), "directory/file", tmp, "hard")
        .unwrap();
    assert_eq!(
        tmp.stat_at(PathFlags::empty(), "hard").unwrap().link_count,
        2
    );
    tmp.rename_at("hard", &directory, "renamed").unwrap();
    assert_eq!(
        tmp.stat_at(PathFlags::empty(), "hard").unwrap_err(),
        ErrorCode::NoEntry
    );
    assert!(tmp.rename_at("directory", &directory, "inside").is_err());

    let open_file = open(
        &directory,
        "renamed",
        OpenFlags::empty(),
        DescriptorFlags::READ,
    )
    .unwrap();
    directory.unlink_file_at("renamed").unwrap();
    directory.unlink_file_at("file").unwrap();
    assert_eq!(open_file.read(10, 0).unwrap().0, b"here");
    assert_eq!(open_file.stat().unwrap().link_count, 0);
    assert_eq!(tmp.unlink_file_at("none").unwrap_err(), ErrorCode::NoEntry);
    assert!(tmp.unlink_file_at("directory").is_err());
    tmp.remove_directory_at("directory").unwrap();
    let dangling = open(tmp, "link", OpenFlags::empty(), DescriptorFlags::READ).unwrap_err();
    assert_eq!(dangling, ErrorCode::NoEntry);
}

fn listing(tmp: &Descriptor) {
    tmp.create_directory_at("list").unwrap();
    let list = directory(tmp, "list");
    make(&list, "b", b"");
    list.create_directory_at("a").unwrap();
    list.symlink_at("a", "c").unwrap();
    let entries = list.read_directory().unwrap();
    let mut seen = Vec::new();
    while let Some(entry) = entries.read_directory_entry().unwrap() {
        seen.push((entry.name, entry.type_));
    }
    let expected = [
        ("a".to_owned(), DescriptorType::Directory),
        ("b".to_owned(), DescriptorType::RegularFile),
        ("c".to_owned(), DescriptorType::SymbolicLink),
    ];
    assert_eq!(seen, expected);
    assert!(entries.read_directory_entry().unwrap().is_none());
    let file = open(&list, "b", OpenFlags::empty(), DescriptorFlags::READ).unwrap();
    assert_eq!(file.read_directory().unwrap_err(), ErrorCode::NotDirectory);
}
