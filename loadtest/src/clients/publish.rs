//! Rows of the load test's own: `--publish RATE` puts made-up symbols `bench:S0`.. on NATS as an ingestor would, so
//! that NATS and edge are measured without one. `--nats` alone publishes nothing and only reads the store at the end.
//!
//! `schedule` says what is due, `rows` makes it, `pacer` hands it over, each without clock or socket; `desk` runs them:
//! one thread keeps the pace, and another has the connection to NATS, because the one must not wait for the other.

use clap::Args;
use tickwire_common::config::Settings;
use tickwire_nats::{NatsConfig, config::DEFAULT_URL, config::SETTINGS};

use super::mistakes::Mistakes;
use schedule::RATE_MAX;

mod desk;
mod link;
mod pacer;
mod rows;
mod schedule;

pub(crate) use desk::Desk;
pub(crate) use pacer::{Published, Tape};

/// The venue of all made-up symbols.
pub(crate) const VENUE: &str = "bench";

/// Most made-up symbols: 100 chunks of the catalogue.
const SYMBOLS_MAX: u32 = 50_000;

/// What every setting of NATS but its address is read from, so that no secret stands on a command line.
const NATS_ENVIRONMENT: &str = "TICKWIRE_NATS__";

/// What the load test itself has to do with NATS.
#[derive(Debug, Clone, Args)]
pub(crate) struct NatsArgs {
    /// Publishes made-up rows, this many a second in all, on symbols bench:S0..
    #[arg(long, value_name = "RATE")]
    publish: Option<u64>,
    /// How many made-up symbols --publish has
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "publish")]
    publish_symbols: u32,
    /// NATS of --publish, and of the stored rows that clients are held against at the end [default with --publish:
    /// nats://127.0.0.1:4222]; user and such as TICKWIRE_NATS__USER
    #[arg(long, value_name = "URL")]
    nats: Option<String>,
}

/// What is to be done with NATS, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NatsPlan {
    url: String,
    pub(crate) offer: Option<Offer>,
}

/// What is to be published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Rows a second, of all symbols together.
    pub(crate) rate: u64,
    pub(crate) symbols: u32,
}

impl NatsArgs {
    /// What is asked for, if it is right. No socket is opened.
    pub(crate) fn plan(&self, mistakes: &mut Mistakes) -> Option<NatsPlan> {
        let offer = self.publish.map(|rate| Offer { rate, symbols: self.publish_symbols });
        if let Some(Offer { rate, symbols }) = offer {
            mistakes.ensure((1..=RATE_MAX).contains(&rate), || {
                format!("--publish: 1 to {RATE_MAX} rows a second")
            });
            mistakes.ensure((1..=SYMBOLS_MAX).contains(&symbols), || {
                format!("--publish-symbols: 1 to {SYMBOLS_MAX}")
            });
        }
        let default = offer.map(|_| DEFAULT_URL.to_owned());
        let plan = NatsPlan { url: self.nats.clone().or(default)?, offer };
        mistakes.take("--nats", plan.config())?;
        Some(plan)
    }

    /// The names that `--publish` makes, where it is given.
    pub(crate) fn names(&self) -> Option<Vec<String>> {
        self.publish.map(|_| (0..self.publish_symbols.min(SYMBOLS_MAX)).map(name).collect())
    }
}

impl NatsPlan {
    /// The address with what the environment says of NATS.
    ///
    /// # Errors
    /// What is wrong with either.
    fn config(&self) -> Result<NatsConfig, String> {
        let args = ["--nats.url", &self.url].map(str::to_owned);
        let env = std::env::vars_os().filter_map(|(key, value)| {
            let key = key.into_string().ok().filter(|key| key.starts_with(NATS_ENVIRONMENT))?;
            Some((key, value.to_string_lossy().into_owned()))
        });
        // The address of the command line stands above one of the environment.
        let mut settings = Settings::read("tickwire-loadtest", "", SETTINGS, &[], args, env);
        let config = NatsConfig::from_settings(&mut settings);
        settings.finish(config).map_err(|mistakes| mistakes.sentences().join("; "))
    }
}

/// What clients call a made-up symbol.
fn name(symbol: u32) -> String {
    format!("{VENUE}:{}", symbol_name(symbol))
}

/// What a made-up symbol is called at its venue.
fn symbol_name(symbol: u32) -> String {
    format!("S{symbol}")
}

/// The number of a made-up symbol by what clients call it.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.strip_prefix(VENUE)?.strip_prefix(":S")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        nats: NatsArgs,
    }

    fn plan(line: &str) -> Result<Option<NatsPlan>, String> {
        let words = ["clients"].into_iter().chain(line.split(' ').filter(|word| !word.is_empty()));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        let mut mistakes = Mistakes::default();
        let plan = line.nats.plan(&mut mistakes);
        mistakes.finish().map(|()| plan).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_given_and_what_is_not() {
        assert_eq!(plan(""), Ok(None));
        let local = plan("--publish 500 --publish-symbols 50").unwrap().unwrap();
        assert_eq!((local.url.as_str(), local.offer), (DEFAULT_URL, Some(Offer { rate: 500, symbols: 50 })));
        let other = plan("--nats nats://h:1").unwrap().unwrap();
        assert_eq!((other.url.as_str(), other.offer), ("nats://h:1", None));
    }

    #[test]
    fn wrong_words_say_what_to_change() {
        for (line, word) in [
            ("--publish 0", "--publish: 1 to 1000000"),
            ("--publish 1000001", "--publish: 1 to 1000000"),
            ("--publish 1 --publish-symbols 0", "--publish-symbols: 1 to 50000"),
            ("--publish-symbols 5", "--publish <RATE>"),
            ("--nats http://h", "--nats"),
            ("--nats nats://ann:secret@h", "nats.user"),
        ] {
            let message = plan(line).unwrap_err();
            assert!(message.contains(word) && !message.contains("secret"), "{line}: {message}");
        }
    }

    #[test]
    fn the_names_are_those_of_topics() {
        let words = ["clients", "--publish", "9", "--publish-symbols", "3"];
        let names = Line::parse_from(words).nats.names().unwrap();
        assert_eq!(names, ["bench:S0", "bench:S1", "bench:S2"]);
        assert_eq!(Line::parse_from(["clients"]).nats.names(), None);
        assert_eq!(["bench:S7", "bench:BTC", "other:S7", "S7"].map(number), [Some(7), None, None, None]);
    }
}
