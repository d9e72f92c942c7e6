//! Every exit code, in one place.

use mc_gateway::api::{Failure, JobView};
use mc_types::{ErrorCode, JobState};
use std::process::ExitCode;

/// The command line or the configuration cannot be used as given.
pub(crate) const USAGE: u8 = 2;
/// The component, an input or a key cannot be used (EX_DATAERR).
pub(crate) const DATA: u8 = 65;
/// A file, a job or content is not there (EX_NOINPUT).
pub(crate) const NOT_THERE: u8 = 66;
/// No node answers (EX_UNAVAILABLE).
pub(crate) const UNREACHABLE: u8 = 69;
/// The machine, the network or the node failed (EX_SOFTWARE).
pub(crate) const INFRASTRUCTURE: u8 = 70;
/// Something that the task changed was changed by the user too; both versions are there (EX_CANTCREAT).
pub(crate) const CONFLICT: u8 = 73;
/// Detached, the job goes on (EX_TEMPFAIL).
pub(crate) const DETACHED: u8 = 75;
/// The timeout passed, as timeout(1) says it.
pub(crate) const TIMEOUT: u8 = 124;
/// Cancelled, as shells say it of SIGINT.
pub(crate) const CANCELLED: u8 = 130;
/// The guest trapped, as shells say it of SIGABRT.
pub(crate) const TRAP: u8 = 134;
/// Memory limit, as shells say it of SIGKILL.
pub(crate) const MEMORY: u8 = 137;
/// Nobody reads the output any more, as shells say it of SIGPIPE.
pub(crate) const CLOSED: u8 = 141;
/// Out of fuel, as shells say it of SIGXCPU.
pub(crate) const FUEL: u8 = 152;
/// Output limit, as shells say it of SIGXFSZ.
pub(crate) const OUTPUT: u8 = 153;

/// What `--help` says of them.
pub(crate) const HELP: &str = "\
Exit codes: the guest's own, or
    2  the command line or the configuration cannot be used as given
   65  the component, an input or a key cannot be used
   66  a file, a job or content is not there
   69  no node answers
   70  the machine, the network or the node failed
   73  what the task changed was changed here too; both are kept
   75  detached: the job goes on
  124  the timeout passed
  130  cancelled
  134  the guest trapped
  137  memory limit
  141  nobody reads the output any more
  152  out of fuel
  153  output limit
A component of WASI 0.2 can say of its exit only that all is well, or that it is not: 0 or 1, whatever the program
passes to exit. Those that import exit-with-code, and core modules for preview 1, keep their codes.";

/// The exit code of an error.
pub(crate) const fn of_error(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::Usage => USAGE,
        ErrorCode::NotWasm
        | ErrorCode::CoreModule
        | ErrorCode::UnsupportedImport
        | ErrorCode::UnsupportedProposal
        | ErrorCode::InvalidComponent
        | ErrorCode::InvalidCheckpoint
        | ErrorCode::CannotStop
        | ErrorCode::Build
        | ErrorCode::CorruptContent
        | ErrorCode::InvalidTask
        | ErrorCode::WrongKey => DATA,
        ErrorCode::Path
        | ErrorCode::NotFound
        | ErrorCode::ContentNotFound
        | ErrorCode::NoResult => NOT_THERE,
        ErrorCode::NodeUnreachable => UNREACHABLE,
        ErrorCode::Conflict => CONFLICT,
        _ => INFRASTRUCTURE,
    }
}

/// The exit code of a job that has ended. Only a success gives 0.
pub(crate) fn of_job(job: &JobView) -> ExitCode {
    let code = match job.failure {
        None if job.state == JobState::Succeeded => 0,
        None => INFRASTRUCTURE,
        Some(Failure::Exit) => job.exit_code.filter(|code| *code != 0).unwrap_or(1),
        Some(Failure::Trap) => TRAP,
        Some(Failure::OutOfFuel) => FUEL,
        Some(Failure::MemoryLimit) => MEMORY,
        Some(Failure::OutputLimit) => OUTPUT,
        Some(Failure::Timeout | Failure::QueueTimeout) => TIMEOUT,
        Some(Failure::Rejected) => DATA,
        Some(Failure::Infrastructure) => INFRASTRUCTURE,
        Some(Failure::Cancelled) => CANCELLED,
    };
    ExitCode::from(code)
}
