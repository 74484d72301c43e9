//! One socket that carries the same symbols for as long as the process lives, without a pool.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Gate, Route, Sink, SocketState, View};
use crate::feed::Reporter;
use crate::publish::Outlet;
use crate::rest::Rest;
use crate::venue::contract::{Carried, Update, Venue};

/// Long enough never to come.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// One socket and what it is for.
#[derive(Clone)]
pub struct Link {
    /// The venue's protocol.
    pub venue: &'static dyn Venue,
    /// For the log, like `binance/0`.
    pub name: String,
    /// The symbols it carries.
    pub symbols: Vec<Carried>,
    /// Configured origin instead of the venue's own.
    pub ws_url: Option<String>,
    /// The venue's REST interface, for its invitations.
    pub rest: Rest,
    /// Shared by all sockets of the venue.
    pub gate: Arc<Gate>,
    /// Where the prices go.
    pub outlet: Arc<Outlet>,
    /// Where the state goes.
    pub reporter: Reporter,
}

struct Reported {
    outlet: Arc<Outlet>,
    reporter: Reporter,
}

impl Sink for Reported {
    fn updates(&self, _link: u32, updates: &[Update], now_us: u64, now: Instant) {
        self.outlet.publish(updates, now_us, now);
        self.reporter.tick(now_us / 1_000);
    }

    fn forget_orders(&self, _symbols: &[u32]) {}
}

impl Link {
    /// Keeps the socket open until `token` is cancelled, then closes it.
    ///
    /// # Errors
    /// Only if the back-off's bounds were wrong.
    pub async fn run(self, token: CancellationToken) -> anyhow::Result<()> {
        let Self { venue, name, symbols, ws_url, rest, gate, outlet, reporter } = self;
        let view = Arc::new(View::default());
        let indices: Vec<u32> = symbols.iter().map(|symbol| symbol.index).collect();
        view.add_socket(0);
        view.add(0, &indices);
        let sink = Arc::new(Reported { outlet, reporter: reporter.clone() });
        let route = Route { venue, ws_url, rest, gate, sink, view: Arc::clone(&view), lifetime: FOREVER };
        let load = symbols.into_iter().map(|symbol| (symbol.index, symbol.key)).collect();
        let (_keeper, load) = watch::channel(load);
        let link = super::Link { socket: 0, name, route: Arc::new(route), load };
        tokio::select! {
            done = link.run(token) => done,
            () = report(&view, &indices, &reporter) => Ok(()),
        }
    }
}

async fn report(view: &View, symbols: &[u32], reporter: &Reporter) {
    let mut changed = view.changed();
    while changed.changed().await.is_ok() {
        let state = view.sockets().get(&0).map(|socket| socket.state);
        match (state, view.summary(symbols).reason) {
            (Some(SocketState::Live), _) => reporter.live(),
            (_, Some(reason)) => reporter.lost(reason),
            (_, None) => {}
        }
    }
}
