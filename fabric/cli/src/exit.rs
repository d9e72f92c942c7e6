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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_an_exit_code_that_is_explained() {
        for code in ErrorCode::ALL {
            let exit = of_error(*code);
            let explained = format!("\n{exit:>5}  ");
            assert!(HELP.contains(&explained), "{code} gives {exit}");
        }
        let told = [
            ErrorCode::Usage,
            ErrorCode::NotWasm,
            ErrorCode::NotFound,
            ErrorCode::NodeUnreachable,
            ErrorCode::Ledger,
            ErrorCode::Conflict,
        ];
        assert_eq!(told.map(of_error), [2, 65, 66, 69, 70, 73]);
    }

    #[test]
    fn only_a_success_gives_0() {
        let ended = |failure, exit_code| {
            of_job(&JobView {
                state: JobState::Failed,
                failure,
                exit_code,
                ..JobView::default()
            })
        };
        let exit = Some(JobFailure::Exit);
        assert_eq!(ended(exit, Some(3)), ExitCode::from(3));
        // Whatever a node says of a guest that failed.
        assert_eq!(ended(exit, Some(0)), ExitCode::from(1));
        assert_eq!(ended(exit, None), ExitCode::from(1));
        assert_eq!(ended(None, Some(0)), ExitCode::from(INFRASTRUCTURE));
        for (failure, code) in [
            (JobFailure::Trap, TRAP),
            (JobFailure::OutOfFuel, FUEL),
            (JobFailure::MemoryLimit, MEMORY),
            (JobFailure::OutputLimit, OUTPUT),
            (JobFailure::Timeout, TIMEOUT),
            (JobFailure::QueueTimeout, TIMEOUT),
            (JobFailure::Rejected, DATA),
            (JobFailure::Infrastructure, INFRASTRUCTURE),
            (JobFailure::Cancelled, CANCELLED),
        ] {
            assert_eq!(ended(Some(failure), None), ExitCode::from(code));
        }
        let succeeded = JobView {
            state: JobState::Succeeded,
            exit_code: Some(0),
            ..JobView::default()
        };
        assert_eq!(of_job(&succeeded), ExitCode::SUCCESS);
    }
}
