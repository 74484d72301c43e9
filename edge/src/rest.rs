//! Plain HTTP beside the stream: the page, the catalogue and last prices. Reads of last prices go through a short cache,
//! so that many readers cost NATS little. The stream's snapshots do not: a row cached before the subscription began
//! could leave a hole.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use moka::future::Cache;
use serde::Deserialize;
use serde_json::json;
use tickwire_common::row;
use tickwire_common::symbol::Topic;
use tickwire_common::wire::frame::{Marks, push_row};
use tickwire_nats::Bytes;
use tickwire_nats::snapshot::Snapshots;

use crate::accept::{self, Door};
use crate::feed::{Found, Names, Standing, VenueFeed};

/// How old a cached last price may be: the store itself is fed four times a second.
const CACHE_TTL: Duration = Duration::from_millis(250);

/// Topics in the cache; beyond them the least used goes.
const CACHE_TOPICS_MAX: u64 = 20_000;

/// Symbols in one request.
const SYMBOLS_MAX: usize = 500;

const PAGE: &str = include_str!("page.html");

/// What plain requests need.
#[derive(Debug, Clone)]
pub struct Rest {
    names: Arc<RwLock<Names>>,
    standing: Standing,
    snapshots: Snapshots,
    cache: Cache<Topic, Option<Bytes>>,
    label: Option<String>,
}

impl Rest {
    /// Reads through `snapshots`; `label` is shown on the page.
    pub fn new(
        names: Arc<RwLock<Names>>,
        standing: Standing,
        snapshots: Snapshots,
        label: Option<String>,
    ) -> Self {
        let cache = Cache::builder().max_capacity(CACHE_TOPICS_MAX).time_to_live(CACHE_TTL).build();
        Self { names, standing, snapshots, cache, label }
    }
}

/// All routes for clients.
pub fn router(door: Door, rest: Rest, echo: bool) -> Router {
    let mut upgrades = Router::new().route("/v1/stream", get(accept::stream));
    if echo {
        upgrades = upgrades.route("/debug/echo", get(accept::echo));
    }
    let plain = Router::new()
        .route("/", get(page))
        .route("/v1/symbols", get(symbols))
        .route("/v1/prices", get(prices))
        .route("/v1/feeds", get(feeds))
        .with_state(rest);
    upgrades.with_state(door).merge(plain)
}

async fn page(State(rest): State<Rest>) -> Html<String> {
    let label = rest.label.as_deref().map(escape).unwrap_or_default();
    Html(PAGE.replace("{{label}}", &label))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

async fn symbols(State(rest): State<Rest>) -> Response {
    let names = rest.names.read().unwrap_or_else(PoisonError::into_inner);
    let data: Vec<_> = names
        .topics()
        .map(|topic| json!({"symbol": topic.to_string(), "venue": &*topic.venue, "name": topic.symbol.as_str()}))
        .collect();
    drop(names);
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "data": data }))).into_response()
}

/// `GET /v1/feeds`: every venue as the stream tells it, and each of its shards that somebody speaks for.
async fn feeds(State(rest): State<Rest>) -> Response {
    let feeds = rest.standing.feeds();
    let data: Vec<_> = feeds.all().map(|(venue, feed)| feed_object(venue, feed)).collect();
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "data": data }))).into_response()
}

fn feed_object(venue: &str, feed: &VenueFeed) -> serde_json::Value {
    let shards = feed.shards().map(|(number, shard)| {
        json!({
            "shard": number,
            "state": shard.state,
            "since": shard.since,
            "symbols": shard.symbols,
            "reason": shard.reason,
        })
    });
    let status = &feed.status;
    json!({
        "feed": venue,
        "state": status.state,
        "since": status.since,
        "last_tick": status.last_tick,
        "symbols": status.symbols,
        "reason": status.reason,
        "demand": status.demand,
        "shard_count": status.shards,
        "shards": shards.collect::<Vec<_>>(),
    })
}

#[derive(Deserialize)]
struct PricesQuery {
    symbols: Option<String>,
}

/// `GET /v1/prices?symbols=BTC/USDT,kucoin:ETH/USDT`: the newest row of each, as the stream would show it, and
/// the names that have none.
#[tracing::instrument(name = "prices", skip_all)]
async fn prices(State(rest): State<Rest>, Query(query): Query<PricesQuery>) -> Response {
    let asked: Vec<String> = query
        .symbols
        .iter()
        .flat_map(|names| names.split(','))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    if asked.is_empty() || asked.len() > SYMBOLS_MAX {
        let text = format!("name 1 to {SYMBOLS_MAX} symbols, like ?symbols=BTC/USDT,kucoin:ETH/USDT\n");
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    let (found, mut missing) = rest.resolve(asked);
    let Ok(rows) = rest.rows(&found).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "NATS is away\n")
            .into_response();
    };
    let feeds = rest.standing.feeds();
    let mut body = b"{\"data\":[".to_vec();
    for ((name, topic, bare), row) in found.iter().zip(rows) {
        let Some(row) = row.filter(|row| row::check(row).is_ok()) else {
            missing.push(name.clone());
            continue;
        };
        if body.last() == Some(&b'}') {
            body.push(b',');
        }
        let venue = bare.then_some(&*topic.venue);
        let marks = Marks { venue, stale: feeds.is_stale(topic), ..Marks::default() };
        push_row(&mut body, name, &marks, &row);
    }
    body.extend_from_slice(format!("],\"missing\":{}}}", json!(missing)).as_bytes());
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")], body).into_response()
}

impl Rest {
    /// Names with their topic and whether they name no venue; and names that nobody has.
    fn resolve(&self, asked: Vec<String>) -> (Vec<(String, Topic, bool)>, Vec<String>) {
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for name in asked {
            match names.resolve(&name) {
                Ok(Found::Exact(topic)) => found.push((name, topic, false)),
                Ok(Found::AnyOf(topics)) => {
                    found.extend(self.standing.choose(&topics).map(|topic| (name, topic, true)))
                }
                Err(_) => missing.push(name),
            }
        }
        (found, missing)
    }

    /// The last row of each topic, from the cache where it is there.
    async fn rows(
        &self,
        found: &[(String, Topic, bool)],
    ) -> Result<Vec<Option<Bytes>>, tickwire_nats::snapshot::SnapshotError> {
        let mut rows = Vec::with_capacity(found.len());
        for (_, topic, _) in found {
            rows.push(self.cache.get(topic).await);
        }
        let missing: Vec<Topic> = found
            .iter()
            .zip(&rows)
            .filter(|(_, row)| row.is_none())
            .map(|((_, topic, _), _)| topic.clone())
            .collect();
        let mut fetched =
            if missing.is_empty() { Vec::new() } else { self.snapshots.get(&missing).await? }.into_iter();
        let mut out = Vec::with_capacity(rows.len());
        for (row, (_, topic, _)) in rows.into_iter().zip(found) {
            match row {
                Some(cached) => out.push(cached),
                None => {
                    let row = fetched.next().flatten();
                    self.cache.insert(topic.clone(), row.clone()).await;
                    out.push(row);
                }
            }
        }
        Ok(out)
    }
}
