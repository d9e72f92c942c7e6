use super::*;
use crate::{InMemory, NodeId, OpenFlags, PAGE_BYTES, Quota, Storage};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

/// Pages in memory that can be looked at. At first they have something else in them, as those of a disk have.
#[derive(Debug, Default)]
struct Pages {
    pages: Mutex<Vec<Option<Vec<u8>>>>,
    is_full: AtomicBool,
}

impl Pages {
    fn used(&self) -> usize {
        self.pages.lock().unwrap().iter().flatten().count()
    }
}

impl Storage for Pages {
    fn allocate(&self) -> Result<u64, Stop> {
        if self.is_full.load(Ordering::Relaxed) {
            return Err(Stop::Host("the disk is full".to_owned()));
        }
        let page = vec![0xaa; usize::try_from(PAGE_BYTES).unwrap()];
        let mut pages = self.pages.lock().unwrap();
        pages.push(Some(page));
        Ok(pages.len() as u64 - 1)
    }

    fn release(&self, page: u64) {
        let page = usize::try_from(page).unwrap();
        let released = self.pages.lock().unwrap()[page].take();
        assert!(released.is_some(), "a page is released once");
    }

    fn read(&self, page: u64, offset: usize, into: &mut [u8]) -> Result<(), Stop> {
        let pages = self.pages.lock().unwrap();
        let page = pages[usize::try_from(page).unwrap()].as_ref().unwrap();
        into.copy_from_slice(&page[offset..offset + into.len()]);
        Ok(())
    }

