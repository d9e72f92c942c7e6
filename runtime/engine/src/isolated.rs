//! Compiling in a process of its own, which is killed when it takes too much.
//!
//! Compiling untrusted code can take time and memory out of proportion to its size, and a thread that
//! compiles cannot be stopped. So a node starts a program that calls [`compile_here`]: the bytes go to its
//! standard input, compiled code to the cache that both share, and an error to its standard output.

mod here;

pub use here::compile_here;

use crate::{Error, Need};
use mc_types::{Cid, ErrorCode};
use std::{
    ffi::OsString,
    io::{Read, Write},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// Seconds of processors' time for a second of time.
const PROCESSORS: u64 = 4;
/// Longest message of a failure, in bytes.
const MAX_MESSAGE_BYTES: u64 = 4096;
/// How often a running compiler is looked at.
const POLL: Duration = Duration::from_millis(2);
/// Exit code of a program that was refused.
const REFUSED: u8 = 3;

/// What compiling one program may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompileLimits {
    /// Largest program, in bytes; never more than [`MAX_COMPONENT_BYTES`](crate::MAX_COMPONENT_BYTES).
    pub program_bytes: u64,
    /// Longest time. All threads together may take four times that of processors' time.
    pub time: Duration,
    /// Most address space, in bytes.
    pub memory_bytes: u64,
    /// Most compiled code, in bytes.
    pub code_bytes: u64,
}

/// A program that compiles.
#[derive(Debug, Clone)]
pub struct Compiler {
    /// The program.
    pub program: PathBuf,
    /// What comes before the arguments that [`Job::parse`] reads.
    pub args: Vec<OsString>,
    /// What it may take.
    pub limits: CompileLimits,
}

/// What is to be compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The program's CID.
    pub cid: Cid,
    /// In which way it will be run.
    pub need: Need,
    /// The cache.
    pub cache_dir: PathBuf,
    /// How large that may grow, in bytes.
    pub cache_max_bytes: u64,
    /// What it may take.
    pub limits: CompileLimits,
}

impl Job {
    fn args(&self) -> [OsString; 8] {
        let need = match self.need {
            Need::Relaxed => "relaxed",
            Need::Resume => "resume",
            Need::Run => "run",
        };
        [
            self.cid.to_string().into(),
            need.into(),
            self.cache_dir.clone().into(),
            self.cache_max_bytes.to_string().into(),
            self.limits.program_bytes.to_string().into(),
            self.limits.time.as_secs().to_string().into(),
            self.limits.memory_bytes.to_string().into(),
            self.limits.code_bytes.to_string().into(),
        ]
    }

    /// What the compiler was started with.
    #[must_use]
    pub fn parse(args: &[OsString]) -> Option<Self> {
        let [cid, need, cache_dir, max, program, time, memory, code] = args else {
            return None;
        };
        let number = |text: &OsString| text.to_str()?.parse::<u64>().ok();
        Some(Self {
            cid: cid.to_str()?.parse().ok()?,
            need: match need.to_str()? {
                "relaxed" => Need::Relaxed,
                "resume" => Need::Resume,
                "run" => Need::Run,
                _ => return None,
            },
            cache_dir: cache_dir.into(),
            cache_max_bytes: number(max)?,
            limits: CompileLimits {
                program_bytes: number(program)?,
                time: Duration::from_secs(number(time)?),
                memory_bytes: number(memory)?,
                code_bytes: number(code)?,
            },
        })
    }
}

impl Compiler {
    /// Compiles `bytes` into the cache, unless `cancel` is cancelled: then the process that compiles is killed.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] says why it was refused, [`Error::Uncompilable`] that it was given up.
    pub(crate) fn compile(
        &self,
        job: &Job,
        bytes: &[u8],
        cancel: &CancellationToken,
    ) -> Result<(), Error> {
        if cancel.is_cancelled() {
            return Err(called_off());
        }
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > self.limits.program_bytes {
            return Err(Error::TooLarge {
                bytes: length,
                max: self.limits.program_bytes,
            });
        }
        let failed = |e: std::io::Error| Error::Engine(format!("the compiler cannot run: {e}"));
        let mut child = Command::new(&self.program)
            .args(&self.args)
            .args(job.args())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let begun = Instant::now();
        let (status, message) = std::thread::scope(|scope| {
            // A compiler that ends early closes its end, which ends the writing.
            scope.spawn(move || input.map(|mut input| input.write_all(bytes)));
            let message = scope.spawn(move || {
                let mut message = String::new();
                let output = output.map(|output| output.take(MAX_MESSAGE_BYTES));
                let _ = output.map(|mut output| output.read_to_string(&mut message));
                message
            });
            let status = loop {
                match child.try_wait() {
                    Ok(None) if begun.elapsed() < self.limits.time && !cancel.is_cancelled() => {
                        pause();
                    }
                    Ok(None) => {
                        let _ = child.kill();
                        break child.wait().map(|_| None);
                    }
                    Ok(Some(status)) => break Ok(Some(status)),
                    Err(error) => break Err(error),
                }
            };
            (status, message.join().unwrap_or_default())
        });
        match status.map_err(failed)? {
            Some(status) if status.success() => Ok(()),
            Some(status) if status.code() == Some(REFUSED.into()) => Err(refused(&message)),
            Some(status) if status.code().is_some() => Err(Error::Engine(message)),
            // Nobody knows what it would have come to.
            Some(_) | None if cancel.is_cancelled() => Err(called_off()),
            Some(_) | None => Err(Error::Uncompilable {
                reason: "that takes more time or memory than a node gives".to_owned(),
            }),
        }
    }
}

