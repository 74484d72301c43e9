//! Where there is no io_uring: a ring that cannot be.

use std::io;

use super::Write;

/// Never made.
#[derive(Debug)]
pub enum Ring {}

impl Ring {
    /// See the other system's.
    pub const BATCH_MAX: usize = 1;

    /// There is none.
    ///
    /// # Errors
    /// Always.
    pub fn open() -> io::Result<Self> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "io_uring is a part of Linux"))
    }

    /// Cannot be called.
    ///
    /// # Errors
    /// None.
    pub fn write(&mut self, _: &[Write<'_>], _: &mut Vec<io::Result<usize>>) -> io::Result<()> {
        match *self {}
    }
}
