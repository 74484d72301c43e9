//! Settings of a process, read whole before anything opens: a TOML file, then the environment, then flags, each
//! stronger than the one before. Driven by a table of [`Setting`]s and not by a deserialiser, because every mistake
//! is to be told at once, with where it came from and what to do. Knows no setting but those every process has.
//!
//! A main reads:
//! ```no_run
//! # use tickwire_common::config::{self, Settings, Setting};
//! # struct Config { format: String }
//! # fn read(settings: &mut Settings) -> Option<Config> { Some(Config { format: settings.get("log.format")? }) }
//! # fn main() -> std::process::ExitCode {
//! let config = match Settings::load("tickwire-edge", "Serves prices", &config::log("info"), &["venues"]).build(read).or_exit() {
//!     Ok(config) => config,
//!     Err(code) => return code,
//! };
//! # let _ = config; std::process::ExitCode::SUCCESS }
//! ```

mod help;
mod key;
mod mistakes;
mod outcome;
mod sources;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Display;
use std::str::FromStr;

pub use key::Setting;
pub use mistakes::Mistakes;
pub use outcome::Outcome;
use sources::{Origin, Request};

/// How the process logs; each program knows which of its libraries say too much.
#[must_use]
pub const fn log(default_filter: &'static str) -> [Setting; 2] {
    [
        Setting::new("log.format", "text", "Look of a log line on stderr: text or json"),
        Setting::new(
            "log.filter",
            default_filter,
            "What is logged: a level, or target=level pairs, as tracing-subscriber's EnvFilter",
        ),
    ]
}

/// How the process ends.
pub const DRAIN: [Setting; 1] = [Setting::new(
    "drain.grace_seconds",
    "25",
    // Kubernetes kills after 30 s unless told otherwise; five are left for the exit itself.
    "Seconds to finish open work after SIGTERM; keep it below terminationGracePeriodSeconds",
)];

/// Where probes and metrics are answered; each program has its own default port.
#[must_use]
pub const fn admin(default_listen: &'static str) -> [Setting; 1] {
    [Setting::new("admin.listen", default_listen, "Address of /livez, /readyz and /metrics, as host:port")]
}

/// What was configured, and what was wrong with it so far.
#[derive(Debug)]
pub struct Settings {
    table: Vec<Setting>,
    values: BTreeMap<String, Value>,
    mistakes: Vec<String>,
    request: Request,
}

#[derive(Debug, Clone)]
struct Value {
    text: String,
    origin: Origin,
}

impl Settings {
    /// Reads this process' arguments and environment; see [`Settings::read`].
    #[must_use]
    pub fn load(program: &str, about: &str, own: &[Setting], foreign_prefixes: &[&str]) -> Self {
        // What is not UTF-8 arrives with U+FFFD in it and is refused by name.
        let text = |os: OsString| os.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Self::read(program, about, own, foreign_prefixes, std::env::args_os().skip(1).map(text), env)
    }

    /// Reads `args` (without the program's name) and `env` against the table `own`. `foreign_prefixes` are keys or
    /// levels above keys that belong to another program of the same deployment ("venues", "edge.echo"): known in
    /// the file and the environment, and ignored. Never fails: mistakes come out of [`Settings::build`].
    #[must_use]
    pub fn read(
        program: &str,
        about: &str,
        own: &[Setting],
        foreign_prefixes: &[&str],
        args: impl IntoIterator<Item = String>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut gathered = sources::Gathered::default();
        let flags = sources::arguments(args, &mut gathered);
        if let Some(path) = &flags.file {
            sources::file(path, &mut gathered);
        }
        sources::environment(env, &mut gathered);
        gathered.found.extend(flags.found);

        let request = match flags.request {
            Request::Help(_) => Request::Help(help::help(program, about, own)),
            Request::Version(_) => Request::Version(help::version(program)),
            other => other,
        };
        let mut settings =
            Self { table: own.to_vec(), values: BTreeMap::new(), mistakes: gathered.mistakes, request };
        for found in gathered.found {
            settings.put(found, foreign_prefixes);
        }
        settings
    }

    fn put(&mut self, found: sources::Found, foreign: &[&str]) {
        let sources::Found { key, text, origin } = found;
        let Some(own) = self.table.iter().find_map(|setting| setting.canonical(&key)) else {
            // Nobody passes a program the flags of another.
            let theirs = !matches!(origin, Origin::Flag(_)) && key::is_under(&key, foreign);
            if !theirs {
                self.mistakes.push(mistakes::unknown(&key, &origin, &self.table));
            }
            return;
        };
        if let Some(earlier) = self.values.get(&own).filter(|earlier| earlier.origin.same_source(&origin)) {
            self.mistakes.push(mistakes::twice(&own, &earlier.origin, &origin));
            return;
        }
        if text.contains(char::REPLACEMENT_CHARACTER) {
            self.mistakes.push(mistakes::not_utf8(&own, &origin));
        }
        self.values.insert(own, Value { text, origin });
    }

