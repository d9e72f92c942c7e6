//! Which exit code says what.

pub(crate) use mc_options::exit::*;

use mc_api::{JobFailure, JobView};
use mc_types::{ErrorCode, JobState};
use std::process::ExitCode;

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
        ErrorCode::DataDirLocked
        | ErrorCode::Listen
        | ErrorCode::Storage
        | ErrorCode::Ledger
        | ErrorCode::Identity
        | ErrorCode::Infrastructure
        | ErrorCode::PeerUnreachable
        | ErrorCode::Overloaded
        | ErrorCode::Internal
        | ErrorCode::Unknown => INFRASTRUCTURE,
    }
}

/// The exit code of a job that has ended. Only a success gives 0.
pub(crate) fn of_job(job: &JobView) -> ExitCode {
    let code = match job.failure {
        None if job.state == JobState::Succeeded => 0,
        None => INFRASTRUCTURE,
        Some(JobFailure::Exit) => job.exit_code.filter(|code| *code != 0).unwrap_or(1),
        Some(JobFailure::Trap) => TRAP,
        Some(JobFailure::OutOfFuel) => FUEL,
        Some(JobFailure::MemoryLimit) => MEMORY,
        Some(JobFailure::OutputLimit) => OUTPUT,
        Some(JobFailure::Timeout | JobFailure::QueueTimeout) => TIMEOUT,
        Some(JobFailure::Rejected) => DATA,
        Some(JobFailure::Infrastructure) => INFRASTRUCTURE,
        Some(JobFailure::Cancelled) => CANCELLED,
    };
    ExitCode::from(code)
}
