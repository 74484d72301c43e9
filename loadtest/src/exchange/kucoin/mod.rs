//! KuCoin spot (classic API), simulated: `/kucoin/api/...` and `/kucoin/endpoint`.

mod facts;
mod frames;
mod recorded;
mod rest;
mod session;
mod token;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::header::HOST;
use axum::http::{HeaderMap, Method, Request, Response};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use serde::Deserialize;
use tickwire_common::task::Spawner;
use tokio::time::Instant;

pub use self::facts::Limits;
use self::facts::violation;
use self::frames::Frames;
pub(crate) use self::recorded::{route, split_symbol};
use self::session::KucoinSession;
use self::token::Tokens;
use super::Config;
use super::answer::Answer;
use super::catalogue::Catalogue;
use super::hub::WhenSlow;
use super::pump::Pump;
use super::rate::PerAddress;
use super::upgrade;
use super::venue::{Shape, Venue};

/// Venue id.
pub const ID: &str = "kucoin";
/// Names in the built-in list.
pub const LISTED: usize = facts::LISTED.len();
/// Characters of a connection's name that the venue makes up.
const CONNECT_ID_CHARACTERS: usize = 10;

/// A venue with a made-up market.
pub(crate) fn synthetic(config: &Config) -> Venue {
    let listed = config.kucoin_symbols.unwrap_or(config.symbols);
    let catalogue =
        Catalogue::synthetic(facts::LISTED, listed + config.reserve, |base, quote| format!("{base}-{quote}"));
    let topics = frames::topics(&catalogue);
    let shape = Shape { listed, kinds: frames::KINDS.len(), percent_digits: frames::PERCENT_DIGITS };
    Venue::synthetic(catalogue, topics, shape, config)
}

/// Starts the made-up market.
pub(crate) fn start_market(spawner: &Spawner, venue: &Arc<Venue>, rate: u64, when_slow: WhenSlow) {
    let pump = Pump::new(Arc::clone(venue), Frames::new(&venue.catalogue), rate, when_slow);
    let stop = spawner.token();
    spawner.spawn("market-kucoin", async move {
        pump.run(stop).await;
        Ok(())
    });
}

struct App {
    venue: Arc<Venue>,
    limits: Limits,
    tokens: Tokens,
    connects: PerAddress,
    weight: PerAddress,
    spawner: Spawner,
}

/// The venue's paths, without the prefix.
pub(crate) fn router(venue: Arc<Venue>, limits: Limits, spawner: Spawner) -> Router {
    let (connects, weight) = (PerAddress::new(limits.connects), PerAddress::new(limits.weight));
    let tokens = Tokens::new(limits.token_life);
    let app = Arc::new(App { venue, limits, tokens, connects, weight, spawner });
    Router::new()
        // Official clients put only the query behind the origin; a configured origin keeps our prefix as its path.
        .route("/", get(connect))
        .route("/endpoint", get(connect))
        .route("/endpoint/", get(connect))
        .fallback(any(rest))
        .with_state(app)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ConnectQuery {
    #[serde(default)]
    token: String,
    connect_id: Option<String>,
}

async fn connect(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(query): Query<ConnectQuery>,
    mut request: Request<Body>,
) -> Response<Body> {
    let now = Instant::now();
    app.venue.stats.connect_asked();
    if app.connects.spend(peer.ip(), 1, now).is_over() {
        app.venue.stats.violation(violation::CONNECT_RATE);
    }
    let invented = || (0..CONNECT_ID_CHARACTERS).map(|_| fastrand::alphanumeric()).collect();
    let connect_id = query.connect_id.unwrap_or_else(invented);
    let token = app.tokens.check(&query.token, now);
    match upgrade::accept(&mut request) {
        Ok((response, upgrade)) => {
            let session = KucoinSession::new(Arc::clone(&app.venue), app.limits, connect_id, token);
            upgrade::serve(&app.spawner, Arc::clone(&app.venue), upgrade, session);
            response
        }
        Err(refusal) => refusal.into_response(),
    }
}

async fn rest(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Query(params): Query<HashMap<String, String>>,
    request: Request<Body>,
) -> Answer {
    let (path, query) = (request.uri().path(), request.uri().query());
    let recorded = app.venue.answer(path, query).filter(|_| request.method() == Method::GET);
    let Some(weight) = rest::weight(request.method(), path).or(recorded.map(|_| 1)) else {
        return rest::not_found();
    };
    let used = app.weight.spend(peer.ip(), weight, Instant::now());
    app.venue.stats.request_answered();
    let answer = if used.is_over() {
        app.venue.stats.violation(violation::REQUEST_WEIGHT);
        rest::too_many_requests(used.resets_in.as_secs().max(1))
    } else if request.method() == Method::POST {
        rest::bullet(&app.tokens.issue(Instant::now()), &endpoint(request.headers()), &app.limits)
    } else {
        recorded.map_or_else(|| rest::answer(path, &params, &app.venue), Answer::ok)
    };
    let resets_in = u64::try_from(used.resets_in.as_millis()).unwrap_or(u64::MAX);
    answer
        .with_number("gw-ratelimit-limit", used.limit.into())
        .with_number("gw-ratelimit-remaining", used.limit.saturating_sub(used.weight).into())
        .with_number("gw-ratelimit-reset", resets_in)
}

/// Where sockets go, by the name under which the client found us. The venue's own endpoint ends with a slash, too.
fn endpoint(headers: &HeaderMap) -> String {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("ws://{host}/kucoin/endpoint/")
}
