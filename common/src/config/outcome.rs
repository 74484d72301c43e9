//! What a main does with a configuration: run, print something and leave, or refuse.

use std::io::{self, Write};
use std::process::ExitCode;

use super::Mistakes;

/// The status of a process whose configuration is wrong.
const WRONG_CONFIGURATION: u8 = 2;

/// What the arguments and settings come to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// Run with this configuration.
    Run(T),
    /// Print this on stdout and leave with status 0: help, version, or the settings in force.
    Print(String),
    /// Print the mistakes on stderr and leave with status 2.
    Refuse(Mistakes),
}

impl<T> Outcome<T> {
    /// The configuration to run with, or the status to leave `main` with after printing what there is to say.
    ///
    /// # Errors
    /// Not an error but the other way out: the exit status.
    pub fn or_exit(self) -> Result<T, ExitCode> {
        // A closed stdout or stderr changes neither the answer nor the status.
        match self {
            Self::Run(config) => Ok(config),
            Self::Print(text) => {
                let _closed = io::stdout().write_all(text.as_bytes());
                Err(ExitCode::SUCCESS)
            }
            Self::Refuse(mistakes) => {
                let _closed = writeln!(io::stderr(), "{mistakes}");
                Err(ExitCode::from(WRONG_CONFIGURATION))
            }
        }
    }
}
