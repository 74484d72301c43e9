//! What a test asks the simulator itself: `GET /stats`, `POST /control/cut`.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::answer::Answer;
use super::replay::Progress;
use super::venue::Venue;

/// The simulator's own paths.
pub(crate) fn router(venues: BTreeMap<&'static str, Arc<Venue>>, progress: Option<Arc<Progress>>) -> Router {
    let control = Arc::new(Control { venues, progress });
    Router::new().route("/stats", get(stats)).route("/control/cut", post(cut)).with_state(control)
}

struct Control {
    venues: BTreeMap<&'static str, Arc<Venue>>,
    progress: Option<Arc<Progress>>,
}

async fn stats(State(control): State<Arc<Control>>) -> Answer {
    let venues: BTreeMap<_, _> = control.venues.iter().map(|(id, venue)| (id, venue.snapshot())).collect();
    let replay = control.progress.as_ref().map(|progress| progress.snapshot());
    Answer::ok(json!({ "simulated": true, "venues": venues, "replay": replay }))
}

#[derive(Deserialize)]
struct CutQuery {
    venue: Option<String>,
}

/// Drops all open sockets of one venue (`?venue=kucoin`) or of all.
async fn cut(State(control): State<Arc<Control>>, Query(query): Query<CutQuery>) -> Answer {
    if let Some(venue) = query.venue {
        return match control.venues.get(venue.as_str()) {
            Some(venue) => Answer::ok(json!({ "cut": venue.cut_all() })),
            None => Answer::new(StatusCode::NOT_FOUND, json!({ "error": format!("no venue {venue:?}") })),
        };
    }
    Answer::ok(json!({ "cut": control.venues.values().map(|venue| venue.cut_all()).sum::<u64>() }))
}
