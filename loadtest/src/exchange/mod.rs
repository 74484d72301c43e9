//! Simulated exchanges: one listener, each venue below its id with its official paths behind it.
//!
//! Faithful where a client could notice: message shapes, limits and how they are enforced, silence, close codes.
//! Prices are made up (seeded) or recorded. Nothing here shares code with the ingestor, and every answer carries
//! `x-tickwire-simulated: true`.

mod answer;
mod args;
pub mod binance;
mod catalogue;
mod control;
pub(crate) mod digits;
mod faults;
mod frame;
mod hub;
pub mod kucoin;
mod listings;
mod market;
#[cfg(test)]
mod noise;
mod outbox;
mod own;
mod pump;
mod rate;
pub mod replay;
mod session;
mod socket;
mod stats;
mod upgrade;
mod venue;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::serve::ListenerExt;
use tickwire_common::task::Spawner;
use tokio::net::TcpListener;
use tracing::{debug, info};

pub use self::args::ExchangeArgs;
pub use self::faults::Faults;
pub use self::hub::WhenSlow;
pub use self::market::Path;
pub use self::rate::Rate;
use self::replay::{Entry, FileError, Player, Progress, Recording, Replay};
pub use self::stats::Snapshot;
use self::venue::Venue;

/// What is simulated, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Instruments that each venue's made-up market lists at the start.
    pub symbols: usize,
    /// The same for KuCoin alone, where it differs.
    pub kucoin_symbols: Option<usize>,
    /// Further instruments that can be listed later.
    pub reserve: usize,
    /// Symbols, as `BTC/USDT` or by a venue's key, whose streams are granted and stay silent.
    pub muted: Vec<String>,
    /// How prices move.
    pub path: Path,
    /// Decides the made-up market.
    pub seed: u64,
    /// Moves a second of each instrument.
    pub rate: u64,
    /// What happens to a client that does not keep up with the made-up market.
    pub when_slow: WhenSlow,
    /// What goes wrong on every socket.
    pub faults: Faults,
    /// Limits of Binance.
    pub binance: binance::Limits,
    /// Limits of KuCoin.
    pub kucoin: kucoin::Limits,
    /// A recording to play instead of the made-up market.
    pub replay: Option<Replay>,
}

/// Moves a second of each instrument, if nothing is said.
pub const DEFAULT_RATE: u64 = 5;

/// Instruments that can be listed later, if nothing is said.
pub const DEFAULT_RESERVE: usize = 100;

impl Default for Config {
    fn default() -> Self {
        Self {
            symbols: binance::LISTED.max(kucoin::LISTED),
            kucoin_symbols: None,
            reserve: DEFAULT_RESERVE,
            muted: Vec::new(),
            path: Path::Walk,
            seed: 1,
            rate: DEFAULT_RATE,
            when_slow: WhenSlow::Cut,
            faults: Faults::default(),
            binance: binance::Limits::default(),
            kucoin: kucoin::Limits::default(),
            replay: None,
        }
    }
}

/// Exchanges that are ready to be opened.
pub struct Exchange {
    config: Config,
    venues: BTreeMap<&'static str, Arc<Venue>>,
    recorded: Option<(Vec<Entry>, Replay)>,
}

impl Exchange {
    /// Builds the venues; a recording is read whole.
    ///
    /// # Errors
    /// When the recording cannot be read.
    pub fn new(config: Config) -> Result<Self, FileError> {
        let Some(replay) = config.replay.clone() else {
            let venues = BTreeMap::from([
                (binance::ID, Arc::new(binance::synthetic(&config))),
                (kucoin::ID, Arc::new(kucoin::synthetic(&config))),
            ]);
            return Ok(Self { config, venues, recorded: None });
        };
        let mut recording = Recording::read(&replay.path)?;
        info!(frames = recording.entries.len(), other_lines = recording.unrouted, "recording read");
        let venues = [binance::ID, kucoin::ID].map(|id| (id, Arc::new(recording.venue(id, config.faults))));
        Ok(Self { config, venues: BTreeMap::from(venues), recorded: Some((recording.entries, replay)) })
    }

    /// Serves on `listener` until the spawner's token is cancelled.
    pub fn start(self, listener: TcpListener, spawner: &Spawner) {
        let progress = self.recorded.is_some().then(|| Arc::new(Progress::default()));
        let router = self.router(spawner, progress.clone());
        let stop = spawner.token();
        match (self.recorded, progress) {
            (Some((entries, replay)), Some(progress)) => {
                let player = Player::new(entries, self.venues, replay, progress);
                // A job: a replay that is played once ends well before the process does.
                spawner.spawn_job("replay", async move {
                    tokio::select! {
                        () = player.run() => {}
                        () = stop.cancelled() => {}
                    }
                    Ok(())
                });
            }
            _ => start_markets(spawner, &self.venues, &self.config),
        }
        let stop = spawner.token();
        spawner.spawn("exchange", async move {
            let listener = listener.tap_io(|stream| {
                if let Err(error) = stream.set_nodelay(true) {
                    debug!(%error, "TCP_NODELAY");
                }
            });
            let service = router.into_make_service_with_connect_info::<SocketAddr>();
            axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await?;
            Ok(())
        });
    }

    fn router(&self, spawner: &Spawner, progress: Option<Arc<Progress>>) -> Router {
        let mut router = control::router(self.venues.clone(), progress);
        for (id, venue) in &self.venues {
            let (venue, spawner) = (Arc::clone(venue), spawner.clone());
            let routes = match *id {
                binance::ID => binance::router(venue, self.config.binance, spawner),
                _ => kucoin::router(venue, self.config.kucoin, spawner),
            };
            router = router.nest(&format!("/{id}"), routes);
        }
        router
    }
}

fn start_markets(spawner: &Spawner, venues: &BTreeMap<&'static str, Arc<Venue>>, config: &Config) {
    for (id, venue) in venues {
        let start = if *id == binance::ID { binance::start_market } else { kucoin::start_market };
        start(spawner, venue, config.rate, config.when_slow);
    }
}
