//! What a test asks the simulator itself: `GET /stats` and `GET /control/last`, and what it does to it: `POST
//! /control/cut`, `quiesce` and `resume` of one venue (`?venue=kucoin`) or of all; `list`, `delist`, `mute` and `unmute`
//! of a symbol of a venue (`?venue=binance&symbol=BTC/USDT`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::answer::Answer;
use super::catalogue::Instrument;
use super::replay::Progress;
use super::venue::{Pace, Venue};

/// A market that has not come to rest by then is not read by its clients, in the mode that waits for them.
const SETTLE_WITHIN: Duration = Duration::from_secs(10);

/// The simulator's own paths.
pub(crate) fn router(venues: BTreeMap<&'static str, Arc<Venue>>, progress: Option<Arc<Progress>>) -> Router {
    let control = Arc::new(Control { venues, progress });
    Router::new()
        .route("/stats", get(stats))
        .route("/control/cut", post(cut))
        .route("/control/last", get(last))
        .route("/control/quiesce", post(quiesce))
        .route("/control/resume", post(resume))
        .route("/control/list", post(list))
        .route("/control/delist", post(delist))
        .route("/control/mute", post(mute))
        .route("/control/unmute", post(unmute))
        .with_state(control)
}

struct Control {
    venues: BTreeMap<&'static str, Arc<Venue>>,
    progress: Option<Arc<Progress>>,
}

type Shared = State<Arc<Control>>;

/// Which venue, and where it matters which symbol.
#[derive(Deserialize)]
struct Which {
    venue: Option<String>,
    symbol: Option<String>,
}

impl Control {
    /// The venue that is named, or all.
    fn chosen(&self, which: &Which) -> Result<Vec<(&'static str, &Arc<Venue>)>, Answer> {
        let all = self.venues.iter().map(|(id, venue)| (*id, venue));
        let chosen: Vec<_> =
            all.filter(|(id, _)| which.venue.as_ref().is_none_or(|named| named == id)).collect();
        if chosen.is_empty() {
            return Err(refuse(StatusCode::NOT_FOUND, &format!("no venue {:?}", which.venue)));
        }
        Ok(chosen)
    }

    /// As [`Control::chosen`], where all of them have a made-up market.
    fn made_up(&self, which: &Which) -> Result<Vec<(&'static str, &Arc<Venue>)>, Answer> {
        let chosen = self.chosen(which)?;
        if chosen.iter().any(|(_, venue)| venue.market.is_none()) {
            return Err(refuse(StatusCode::CONFLICT, "a recording is played, not a made-up market"));
        }
        Ok(chosen)
    }

    /// Does something to one instrument; whether it was a change.
    fn change(&self, which: &Which, what: &str, apply: impl FnOnce(&Venue, usize) -> bool) -> Answer {
        let (Some(symbol), Some(_)) = (&which.symbol, &which.venue) else {
            return refuse(StatusCode::BAD_REQUEST, "say which with ?venue=binance&symbol=BTC/USDT");
        };
        let venue = match self.made_up(which).map(|chosen| chosen.first().map(|(_, venue)| Arc::clone(venue)))
        {
            Ok(Some(venue)) => venue,
            Ok(None) => return refuse(StatusCode::NOT_FOUND, "no such venue"),
            Err(refusal) => return refusal,
        };
        let found = venue.catalogue.find(symbol);
        let one = found.and_then(|at| Some((at, venue.catalogue.instruments().get(at)?)));
        let Some((position, Instrument { symbol: key, .. })) = one else {
            return refuse(StatusCode::NOT_FOUND, &format!("no symbol {symbol:?}, not even in reserve"));
        };
        Answer::ok(json!({ "symbol": key, what: apply(&venue, position) }))
    }
}

fn refuse(status: StatusCode, why: &str) -> Answer {
    Answer::new(status, json!({ "error": why }))
}

async fn stats(State(control): Shared) -> Answer {
    let venues: BTreeMap<_, _> = control.venues.iter().map(|(id, venue)| (id, venue.snapshot())).collect();
    let replay = control.progress.as_ref().map(|progress| progress.snapshot());
    Answer::ok(json!({ "simulated": true, "venues": venues, "replay": replay }))
}

/// Drops all open sockets.
async fn cut(State(control): Shared, Query(which): Query<Which>) -> Answer {
    match control.chosen(&which) {
        Ok(chosen) => {
            Answer::ok(json!({ "cut": chosen.iter().map(|(_, venue)| venue.cut_all()).sum::<u64>() }))
        }
        Err(refusal) => refusal,
    }
}

/// The newest values of the market itself; `quiet` says whether they will stay so.
async fn last(State(control): Shared, Query(which): Query<Which>) -> Answer {
    let chosen = match control.made_up(&which) {
        Ok(chosen) => chosen,
        Err(refusal) => return refusal,
    };
    let own = chosen.into_iter().map(|(id, venue)| {
        let quiet = *venue.pace.borrow() == Pace::Quiet;
        (id, json!({ "quiet": quiet, "symbols": venue.own_values() }))
    });
    Answer::ok(json!({ "venues": own.collect::<BTreeMap<_, _>>() }))
}

/// Stops the market after a last move of every symbol; answers when that was handed to the sockets.
async fn quiesce(State(control): Shared, Query(which): Query<Which>) -> Answer {
    let chosen = match control.made_up(&which) {
        Ok(chosen) => chosen,
        Err(refusal) => return refusal,
    };
    for (id, venue) in chosen {
        let mut pace = venue.pace.subscribe();
        venue.pace.send_if_modified(|pace| {
            let moving = *pace == Pace::Moving;
            *pace = if moving { Pace::Settling } else { *pace };
            moving
        });
        if timeout(SETTLE_WITHIN, pace.wait_for(|pace| *pace == Pace::Quiet)).await.is_err() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, &format!("{id} does not come to rest"));
        }
    }
    Answer::ok(json!({ "quiet": true }))
}

async fn resume(State(control): Shared, Query(which): Query<Which>) -> Answer {
    match control.made_up(&which) {
        Ok(chosen) => {
            for (_, venue) in chosen {
                venue.pace.send_replace(Pace::Moving);
            }
            Answer::ok(json!({ "quiet": false }))
        }
        Err(refusal) => refusal,
    }
}

async fn list(State(control): Shared, Query(which): Query<Which>) -> Answer {
    control.change(&which, "listed", |venue, position| venue.listings.set_listed(position, true))
}

/// The symbol leaves discovery, and its streams fall silent.
async fn delist(State(control): Shared, Query(which): Query<Which>) -> Answer {
    control.change(&which, "delisted", |venue, position| venue.listings.set_listed(position, false))
}

/// What subscribes to it from now on is granted and stays silent; who has it keeps it.
async fn mute(State(control): Shared, Query(which): Query<Which>) -> Answer {
    control.change(&which, "muted", |venue, position| venue.listings.set_muted(position, true))
}

/// What subscribes to it from now on is served; who was granted a silent stream has to ask again.
async fn unmute(State(control): Shared, Query(which): Query<Which>) -> Answer {
    control.change(&which, "unmuted", |venue, position| venue.listings.set_muted(position, false))
}
