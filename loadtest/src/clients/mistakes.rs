//! Everything that is wrong with a command line, told at once.

use std::fmt;

/// Mistakes so far, each a sentence that begins with its flag.
#[derive(Debug, Default)]
pub(crate) struct Mistakes(Vec<String>);

impl Mistakes {
    /// The value, or a note of what is wrong with the flag.
    pub(crate) fn take<T, E: fmt::Display>(&mut self, flag: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.0.push(format!("{flag}: {error:#}"))).ok()
    }

    /// Notes `why` unless it holds.
    pub(crate) fn ensure(&mut self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.0.push(why());
        }
    }

    /// Goes on only without a mistake.
    ///
    /// # Errors
    /// All mistakes, one a line.
    pub(crate) fn finish(&self) -> anyhow::Result<()> {
        match self.0.as_slice() {
            [] => Ok(()),
            [one] => Err(anyhow::anyhow!("{one}")),
            many => Err(anyhow::anyhow!("{} mistakes:\n  {}", many.len(), many.join("\n  "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_as_it_is_and_several_as_a_list() {
        let mut mistakes = Mistakes::default();
        assert_eq!(mistakes.take("--a", Ok::<_, String>(1)), Some(1));
        assert!(mistakes.finish().is_ok());
        assert_eq!(mistakes.take("--b", Err::<u8, _>("no number")), None);
        assert_eq!(mistakes.finish().unwrap_err().to_string(), "--b: no number");
        mistakes.ensure(false, || "--c: at least 1".to_owned());
        assert_eq!(
            mistakes.finish().unwrap_err().to_string(),
            "2 mistakes:\n  --b: no number\n  --c: at least 1"
        );
    }
}