    /// The value of `key`, or its default. Anything that does not parse is a mistake, and so is an empty value;
    /// either gives `None`.
    pub fn get<T: FromStr>(&mut self, key: &str) -> Option<T>
    where
        T::Err: Display,
    {
        self.get_with(key, parse)
    }

    /// [`Settings::get`] by a function of the caller's; its error is a phrase that goes on from the value, such as
    /// "is not an address".
    pub fn get_with<T>(&mut self, key: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        if self.raw(key).is_some_and(str::is_empty) {
            self.mistake(key, "is required but empty");
            return None;
        }
        self.get_optional_with(key, read)
    }

    /// Like [`Settings::get`], but an empty value means "none" and is no mistake: use the result as it is, a value
    /// that does not parse still fails [`Settings::build`].
    pub fn get_optional<T: FromStr>(&mut self, key: &str) -> Option<T>
    where
        T::Err: Display,
    {
        self.get_optional_with(key, parse)
    }

    /// [`Settings::get_optional`] by a function of the caller's.
    pub fn get_optional_with<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(text) = self.raw(key) else {
            self.mistakes.push(mistakes::undeclared(key));
            return None;
        };
        if text.is_empty() {
            return None;
        }
        match read(text) {
            Ok(value) => Some(value),
            Err(phrase) => {
                self.mistake(key, &phrase);
                None
            }
        }
    }

    /// The text in force, possibly empty; `None` only for a key the table does not have.
    #[must_use]
    pub fn raw(&self, key: &str) -> Option<&str> {
        let declared = self.declared(key)?;
        Some(self.values.get(key).map_or(declared.default, |value| &value.text))
    }

    /// The names given under `level`, for settings with a `*` there: `names_under("venues")` is `["binance"]` when
    /// any `venues.binance...` was configured. Sorted.
    #[must_use]
    pub fn names_under(&self, level: &str) -> Vec<String> {
        let names: BTreeSet<&str> = self
            .values
            .keys()
            .filter_map(|key| key.strip_prefix(level)?.strip_prefix('.')?.split_once('.'))
            .map(|(name, _)| name)
            .collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// Adds a mistake about the value of `key` that only its meaning shows; `phrase` goes on from the value, such as
    /// "is above edge.max_clients". The setting, its source and what is expected are added.
    pub fn mistake(&mut self, key: &str, phrase: &str) {
        let sentence = match self.declared(key) {
            Some(setting) => {
                mistakes::wrong(setting, key, self.raw(key).unwrap_or_default(), self.origin(key), phrase)
            }
            None => mistakes::undeclared(key),
        };
        self.mistakes.push(sentence);
    }

    /// Every setting with its value and source, as TOML that can be read again (but for secrets, which say so).
    /// Settings with a `*` stand under each name that was given.
    #[must_use]
    pub fn in_force(&self) -> String {
        let mut lines = String::new();
        for setting in &self.table {
            let keys = match setting.level_above_wildcard() {
                Some(level) => self.names_under(level).iter().map(|name| setting.named(name)).collect(),
                None => vec![setting.key.to_owned()],
            };
            for key in keys {
                let value = key::toml_string(&self.shown(&key));
                lines += &format!("{key} = {value}  # from {}\n", self.origin(&key));
            }
        }
        lines
    }

    /// Ends the reading: `config` if there was no mistake at all.
    ///
    /// # Errors
    /// All mistakes found.
    pub fn finish<T>(mut self, config: Option<T>) -> Result<T, Mistakes> {
        if self.mistakes.is_empty() && config.is_none() {
            self.mistakes
                .push("the configuration is incomplete, and this program does not say where".to_owned());
        }
        match config {
            Some(config) if self.mistakes.is_empty() => Ok(config),
            _ => Err(Mistakes(self.mistakes)),
        }
    }

    /// Builds the configuration by `read`, or does what the arguments asked for instead.
    pub fn build<T>(mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Outcome<T> {
        let check = match &mut self.request {
            Request::Help(text) | Request::Version(text) => return Outcome::Print(std::mem::take(text)),
            Request::Check => true,
            Request::Run => false,
        };
        let config = read(&mut self);
        let in_force = self.in_force();
        match self.finish(config) {
            Ok(_) if check => Outcome::Print(in_force),
            Ok(config) => Outcome::Run(config),
            Err(mistakes) => Outcome::Refuse(mistakes),
        }
    }

    fn declared(&self, key: &str) -> Option<&Setting> {
        self.table.iter().find(|setting| setting.canonical(key).is_some_and(|own| own == key))
    }

    fn origin(&self, key: &str) -> &Origin {
        self.values.get(key).map_or(&Origin::Default, |value| &value.origin)
    }

    fn shown(&self, key: &str) -> String {
        let secret = self.declared(key).is_some_and(|setting| setting.secret);
        mistakes::shown(self.raw(key).unwrap_or_default(), secret)
    }
}

fn parse<T: FromStr>(text: &str) -> Result<T, String>
where
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

#[cfg(test)]
mod tests;
