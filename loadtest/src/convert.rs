//! `tickwire-loadtest convert`: recordings of other projects into replay files.
//!
//! cryptofeed (<https://github.com/bmoscon/cryptofeed>): `<epoch s>: <frame>` received, `URL <- <epoch s>: <frame>` sent,
//! `URL <-> <epoch s>` connected, `URL -> <epoch s>: <body>` a REST answer. hftbacktest
//! (<https://github.com/nkaz001/hftbacktest>): `<local receive ns> <frame>`, microseconds in older files. What was sent,
//! where it was sent to and whatever holds a token stays behind.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::exchange::digits::read_fixed;
use crate::exchange::replay::{FileError, Line, Writer, for_each_line};

/// Make a replay file of a recording of another project.
#[derive(Args, Clone, Debug)]
pub struct ConvertArgs {
    /// Whose format the input has
    #[arg(long, value_enum)]
    pub format: Format,
    /// Venue id of the frames
    #[arg(long)]
    pub venue: String,
    /// Stop after this many frames
    #[arg(long)]
    pub frames: Option<usize>,
    /// Recording, plain or gzip
    pub input: PathBuf,
    /// Replay file to write; gzip when its name ends with .gz
    pub output: PathBuf,
}

/// Format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text files of cryptofeed's recorder
    Cryptofeed,
    /// Files of hftbacktest's collector
    Hftbacktest,
}

/// What was done with the lines of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// Frames and REST answers written.
    pub written: usize,
    /// Lines left behind: sent frames, connects, tokens, lines of another shape.
    pub left: usize,
}

/// Converts one recording.
///
/// # Errors
/// When a file cannot be read or written.
pub fn convert(args: &ConvertArgs) -> Result<Converted, FileError> {
    let (mut done, mut frames) = (Converted::default(), 0);
    let mut out = Writer::create(&args.output)?;
    for_each_line(&args.input, |_, text| {
        if args.frames.is_some_and(|most| frames >= most) {
            return Ok(());
        }
        let Some(line) = read_line(args.format, text) else {
            done.left += 1;
            return Ok(());
        };
        frames += usize::from(line.rest.is_none());
        done.written += 1;
        out.write(&Line { venue: args.venue.clone(), ..line })
    })?;
    out.finish()?;
    Ok(done)
}

fn read_line(format: Format, text: &str) -> Option<Line> {
    match format {
        Format::Cryptofeed if text.starts_with("http") => {
            let (url, answer) = text.split_once(" -> ")?;
            let (at, body) = answer.split_once(": ")?;
            let (_, path) = url.split_once("://")?.1.split_once('/')?;
            (!body.contains(r#""token""#)).then(|| line(at, Some(format!("/{path}")), body))?
        }
        Format::Cryptofeed => {
            let (at, frame) = text.split_once(": ")?;
            line(at, None, frame)
        }
        Format::Hftbacktest => {
            let (at, frame) = text.split_once(' ')?;
            line(at, None, frame)
        }
    }
}

fn line(at: &str, rest: Option<String>, text: &str) -> Option<Line> {
    Some(Line { t: micros(at)?, rest, text: Some(text.to_owned()), ..Line::default() })
}

/// Smallest number that is nanoseconds, if read as a time of this century; below it are microseconds.
const FIRST_NANOSECONDS: u64 = 100_000_000_000_000_000;

/// Microseconds from seconds with a fraction, or from an integer of nanoseconds or microseconds.
fn micros(text: &str) -> Option<u64> {
    let (units, scale) = read_fixed(text)?;
    match scale {
        0 if units >= FIRST_NANOSECONDS => Some(units / 1_000),
        // A recorder that hit a whole second writes no fraction.
        0 if units < 100_000_000_000 => units.checked_mul(1_000_000),
        0 => Some(units),
        1..=6 => units.checked_mul(10u64.pow(6 - u32::from(scale))),
        _ => Some(units / 10u64.checked_pow(u32::from(scale) - 6)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(format: Format, text: &str, expected: Option<(u64, Option<&str>, &str)>) {
        let line = read_line(format, text);
        let found = line
            .as_ref()
            .map(|line| (line.t, line.rest.as_deref(), line.text.as_deref().unwrap_or_default()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn received_lines_are_taken_and_the_rest_is_left() {
        use Format::{Cryptofeed, Hftbacktest};
        check(
            Cryptofeed,
            r#"1619378326.32176: {"id":"1"}"#,
            Some((1_619_378_326_321_760, None, r#"{"id":"1"}"#)),
        );
        check(Cryptofeed, "1619378326.3219038: {}", Some((1_619_378_326_321_903, None, "{}")));
        check(
            Cryptofeed,
            "https://api.kucoin.com/api/v1/symbols -> 1619378325.5: {}",
            Some((1_619_378_325_500_000, Some("/api/v1/symbols"), "{}")),
        );
        check(Cryptofeed, r#"https://x.y/api/v1/bullet-public -> 1.5: {"token":"T"}"#, None);
        check(Cryptofeed, "wss://x.y/endpoint?token=T <-> 1619378325.387221", None);
        check(Cryptofeed, r#"wss://x.y/endpoint?token=T <- 1619378326.125891: {"id":1}"#, None);
        check(Hftbacktest, "1723161253937085768 {}", Some((1_723_161_253_937_085, None, "{}")));
        check(Hftbacktest, "1680652700423575 {}", Some((1_680_652_700_423_575, None, "{}")));
    }
}
