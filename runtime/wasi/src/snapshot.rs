//! A world as bytes, to be taken up elsewhere.
//!
//! The encoding is postcard's (<https://postcard.jamesmunns.com/wire-format>), of [`State`] as
//! [`STATE_VERSION`] has it: the same world has the same bytes everywhere.

use crate::{Host, Inputs, State, error::BadState};

/// Changes whenever the encoding of a state does, or what a state means.
pub const STATE_VERSION: u32 = 1;

impl State {
    /// The state as bytes.
    ///
    /// # Errors
    ///
    /// [`BadState`] when output has not been taken out yet.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BadState> {
        if self.logs.stdout.has_pending() || self.logs.stderr.has_pending() {
            return Err(BadState("output that was not delivered"));
        }
        postcard::to_allocvec(self).map_err(|_| BadState("it cannot be encoded"))
    }

    /// Reads what [`Self::to_bytes`] gave. The bytes may come from anywhere.
    ///
    /// # Errors
    ///
    /// [`BadState`] when the bytes are not exactly that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadState> {
        let state: Self =
            postcard::from_bytes(bytes).map_err(|_| BadState("it cannot be decoded"))?;
        if state.to_bytes()? == bytes {
            Ok(state)
        } else {
            Err(BadState("it is encoded in another way"))
        }
    }

    /// Bytes of all files that were written.
    #[must_use]
    pub const fn file_bytes(&self) -> u64 {
        self.files.used().bytes
    }

    /// Bytes that were ever written to standard output and standard error.
    #[must_use]
    pub const fn output_bytes(&self) -> (u64, u64) {
        (self.logs.stdout.written(), self.logs.stderr.written())
    }
}

impl Host {
    /// Replaces all mutable state by a state of the same task from elsewhere.
    ///
    /// # Errors
    ///
    /// [`BadState`] when it cannot be a state of this task: its inputs or limits differ, or it contradicts itself. The
    /// world is unchanged then.
    pub fn restore(&mut self, state: State) -> Result<(), BadState> {
        check(&state, &self.state, &mut *self.inputs)?;
        self.state = state;
        // Files without room elsewhere are in memory already. The guest gets an error when it writes more.
        let _ = self.state.files.store(&mut *self.inputs);
        Ok(())
    }
}

/// Checks a state against that with which the task begins.
fn check(state: &State, begin: &State, inputs: &mut dyn Inputs) -> Result<(), BadState> {
    let same = |is_same: bool, what| is_same.then_some(()).ok_or(BadState(what));
    same(state.args == begin.args, "other arguments")?;
    same(state.env == begin.env, "another environment")?;
    same(state.clock.starts_with(&begin.clock), "another clock")?;
    same(state.logs.is_within(&begin.logs), "another limit of output")?;
    if let Some(key) = state.random.key() {
        let seed = inputs
            .seed()
            .map_err(|_| BadState("the seed is not known"))?;
        same(*key == seed, "other random numbers")?;
    }
    state.handles.check(&begin.handles)?;
    state.files.check(&begin.files)?;
    let opens = state.handles.opens();
    same(
        state.files.has_opens(&opens),
        "handles of what is not there",
    )
}
