//! Reading and writing in sequence.

use crate::{
    Errno, Error, Handle, Host, Result, Stop,
    handles::{Input, Output},
};
use mc_types::LogStream;

/// Most bytes that one read gives.
const MAX_READ_BYTES: u64 = 1 << 20;
/// Bytes that a stream takes at once.
const WRITE_BYTES: u64 = 1 << 20;

/// Why a stream goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamError {
    /// It has ended.
    Closed,
    /// The last operation failed; the handle tells why.
    Failed(u32),
}

/// What an operation on a stream comes to.
type StreamResult<T> = Result<std::result::Result<T, StreamError>, Stop>;

impl Host {
    /// Standard input as a stream.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] at the limit of handles.
    pub fn stdin(&mut self) -> Result<u32, Stop> {
        self.hold(Handle::Input(Input::Stdin))
    }

    /// A standard stream.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] at the limit of handles.
    pub fn standard(&mut self, stream: LogStream) -> Result<u32, Stop> {
        self.hold(Handle::Output(Output::Standard(stream)))
    }

    fn input(&self, number: u32) -> Result<Input, Stop> {
        match self.state.handles.get(number) {
            Ok(Handle::Input(input)) => Ok(*input),
            _ => Err(Stop::Trap("no such input stream")),
        }
    }

    fn output(&self, number: u32) -> Result<Output, Stop> {
        match self.state.handles.get(number) {
            Ok(Handle::Output(output)) => Ok(*output),
            _ => Err(Stop::Trap("no such output stream")),
        }
    }

    /// Reads at most `length` bytes.
    ///
    /// # Errors
    ///
    /// [`Stop`].
    pub fn read_stream(&mut self, number: u32, length: u64) -> StreamResult<Vec<u8>> {
        let length = usize::try_from(length.min(MAX_READ_BYTES)).unwrap_or_default();
        let input = self.input(number)?;
        let mut bytes = vec![0; length];
        let read = match input {
            Input::Stdin => self.read_stdin(&mut bytes),
            Input::File { node, offset } => self.read_node(node, offset, &mut bytes),
        };
        let read = match read {
            Ok(read) => read,
            Err(error) => return self.failed(error).map(Err),
        };
        if read == 0 && length > 0 {
            return Ok(Err(StreamError::Closed));
        }
        bytes.truncate(read);
        if let Ok(Handle::Input(Input::File { offset, .. })) = self.state.handles.get_mut(number) {
            *offset = offset.saturating_add(read as u64);
        }
        Ok(Ok(bytes))
    }

    /// How many bytes the stream takes at once.
    ///
    /// # Errors
    ///
    /// [`Stop`].
    pub fn check_write(&self, number: u32) -> StreamResult<u64> {
        self.output(number)?;
        Ok(Ok(WRITE_BYTES))
    }

    /// Writes all of `bytes`.
    ///
    /// # Errors
    ///
    /// [`Stop`].
    pub fn write_stream(&mut self, number: u32, bytes: &[u8]) -> StreamResult<()> {
        let written = match self.output(number)? {
            Output::Standard(stream) => self.print(stream, bytes).map_err(Error::from),
            Output::File { node, offset } => self.write_node(node, offset, bytes).map(drop),
        };
        if let Err(error) = written {
            return self.failed(error).map(Err);
        }
        if let Ok(Handle::Output(Output::File {
            offset: Some(offset),
            ..
        })) = self.state.handles.get_mut(number)
        {
            *offset = offset.saturating_add(bytes.len() as u64);
        }
        Ok(Ok(()))
    }

    /// Writes `length` zeros.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] for more than [`Self::check_write`] permits.
    pub fn write_zeros(&mut self, number: u32, length: u64) -> StreamResult<()> {
        if length > WRITE_BYTES {
            return Err(Stop::Trap("more was written than the stream permits"));
        }
        let zeros = vec![0; usize::try_from(length).unwrap_or_default()];
        self.write_stream(number, &zeros)
    }

    /// Moves at most `length` bytes from one stream to another; returns how many.
    ///
    /// # Errors
    ///
    /// [`Stop`].
    pub fn splice(&mut self, to: u32, from: u32, length: u64) -> StreamResult<u64> {
        self.output(to)?;
        let bytes = match self.read_stream(from, length)? {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.write_stream(to, &bytes)?.map(|()| bytes.len() as u64))
    }

    /// Checks that something is a stream that can be written to.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`].
    pub fn check_output(&self, number: u32) -> Result<(), Stop> {
        self.output(number).map(drop)
    }

    /// Checks that something is a stream that can be read from.
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`].
    pub fn check_input(&self, number: u32) -> Result<(), Stop> {
        self.input(number).map(drop)
    }

    fn failed(&mut self, error: Error) -> Result<StreamError, Stop> {
        match error {
            Error::Guest(errno) => Ok(StreamError::Failed(self.hold(Handle::Error(errno))?)),
            Error::Stop(stop) => Err(stop),
        }
    }

    /// What went wrong, by the handle of [`StreamError::Failed`].
    ///
    /// # Errors
    ///
    /// [`Stop::Trap`] for what is no error.
    pub fn error(&self, number: u32) -> Result<Errno, Stop> {
        match self.state.handles.get(number) {
            Ok(Handle::Error(errno)) => Ok(*errno),
            _ => Err(Stop::Trap("no such error")),
        }
    }
}
