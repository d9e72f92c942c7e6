//! The guest's files beside the model's.

use crate::model::{Model, Node};
use arbitrary::{Result, Unstructured};
use mc_wasi::{
    Bounds, Errno, Error, Host, InMemory, Mount, OpenFlags, Opening, Preview, Quota, Setup, State,
    Tree,
};

const NAMES: &[&str] = &["a", "b", "c", "d"];
/// Where the tree is that both begin with.
const MOUNT: &str = "w";
const GIVEN_BYTES: usize = 150_000;

fn given() -> (Tree, Model) {
    let large: Vec<u8> = (0..GIVEN_BYTES)
        .map(|n| (n % 251).to_le_bytes()[0])
        .collect();
    let tree = Tree::directory([
        (
            "a",
            Tree::directory([("b", Tree::file(&large)), ("c", Tree::directory([]))]),
        ),
        ("d", Tree::file("hello")),
    ]);
    let directory = |entries: Vec<(&str, Node)>| {
        Node::Directory(
            entries
                .into_iter()
                .map(|(n, node)| (n.to_owned(), node))
                .collect(),
        )
    };
    let model = Model {
        root: directory(vec![
            (
                "a",
                directory(vec![("b", Node::File(0)), ("c", directory(vec![]))]),
            ),
            ("d", Node::File(1)),
        ]),
        files: vec![large, b"hello".to_vec()],
    };
    (tree, model)
}

fn host(tree: Tree) -> Host {
    let setup = Setup {
        args: vec![],
        env: vec![],
        mounts: vec![Mount {
            path: format!("/{MOUNT}"),
            given: true,
            writable: true,
        }],
        bounds: Bounds {
            output_bytes: 0,
            files: Quota {
                bytes: 1 << 40,
                files: 1 << 20,
            },
            handles: 1 << 20,
        },
        start_seconds: None,
    };
    let inputs = InMemory {
        mounts: vec![tree],
        ..InMemory::default()
    };
    Host::new(setup, Preview::Two, Box::new(inputs))
}

struct Both {
    host: Host,
    root: u32,
    model: Model,
    /// Open files.
    open: Vec<Opened>,
}

#[derive(Clone, Copy)]
struct Opened {
    handle: u32,
    /// Its number in the model.
    file: usize,
    /// Whether it was opened to be written to.
    write: bool,
}

/// Any sequence of calls comes to the same as in the model, and leaves the same.
pub fn wasi_files(bytes: &[u8]) {
    let (tree, model) = given();
    let mut host = host(tree);
    let root = host.open_root().unwrap();
    let mut both = Both {
        host,
        root,
        model,
        open: vec![],
    };
    let mut input = Unstructured::new(bytes);
    while !input.is_empty() && both.step(&mut input).is_ok() {}
    both.compare(&mut vec![]);
    let state = serde_json::to_string(both.host.state()).unwrap();
    let again: State = serde_json::from_str(&state).unwrap();
    assert_eq!(
        again,
        *both.host.state(),
        "state survives being written down"
    );
}

