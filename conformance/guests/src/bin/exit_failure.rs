//! Exits with a failure.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::FAILURE
}
