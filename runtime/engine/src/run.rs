//! Running a program in the world that it was compiled for.

use crate::{
    Execution, Invocation, RunError, deterministic,
    program::{Code, Program},
    relaxed,
};

impl Program {
    /// Runs the program to its end, which may take long: call it where that may block.
    ///
    /// # Errors
    ///
    /// [`RunError`]: the execution has no outcome.
    pub fn run(&self, invocation: Invocation) -> Result<Execution, RunError> {
        match &self.code {
            Code::Relaxed(command) => relaxed::run(self, command, invocation),
            Code::Component(..) | Code::Module(_) => deterministic::run(self, invocation),
        }
    }
}