fn path(input: &mut Unstructured<'_>) -> Result<Vec<&'static str>> {
    let length = input.int_in_range(1..=3)?;
    (0..length).map(|_| input.choose(NAMES).copied()).collect()
}

/// The guest's path. What does not change where it leads is added here and there.
fn text(path: &[&str], input: &mut Unstructured<'_>) -> String {
    let separator = match input.ratio(1_u8, 8_u8) {
        Ok(true) => "/./",
        _ => "/",
    };
    format!("{MOUNT}{separator}{}", path.join(separator))
}

fn errno<T>(result: mc_wasi::Result<T>) -> std::result::Result<T, Errno> {
    result.map_err(|error| match error {
        Error::Guest(errno) => errno,
        Error::Stop(stop) => panic!("stopped: {stop}"),
    })
}

impl Both {
    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let kind: u8 = input.int_in_range(0..=12)?;
        let a = path(input)?;
        let here = text(&a, input);
        let root = self.root;
        match kind {
            0..=2 => self.open(&a, &here, input)?,
            3 => assert_eq!(
                errno(self.host.create_directory(root, &here)),
                self.model.make_directory(&a),
                "mkdir {a:?}"
            ),
            4 => assert_eq!(
                errno(self.host.remove_directory(root, &here)),
                self.model.remove_directory(&a),
                "rmdir {a:?}"
            ),
            5 => assert_eq!(
                errno(self.host.remove_file(root, &here)),
                self.model.remove_file(&a),
                "unlink {a:?}"
            ),
            6 | 7 => {
                let b = path(input)?;
                let there = text(&b, input);
                let (old, new) = ((root, &*here), (root, &*there));
                if kind == 6 {
                    let renamed = errno(self.host.rename(old, new));
                    assert_eq!(renamed, self.model.rename(&a, &b), "rename {a:?} {b:?}");
                } else {
                    let linked = errno(self.host.link(old, false, new));
                    assert_eq!(linked, self.model.link(&a, &b), "link {a:?} {b:?}");
                }
            }
            _ => self.use_file(kind, input)?,
        }
        Ok(())
    }

    fn open(&mut self, a: &[&'static str], here: &str, input: &mut Unstructured<'_>) -> Result<()> {
        let [create, exclusive, truncate, directory, write]: [bool; 5] = input.arbitrary()?;
        let flags = OpenFlags {
            create,
            directory,
            exclusive,
            truncate,
            follow: true,
            write,
        };
        let how = Opening {
            flags,
            read: true,
            ..Opening::default()
        };
        let ours = errno(self.host.open_at(self.root, here, how));
        let theirs = self.model.open(a, flags);
        match (ours, theirs) {
            (Ok(handle), Ok(Some(file))) => self.open.push(Opened {
                handle,
                file,
                write,
            }),
            (Ok(handle), Ok(None)) => self.host.close(handle).unwrap(),
            (ours, theirs) => assert_eq!(ours.err(), theirs.err(), "open {a:?} {how:?}"),
        }
        Ok(())
    }

    fn use_file(&mut self, kind: u8, input: &mut Unstructured<'_>) -> Result<()> {
        if self.open.is_empty() {
            return Ok(());
        }
        let index = input.choose_index(self.open.len())?;
        let Opened {
            handle,
            file,
            write,
        } = self.open[index];
        let offset: usize = input.int_in_range(0..=300_000)?;
        match kind {
            8..=10 if !write => {
                let written = errno(self.host.write_at(handle, offset as u64, b"x"));
                assert_eq!(written, Err(Errno::BadDescriptor));
                let resized = errno(self.host.set_size(handle, offset as u64));
                assert_eq!(resized, Err(Errno::Invalid));
            }
            8 => {
                let length = input.int_in_range(0..=70_000)?;
                let bytes = vec![input.arbitrary()?; length];
                self.host.write_at(handle, offset as u64, &bytes).unwrap();
                self.model.write(file, offset, &bytes);
            }
            9 => {
                let bytes: [u8; 3] = input.arbitrary()?;
                let end = self.model.files[file].len();
                assert_eq!(errno(self.host.append(handle, &bytes)), Ok(end as u64));
                self.model.write(file, end, &bytes);
            }
            10 => {
                self.host.set_size(handle, offset as u64).unwrap();
                self.model.files[file].resize(offset, 0);
            }
            11 => self.read(handle, file, offset),
            _ => {
                self.host.close(handle).unwrap();
                self.open.swap_remove(index);
            }
        }
        let size = self.host.stat(handle).map(|stat| stat.size);
        if kind != 12 {
            assert_eq!(size, Ok(self.model.files[file].len() as u64));
        }
        Ok(())
    }

    fn read(&mut self, handle: u32, file: usize, offset: usize) {
        let mut bytes = vec![0xff; 100_000];
        let read = self
            .host
            .read_at(handle, offset as u64, &mut bytes)
            .unwrap();
        let rest = self.model.files[file].get(offset..).unwrap_or_default();
        assert_eq!(bytes[..read], rest[..rest.len().min(100_000)]);
    }

    /// Everything below a path is the same.
    fn compare(&mut self, path: &mut Vec<&'static str>) {
        let node = self.model.find(path).unwrap().unwrap().clone();
        let here = format!("{MOUNT}/{}", path.join("/"));
        let how = Opening {
            read: true,
            ..Opening::default()
        };
        let here = here.trim_end_matches('/');
        let handle = self.host.open_at(self.root, here, how).unwrap();
        match node {
            Node::File(file) => {
                for offset in (0..=self.model.files[file].len()).step_by(100_000) {
                    self.read(handle, file, offset);
                }
            }
            Node::Directory(entries) => {
                let listing = self.host.list(handle).unwrap();
                let mut names = vec![];
                while let Some(entry) = self.host.next_entry(listing).unwrap() {
                    names.push(entry.name);
                }
                assert!(names.iter().eq(entries.keys()), "{here}: {names:?}");
                self.host.close(listing).unwrap();
                for name in NAMES.iter().filter(|name| entries.contains_key(**name)) {
                    path.push(name);
                    self.compare(path);
                    path.pop();
                }
            }
        }
        self.host.close(handle).unwrap();
    }
}