/// That is no fault of the program's.
fn called_off() -> Error {
    Error::Engine("the compiler was called off".to_owned())
}

/// An error from its code and message, as [`compile_here`] writes them.
fn refused(text: &str) -> Error {
    let (code, message) = text.split_once(' ').unwrap_or(("", text));
    let code = ErrorCode::ALL.iter().find(|known| known.as_str() == code);
    Error::Refused {
        code: code.copied().unwrap_or(ErrorCode::InvalidComponent),
        message: message.to_owned(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "there is no waiting for a process with a deadline"
)]
fn pause() {
    std::thread::sleep(POLL);
}

#[cfg(test)]
mod tests {
    use super::*;
    use mc_types::cid;

    const LIMITS: CompileLimits = CompileLimits {
        program_bytes: 1 << 20,
        time: Duration::from_secs(2),
        memory_bytes: 1 << 30,
        code_bytes: 1 << 20,
    };

    #[test]
    fn a_job_survives_being_passed_on() {
        for need in [Need::Run, Need::Resume, Need::Relaxed] {
            let job = Job {
                cid: cid::of(cid::RAW, b"x"),
                need,
                cache_dir: "/some/where".into(),
                cache_max_bytes: 7,
                limits: LIMITS,
            };
            assert_eq!(Job::parse(&job.args()), Some(job));
        }
        assert_eq!(Job::parse(&["x".into()]), None);
    }

    #[test]
    fn a_compiler_that_dies_is_reported() {
        let dir = tempfile::tempdir().unwrap();
        let job = Job {
            cid: cid::of(cid::RAW, b"x"),
            need: Need::Run,
            cache_dir: dir.path().to_owned(),
            cache_max_bytes: 1,
            limits: LIMITS,
        };
        let compiler = |script: &str| Compiler {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into(), "sh".into()],
            limits: LIMITS,
        };
        let never = CancellationToken::new();
        let compile = |script: &str| compiler(script).compile(&job, &[0; 100_000], &never);
        assert!(compile("cat > /dev/null").is_ok());
        let refused = compile("echo MC0005 because; exit 3").unwrap_err();
        assert_eq!(refused.code().to_string(), "MC0005");
        assert!(refused.to_string().contains("because"), "{refused}");
        let killed = compile("kill -9 $$").unwrap_err();
        assert!(killed.is_components_fault(), "{killed}");
        let slow = compile("exec sleep 60").unwrap_err();
        assert!(slow.is_components_fault(), "{slow}");
        let large = compiler("true").compile(&job, &[0; (1 << 20) + 1], &never);
        assert!(matches!(large, Err(Error::TooLarge { .. })));
        assert!(!compile("exit 1").unwrap_err().is_components_fault());
    }

    #[test]
    fn a_compiler_that_is_called_off_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let limits = CompileLimits {
            time: Duration::from_secs(600),
            ..LIMITS
        };
        let job = Job {
            cid: cid::of(cid::RAW, b"x"),
            need: Need::Run,
            cache_dir: dir.path().to_owned(),
            cache_max_bytes: 1,
            limits,
        };
        let compiler = Compiler {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), "exec sleep 300".into(), "sh".into()],
            limits,
        };
        let cancel = CancellationToken::new();
        let begun = Instant::now();
        let compiled = std::thread::scope(|scope| {
            let compiling = scope.spawn(|| compiler.compile(&job, b"x", &cancel));
            cancel.cancel();
            compiling.join().unwrap()
        });
        assert!(begun.elapsed() < Duration::from_secs(60));
        assert!(!compiled.unwrap_err().is_components_fault());
    }
}
