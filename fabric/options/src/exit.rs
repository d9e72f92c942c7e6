//! Every exit code, in one place.

/// The command line or the configuration cannot be used as given.
pub const USAGE: u8 = 2;
/// The component, an input or a key cannot be used (EX_DATAERR).
pub const DATA: u8 = 65;
/// A file, a job or content is not there (EX_NOINPUT).
pub const NOT_THERE: u8 = 66;
/// No node answers (EX_UNAVAILABLE).
pub const UNREACHABLE: u8 = 69;
/// The machine, the network or the node failed (EX_SOFTWARE).
pub const INFRASTRUCTURE: u8 = 70;
/// The task and the user changed the same file; both versions are kept (EX_CANTCREAT).
pub const CONFLICT: u8 = 73;
/// Detached, the job goes on (EX_TEMPFAIL).
pub const DETACHED: u8 = 75;
/// The timeout passed, as timeout(1) reports it.
pub const TIMEOUT: u8 = 124;
/// Cancelled, as shells report SIGINT.
pub const CANCELLED: u8 = 130;
/// The guest trapped, as shells report SIGABRT.
pub const TRAP: u8 = 134;
/// Memory limit, as shells report SIGKILL.
pub const MEMORY: u8 = 137;
/// The reader of the output has gone, as shells report SIGPIPE.
pub const CLOSED: u8 = 141;
/// Out of fuel, as shells report SIGXCPU.
pub const FUEL: u8 = 152;
/// Output limit, as shells report SIGXFSZ.
pub const OUTPUT: u8 = 153;

/// What `--help` says of them.
pub const HELP: &str = "\
Exit codes: the guest's own, or
    2  the command line or the configuration cannot be used as given
   65  the component, an input or a key cannot be used
   66  a file cannot be read or written, or a job or content is not there
   69  no node answers
   70  the machine, the network or the node failed
   73  the task and you changed the same file; both versions are kept
   75  detached, the time to wait is over, or no node answers: the job goes on
  124  the timeout passed
  130  cancelled
  134  the guest trapped
  137  memory limit
  141  the reader of the output has gone
  152  out of fuel
  153  output limit
A component of WASI 0.2 can only exit with 0 (success) or 1 (failure), whatever code its program
passes to exit. Components that import exit-with-code, and core modules for preview 1, keep their
codes.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_explained() {
        let codes = [
            USAGE,
            DATA,
            NOT_THERE,
            UNREACHABLE,
            INFRASTRUCTURE,
            CONFLICT,
            DETACHED,
            TIMEOUT,
            CANCELLED,
            TRAP,
            MEMORY,
            CLOSED,
            FUEL,
            OUTPUT,
        ];
        for code in codes {
            assert!(HELP.contains(&format!("\n{code:>5}  ")), "{code}");
        }
    }
}
