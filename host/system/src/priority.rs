//! Who goes first when there is more to do than processors for it.

/// The lowest priority at which a thread still makes progress. A lower class runs only on idle processors; but there,
/// other programs could stop a thread while it holds a lock, of the allocator or the store, that other threads of its
/// process need.
#[cfg(target_os = "linux")]
const LOWEST: i32 = 19;

/// Lets all other threads go before this one. Threads that it starts have the same priority, and nothing raises it
/// again.
pub fn give_way() {
    #[cfg(target_os = "linux")]
    // The calling thread's own, on Linux. A priority can always be lowered; if it were not, it would only be slower.
    let _ = rustix::process::setpriority_process(None, LOWEST);
}

/// How much lower than before.
#[cfg(target_os = "linux")]
const BACKGROUND: i32 = 10;

/// Has this thread, and those that it starts from now on, get about a tenth of what others get: for work that has to
/// be done in time all the same. To be called before there are others.
pub fn work_in_the_background() {
    #[cfg(target_os = "linux")]
    // The calling thread's own, on Linux.
    let _ = rustix::process::nice(BACKGROUND);
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    fn own() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[test]
    fn only_the_thread_that_gives_way_does() {
        let before = own();
        let inside = std::thread::spawn(|| {
            give_way();
            own()
        });
        assert_eq!(inside.join().unwrap(), LOWEST);
        let inside = std::thread::spawn(|| {
            work_in_the_background();
            own()
        });
        assert_eq!(inside.join().unwrap(), (before + BACKGROUND).min(LOWEST));
        assert_eq!(own(), before);
    }
}
