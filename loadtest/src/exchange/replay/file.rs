//! The replay file: JSON Lines, plain or gzip, one received frame a line.
//!
//! `{"t":<Unix us>,"venue":"binance","text":"<frame>"}`, `"binary":"<base64>"` for a binary frame,
//! `"rest":"/api/v3/exchangeInfo","text":"<body>"` for a REST answer.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest line that is read, in bytes: an exchangeInfo of all symbols has 20 MB.
const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// When it was received, in microseconds since the Unix epoch.
    pub t: u64,
    /// Venue id.
    pub venue: String,
    /// Path (with query) of the REST request that `text` answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rest: Option<String>,
    /// A text frame or a REST body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// A binary frame, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary: Option<String>,
}

/// A file could not be read or written.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refused.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is not a replay file.
    #[error("read {path}, line {line}: {reason}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Line number from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
}

impl FileError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { what, path: path.to_owned(), source }
    }

    pub(crate) fn line(path: &Path, line: usize, reason: impl ToString) -> Self {
        Self::Line { path: path.to_owned(), line, reason: reason.to_string() }
    }
}

/// Calls `each` with the number (from 1) and the text of every line of a plain or gzip file.
///
/// # Errors
/// The first error of the system, or of `each`; a line longer than 64 MiB.
pub fn for_each_line(
    path: &Path,
    mut each: impl FnMut(usize, &str) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let mut reader = open(path).map_err(|error| FileError::io("read", path, error))?;
    let mut text = String::new();
    for number in 1.. {
        text.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_line(&mut text);
        match read.map_err(|error| FileError::io("read", path, error))? as u64 {
            0 => break,
            MAX_LINE_BYTES => return Err(FileError::line(path, number, "the line is too long")),
            _ => each(number, text.trim_end_matches(['\n', '\r']))?,
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let mut file = BufReader::new(File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&GZIP_MAGIC);
    Ok(if is_gzip { Box::new(BufReader::new(MultiGzDecoder::new(file))) } else { Box::new(file) })
}

/// Writes a replay file; gzip when its name ends with `.gz`.
pub struct Writer {
    out: Box<dyn Write>,
    path: PathBuf,
}

impl Writer {
    /// Creates or replaces the file.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn create(path: &Path) -> Result<Self, FileError> {
        let file = BufWriter::new(File::create(path).map_err(|error| FileError::io("create", path, error))?);
        let is_gzip = path.extension().is_some_and(|end| end == "gz");
        let out: Box<dyn Write> = if is_gzip {
            Box::new(Finishing(GzEncoder::new(file, Compression::best())))
        } else {
            Box::new(file)
        };
        Ok(Self { out, path: path.to_owned() })
    }

    /// Adds one line.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn write(&mut self, line: &Line) -> Result<(), FileError> {
        let text = serde_json::to_string(line).map_err(io::Error::other);
        let written = text.and_then(|text| writeln!(self.out, "{text}"));
        written.map_err(|error| FileError::io("write", &self.path, error))
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn finish(mut self) -> Result<(), FileError> {
        self.out.flush().map_err(|error| FileError::io("write", &self.path, error))
    }
}

/// Gzip whose flush ends the stream.
struct Finishing<W: Write>(GzEncoder<W>);

impl<W: Write> Write for Finishing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.try_finish()?;
        self.0.get_mut().flush()
    }
}
