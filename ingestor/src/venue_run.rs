//! One venue from its list of instruments to its open sockets: discovery, choice, versions to go on from, plan, links.
//! A venue that cannot be carried says so in its feed and stops nobody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tickwire_common::feed::FeedState;
use tickwire_common::symbol::Topic;
use tickwire_common::task::Spawner;
use tickwire_nats::catalogue::Catalogue;
use tickwire_nats::snapshot::Snapshots;
use tickwire_nats::{Bytes, Nats};
use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use crate::catalogue::choose::Named;
use crate::catalogue::discover::discover_at_last;
use crate::catalogue::{self, Choice};
use crate::config::VenueConfig;
use crate::feed::Feed;
use crate::link::Gate;
use crate::link::fixed::Link;
use crate::plan;
use crate::publish::Outlet;
use crate::rest::{Rest, RestError};
use crate::streams::{self, Ready};
use crate::venue::contract::Instrument;

/// Pause before something on NATS is tried again; it fails only while NATS is away.
const RETRY: Duration = Duration::from_secs(1);

/// One venue on its way.
#[derive(Clone)]
pub struct VenueRun {
    config: VenueConfig,
    id: &'static str,
    feed: Arc<Feed>,
    nats: Nats,
    ready: watch::Receiver<Ready>,
    spawner: Spawner,
}

impl VenueRun {
    /// A venue that reports to `feed` and starts its sockets by `spawner`.
    pub fn new(
        config: VenueConfig,
        feed: Arc<Feed>,
        nats: Nats,
        ready: watch::Receiver<Ready>,
        spawner: Spawner,
    ) -> Self {
        Self { id: config.venue.id(), config, feed, nats, ready, spawner }
    }

    /// Carries the venue until the process is to drain.
    ///
    /// # Errors
    /// Only what no venue and no server can cause: no HTTP client can be built.
    pub async fn run(self) -> anyhow::Result<()> {
        let token = self.spawner.token();
        let Some(prepared) = token.run_until_cancelled(self.prepare()).await else { return Ok(()) };
        let Some((rest, instruments, rows)) = prepared? else {
            token.cancelled().await;
            return Ok(());
        };
        let outlet = Arc::new(Outlet::new(&self.nats, self.ready.clone(), self.id, &instruments, &rows));
        let (alive, mut links) = mpsc::channel(1);
        self.open_links(&rest, &instruments, &outlet, &alive);
        drop(alive);
        let links_closed = async move {
            token.cancelled().await;
            // Nothing is ever sent: it ends when the last link has dropped its end.
            links.recv().await;
        };
        tokio::select! {
            () = outlet.run(links_closed) => {}
            () = self.keep_catalogue(&instruments) => {}
        }
        Ok(())
    }

    /// What is to be carried, with what was published of it before us; `None` if there is nothing.
    async fn prepare(&self) -> anyhow::Result<Option<(Rest, Vec<Instrument>, Vec<Option<Bytes>>)>> {
        let rest = Rest::of(self.config.venue, &self.config.rest_url).context("build the HTTP client")?;
        let down = |reason: String| self.feed.without_sockets(FeedState::Down, reason);
        let selection = &self.config.selection;
        let with_volumes = selection.filter.top.is_some();
        let failed = |error: &RestError| down(format!("instruments: {error}"));
        let listing = discover_at_last(self.config.venue, &rest, with_volumes, failed).await?;
        let Choice { chosen, unknown, .. } =
            catalogue::choose(&listing, selection, &Named::default(), &BTreeSet::new());
        let unknown: Vec<String> = unknown.into_iter().map(|unknown| unknown.name).collect();
        if !unknown.is_empty() {
            warn!(venue = self.id, symbols = unknown.join(","), "not traded at the venue, left out");
        }
        if chosen.is_empty() {
            error!(venue = self.id, "none of the listed symbols is traded at the venue; it stays down");
            down(format!("none of the listed symbols is traded: {}", unknown.join(", ")));
            return Ok(None);
        }
        self.feed.without_sockets(FeedState::Connecting, "waiting for NATS".to_owned());
        self.feed.carries(chosen.len());
        streams::first(&mut self.ready.clone()).await?;
        let rows = self.last_rows(&chosen).await?;
        Ok(Some((rest, chosen, rows)))
    }

    async fn last_rows(&self, instruments: &[Instrument]) -> anyhow::Result<Vec<Option<Bytes>>> {
        let topic = |instrument: &Instrument| Topic::new(self.id, instrument.symbol.as_str());
        let topics = instruments.iter().map(topic).collect::<Result<Vec<_>, _>>()?;
        loop {
            match Snapshots::new(&self.nats).get(&topics).await {
                Ok(rows) => {
                    let found = rows.iter().flatten().count();
                    info!(
                        venue = self.id,
                        symbols = topics.len(),
                        found,
                        "read the last values to go on from"
                    );
                    return Ok(rows);
                }
                Err(error) => warn!(venue = self.id, %error, "trying again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn open_links(
        &self,
        rest: &Rest,
        instruments: &[Instrument],
        outlet: &Arc<Outlet>,
        alive: &mpsc::Sender<()>,
    ) {
        let facts = self.config.venue.facts();
        let gate = Arc::new(Gate::new(facts.connects));
        for (number, symbols) in plan::sockets(instruments, facts).into_iter().enumerate() {
            let link = Link {
                venue: self.config.venue,
                name: format!("{}/{number}", self.id),
                symbols,
                ws_url: self.config.ws_url.clone(),
                rest: rest.clone(),
                gate: Arc::clone(&gate),
                outlet: Arc::clone(outlet),
                reporter: self.feed.socket(),
            };
            let (token, alive) = (self.spawner.token(), alive.clone());
            self.spawner.spawn(format!("link-{}", link.name), async move {
                let _alive = alive;
                link.run(token).await
            });
        }
    }

    /// Puts the instruments into the catalogue, again whenever NATS has come back.
    async fn keep_catalogue(&self, instruments: &[Instrument]) {
        let entries = catalogue::entries(self.id, instruments);
        let catalogue = Catalogue::new(&self.nats);
        let mut ready = self.ready.clone();
        loop {
            ready.mark_unchanged();
            while let Err(error) = catalogue.put(self.id, &entries).await {
                warn!(venue = self.id, %error, "cannot write the catalogue, trying again");
                tokio::time::sleep(RETRY).await;
            }
            if ready.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}