    fn write(&self, page: u64, offset: usize, bytes: &[u8]) -> Result<(), Stop> {
        let mut pages = self.pages.lock().unwrap();
        let page = pages[usize::try_from(page).unwrap()].as_mut().unwrap();
        page[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// A task that was given nothing, and has pages.
struct Paged(Arc<Pages>);

impl Inputs for Paged {
    fn look_up(&mut self, at: &crate::At) -> Result<Option<crate::InputEntry>, Stop> {
        InMemory::default().look_up(at)
    }

    fn list(&mut self, at: &crate::At) -> Result<Arc<[String]>, Stop> {
        InMemory::default().list(at)
    }

    fn read(&mut self, at: &crate::At, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        InMemory::default().read(at, offset, into)
    }

    fn stdin(&mut self, offset: u64, into: &mut [u8]) -> Result<usize, Stop> {
        InMemory::default().stdin(offset, into)
    }

    fn seed(&mut self) -> Result<[u8; 32], Stop> {
        InMemory::default().seed()
    }

    fn storage(&mut self) -> Option<Arc<dyn Storage>> {
        Some(Arc::clone(&self.0) as Arc<dyn Storage>)
    }
}

const FLAGS: OpenFlags = OpenFlags {
    create: true,
    directory: false,
    exclusive: false,
    truncate: false,
    follow: false,
    write: true,
};

fn files() -> FileSystem {
    let quota = Quota {
        bytes: 1 << 30,
        files: 100,
    };
    let mut files = FileSystem::new(quota, 0);
    files.mount("/tmp", None, true);
    files
}

fn open(files: &mut FileSystem, name: &str, inputs: &mut dyn Inputs) -> NodeId {
    let path = format!("tmp/{name}");
    files
        .open(FileSystem::ROOT, &path, FLAGS, 0, inputs)
        .unwrap()
}

fn read(files: &FileSystem, file: NodeId, inputs: &mut dyn Inputs) -> Vec<u8> {
    let size = usize::try_from(files.stat(file).unwrap().size).unwrap();
    let mut bytes = vec![1; size];
    assert_eq!(files.read(file, 0, &mut bytes, inputs).unwrap(), size);
    bytes
}

#[test]
fn whatever_is_done_to_files_those_elsewhere_are_as_those_in_memory() {
    let pages = Arc::new(Pages::default());
    let (mut elsewhere, mut memory) = (Paged(Arc::clone(&pages)), InMemory::default());
    let (mut stored, mut held) = (files(), files());
    let mut last = 0;
    let mut random = |below: u64| {
        last = u64::wrapping_add(last, 0x9e37_79b9_7f4a_7c15);
        let mixed = (last ^ (last >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % below
    };
    let ballast = vec![5; 1 << 20];
    for (files, inputs) in [
        (&mut stored, &mut elsewhere as &mut dyn Inputs),
        (&mut held, &mut memory as &mut dyn Inputs),
    ] {
        let file = open(files, "ballast", inputs);
        for _ in 0..=HELD_BYTES >> 20 {
            files.write(file, None, &ballast, 0, inputs).unwrap();
        }
    }
    assert_eq!(pages.used(), 16, "the last mebibyte");
    for step in 0..400 {
        let name = random(3).to_string();
        let (offset, length) = (random(5 * PAGE_BYTES), random(2 * PAGE_BYTES));
        let bytes = vec![u8::try_from(step % 251).unwrap(); usize::try_from(length).unwrap()];
        let cuts = random(4) == 0;
        for (files, inputs) in [
            (&mut stored, &mut elsewhere as &mut dyn Inputs),
            (&mut held, &mut memory as &mut dyn Inputs),
        ] {
            let file = open(files, &name, inputs);
            if cuts {
                files.resize(file, offset, 0).unwrap();
            } else {
                files.write(file, Some(offset), &bytes, 0, inputs).unwrap();
            }
            files.close(file);
        }
        if step % 50 == 0 {
            let copies = (stored.clone(), held.clone());
            assert_eq!(copies.0, copies.1);
            let bytes = postcard::to_allocvec(&stored).unwrap();
            assert_eq!(bytes, postcard::to_allocvec(&held).unwrap());
        }
    }
    let used = pages.used();
    assert!((17..60).contains(&used), "{used} pages");
    drop(stored);
    assert_eq!(pages.used(), 0);
}

#[test]
fn a_copy_stays_as_it_was_and_what_comes_from_a_checkpoint_goes_elsewhere_too() {
    let pages = Arc::new(Pages::default());
    let mut inputs = Paged(Arc::clone(&pages));
    let mut files = files();
    let file = open(&mut files, "file", &mut inputs);
    let bytes = vec![5; usize::try_from(HELD_BYTES + PAGE_BYTES).unwrap()];
    files.write(file, None, &bytes, 0, &mut inputs).unwrap();
    assert_eq!(pages.used(), 257, "one large write");
    let copy = files.clone();
    files.write(file, Some(7), &[6; 3], 0, &mut inputs).unwrap();
    assert_eq!(
        pages.used(),
        258,
        "of the page that was changed there are two"
    );
    assert_eq!(read(&copy, file, &mut inputs), bytes);
    assert_eq!(
        read(&files, file, &mut inputs)[5..12],
        [5, 5, 6, 6, 6, 5, 5]
    );
    let written = postcard::to_allocvec(&copy).unwrap();
    drop((copy, files));
    assert_eq!(pages.used(), 0);
    let mut again: FileSystem = postcard::from_bytes(&written).unwrap();
    assert_eq!(pages.used(), 0);
    again.store(&mut inputs).unwrap();
    assert_eq!(pages.used(), 257);
    assert_eq!(read(&again, file, &mut inputs), bytes);
    assert_eq!(postcard::to_allocvec(&again).unwrap(), written);
}

#[test]
fn that_there_is_no_room_elsewhere_is_no_error_of_the_guest() {
    let pages = Arc::new(Pages::default());
    let mut inputs = Paged(Arc::clone(&pages));
    let mut files = files();
    let file = open(&mut files, "file", &mut inputs);
    pages.is_full.store(true, Ordering::Relaxed);
    let bytes = vec![5; usize::try_from(HELD_BYTES).unwrap()];
    files.write(file, None, &bytes, 0, &mut inputs).unwrap();
    let refused = files.write(file, None, &[5], 0, &mut inputs);
    assert!(
        matches!(&refused, Err(crate::Error::Stop(Stop::Host(_)))),
        "{refused:?}"
    );
}
