//! Command line of `tickwire-loadtest exchange`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::replay::{Replay, Speed};
use super::{Config, DEFAULT_RATE, Faults, Path, Rate, WhenSlow, binance, kucoin};

/// Simulated Binance and KuCoin on one listener, below /binance and /kucoin.
#[derive(Args, Clone, Debug)]
pub struct ExchangeArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9900")]
    pub listen: SocketAddr,
    /// Seed of the made-up market: the same seed gives the same prices and ids
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Symbols of each venue: well-known names first, then SIM0001, SIM0002, ...
    #[arg(long, default_value_t = Config::default().symbols)]
    symbols: usize,
    /// Moves a second of each symbol, the book and a trade in turn. Binance: one bookTicker or one trade frame a
    /// move. KuCoin: one ticker frame a move (the venue itself sends at most 10 a second). Statistics come besides.
    #[arg(long, default_value_t = DEFAULT_RATE)]
    rate: u64,
    /// Symbols of KuCoin, where they are not as many
    #[arg(long, conflicts_with = "replay")]
    kucoin_symbols: Option<usize>,
    /// Symbols of each venue beyond them that POST /control/list can list later
    #[arg(long, default_value_t = Config::default().reserve, conflicts_with = "replay")]
    reserve: usize,
    /// Let prices count: the n-th move of a symbol shows n ticks above its first price, as bid or as last trade in turn
    #[arg(long, conflicts_with = "replay")]
    numbered: bool,
    /// Grant streams of this symbol, BTC/USDT or a venue's key, but leave them silent
    #[arg(long, value_name = "SYMBOL", value_delimiter = ',', conflicts_with = "replay")]
    mute: Vec<String>,
    /// When a client does not keep up with the made-up market: cut it, as venues do, or let the market wait
    #[arg(long, value_enum, default_value_t = Slow::Cut)]
    when_slow: Slow,
    /// Play this recording (JSON Lines, plain or gzip) instead of the made-up market
    #[arg(long)]
    replay: Option<PathBuf>,
    /// Speed of the replay: a factor, or max for as fast as readers take it
    #[arg(long, default_value = "1", requires = "replay")]
    speed: Speed,
    /// Play the recording one time, then stay open and silent; else it starts over with the same ids
    #[arg(long, requires = "replay")]
    once: bool,
    /// Start the replay when this many streams are subscribed to, over all sockets
    #[arg(long, default_value_t = 1, requires = "replay")]
    start_after: usize,
    /// Drop every socket this many seconds after it opened
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    cut_after: Option<Duration>,
    /// Make the forced 24 h cut come after this many seconds, with the venue's notice at nine tenths of it
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    lifetime: Option<Duration>,
    /// Let every socket fall silent, but open, this many seconds after it opened
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    stall_after: Option<Duration>,
    /// Add a garbage frame after every so many frames
    #[arg(long, value_name = "N")]
    garbage: Option<u32>,
    /// Topics that one KuCoin connection may hold
    #[arg(long, default_value_t = kucoin::Limits::default().topics)]
    kucoin_topics: usize,
    /// Connects that one address may make, as COUNT/SECONDS; Binance refuses more
    #[arg(long, value_name = "COUNT/SECONDS", default_value_t = binance::Limits::default().connects)]
    binance_connects: Rate,
    /// The same at KuCoin, which only counts more
    #[arg(long, value_name = "COUNT/SECONDS", default_value_t = kucoin::Limits::default().connects)]
    kucoin_connects: Rate,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Slow {
    Cut,
    Wait,
}

impl ExchangeArgs {
    /// The configuration that these arguments ask for.
    pub fn config(&self) -> Config {
        let replay = self.replay.clone().map(|path| Replay {
            path,
            speed: self.speed,
            once: self.once,
            start_after: self.start_after,
        });
        Config {
            symbols: self.symbols,
            kucoin_symbols: self.kucoin_symbols,
            reserve: self.reserve,
            muted: self.mute.clone(),
            path: if self.numbered { Path::Numbered } else { Path::Walk },
            seed: self.seed,
            rate: self.rate,
            when_slow: match self.when_slow {
                Slow::Cut => WhenSlow::Cut,
                Slow::Wait => WhenSlow::Wait,
            },
            faults: Faults {
                cut_after: self.cut_after,
                lifetime: self.lifetime,
                stall_after: self.stall_after,
                garbage_every: self.garbage,
            },
            binance: binance::Limits { connects: self.binance_connects, ..binance::Limits::default() },
            kucoin: kucoin::Limits {
                topics: self.kucoin_topics,
                connects: self.kucoin_connects,
                ..kucoin::Limits::default()
            },
            replay,
        }
    }
}

/// Seconds, with up to three digits after the point.
fn seconds(text: &str) -> Result<Duration, String> {
    let (units, scale) = super::digits::read_fixed(text).ok_or("seconds, such as 30 or 0.5")?;
    let to_millis = 3u8.checked_sub(scale).ok_or("at most three digits after the point")?;
    units.checked_mul(10u64.pow(to_millis.into())).map(Duration::from_millis).ok_or("too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_three_digits_at_most() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("30"), Ok(Duration::from_secs(30)));
        assert!(seconds("0.0001").is_err() && seconds("soon").is_err());
    }
}
