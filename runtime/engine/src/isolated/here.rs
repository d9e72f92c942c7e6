//! The process that compiles.

use super::{Job, PROCESSORS, REFUSED};
use crate::{Engine, Error, Options};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::io::{Read, Write};

/// Compiles what standard input has, within limits of this process that it sets first; returns the exit code.
pub fn compile_here(job: &Job) -> u8 {
    let limit = |resource, value| {
        let limit = Rlimit {
            current: Some(value),
            maximum: Some(value),
        };
        setrlimit(resource, limit)
    };
    let processors = job.limits.time.as_secs().saturating_mul(PROCESSORS);
    let limited = limit(Resource::As, job.limits.memory_bytes)
        .and_then(|()| limit(Resource::Cpu, processors))
        .and_then(|()| limit(Resource::Fsize, job.limits.code_bytes))
        .and_then(|()| limit(Resource::Core, 0));
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    let compiled = match (limited, read) {
        (Ok(()), Ok(_)) => compile(job, &bytes),
        (Err(e), _) => Err(Error::Engine(e.to_string())),
        (_, Err(e)) => Err(Error::Engine(e.to_string())),
    };
    match compiled {
        Ok(()) => 0,
        Err(error) => {
            let _ = write!(std::io::stdout().lock(), "{} {error}", error.code());
            if error.is_components_fault() {
                REFUSED
            } else {
                1
            }
        }
    }
}

fn compile(job: &Job, bytes: &[u8]) -> Result<(), Error> {
    let engine = Engine::new(&Options {
        cache_dir: Some(job.cache_dir.clone()),
        cache_max_bytes: job.cache_max_bytes,
        ..Options::default()
    })?;
    engine.load(&job.cid, bytes, job.need).map(drop)
}
