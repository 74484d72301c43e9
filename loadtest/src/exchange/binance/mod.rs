//! Binance spot, simulated: `/binance/api/v3/...`, `/binance/stream`, `/binance/ws`.

mod facts;
mod frames;
mod recorded;
mod request;
mod rest;
mod session;

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use serde::Deserialize;
use tickwire_common::task::Spawner;
use tokio::time::Instant;

pub use self::facts::Limits;
use self::facts::{MAX_URL_CHARACTERS, violation};
use self::frames::Frames;
pub(crate) use self::recorded::{route, split_symbol};
use self::session::BinanceSession;
use super::Config;
use super::answer::Answer;
use super::catalogue::Catalogue;
use super::hub::WhenSlow;
use super::pump::Pump;
use super::rate::PerAddress;
use super::upgrade;
use super::venue::{Shape, Venue};

/// Venue id.
pub const ID: &str = "binance";
/// Names in the built-in list.
pub const LISTED: usize = facts::LISTED.len();

/// A venue with a made-up market.
pub(crate) fn synthetic(config: &Config) -> Venue {
    let listed = config.symbols;
    let catalogue =
        Catalogue::synthetic(facts::LISTED, listed + config.reserve, |base, quote| format!("{base}{quote}"));
    let names = frames::stream_names(&catalogue);
    let shape = Shape { listed, kinds: frames::KINDS.len(), percent_digits: frames::PERCENT_DIGITS };
    Venue::synthetic(catalogue, names, shape, config)
}

/// Starts the made-up market.
pub(crate) fn start_market(spawner: &Spawner, venue: &Arc<Venue>, rate: u64, when_slow: WhenSlow) {
    let pump = Pump::new(Arc::clone(venue), Frames::new(&venue.catalogue), rate, when_slow);
    let stop = spawner.token();
    spawner.spawn("market-binance", async move {
        pump.run(stop).await;
        Ok(())
    });
}

struct App {
    venue: Arc<Venue>,
    limits: Limits,
    connects: PerAddress,
    weight: PerAddress,
    spawner: Spawner,
}

/// The venue's paths, without the prefix.
pub(crate) fn router(venue: Arc<Venue>, limits: Limits, spawner: Spawner) -> Router {
    let (connects, weight) = (PerAddress::new(limits.connects), PerAddress::new(limits.weight));
    let app = Arc::new(App { venue, limits, connects, weight, spawner });
    Router::new()
        .route("/stream", get(combined))
        .route("/ws", get(raw))
        .route("/ws/{*streams}", get(raw_streams))
        .fallback(get(rest))
        .with_state(app)
}

#[derive(Deserialize)]
struct StreamQuery {
    streams: Option<String>,
}

async fn combined(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(query): Query<StreamQuery>,
    request: Request<Body>,
) -> Response<Body> {
    app.connect(peer.ip(), query.streams.as_deref().unwrap_or(""), true, request)
}

async fn raw(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request<Body>,
) -> Response<Body> {
    app.connect(peer.ip(), "", false, request)
}

async fn raw_streams(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(streams): Path<String>,
    request: Request<Body>,
) -> Response<Body> {
    app.connect(peer.ip(), &streams, false, request)
}

async fn rest(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(params): Query<HashMap<String, String>>,
    request: Request<Body>,
) -> Answer {
    let (path, query) = (request.uri().path(), request.uri().query());
    let recorded = app.venue.answer(path, query);
    let Some(weight) = rest::weight(path, &params).or(recorded.map(|_| 1)) else {
        return Answer::new(StatusCode::NOT_FOUND, "");
    };
    let used = app.weight.spend(peer.ip(), weight, Instant::now());
    app.venue.stats.request_answered();
    let answer = if used.is_over() {
        app.venue.stats.violation(violation::REQUEST_WEIGHT);
        rest::too_much_weight(used.limit, used.resets_in.as_secs().max(1))
    } else {
        recorded.map_or_else(|| rest::answer(path, &params, &app.venue, &app.limits), Answer::ok)
    };
    answer
        .with_number("x-mbx-used-weight", used.weight.into())
        .with_number("x-mbx-used-weight-1m", used.weight.into())
}

impl App {
    fn connect(
        &self,
        peer: IpAddr,
        streams: &str,
        wrapped: bool,
        mut request: Request<Body>,
    ) -> Response<Body> {
        self.venue.stats.connect_asked();
        let streams: BTreeSet<String> =
            streams.split('/').filter(|s| !s.is_empty()).map(str::to_owned).collect();
        if let Err((status, kind)) = self.check(peer, &streams, &request) {
            self.venue.stats.violation(kind);
            return status.into_response();
        }
        match upgrade::accept(&mut request) {
            Ok((response, upgrade)) => {
                let session = BinanceSession::new(Arc::clone(&self.venue), self.limits, streams, wrapped);
                upgrade::serve(&self.spawner, Arc::clone(&self.venue), upgrade, session);
                response
            }
            Err(refusal) => refusal.into_response(),
        }
    }

    fn check(
        &self,
        peer: IpAddr,
        streams: &BTreeSet<String>,
        request: &Request<Body>,
    ) -> Result<(), (StatusCode, &'static str)> {
        if self.connects.spend(peer, 1, Instant::now()).is_over() {
            return Err((StatusCode::TOO_MANY_REQUESTS, violation::CONNECT_RATE));
        }
        if request.uri().path_and_query().is_some_and(|uri| uri.as_str().len() > MAX_URL_CHARACTERS) {
            return Err((StatusCode::URI_TOO_LONG, violation::URL_LENGTH));
        }
        if streams.len() > self.limits.streams {
            return Err((StatusCode::BAD_REQUEST, violation::STREAMS));
        }
        Ok(())
    }
}
