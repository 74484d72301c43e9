//! A budget that all processes behind one address share: so many a window of time, counted by the NATS server.
//!
//! A token is a message in a stream that refuses new ones (`discard: new`, `discard_new_per_subject`: nats-server 2.9
//! and newer), holds as many a subject as the budget has, and lets each go when the window has passed
//! (<https://docs.nats.io/nats-concepts/jetstream/streams>). The server refuses by its own clock: no clocks of processes
//! are compared, and in any stretch of the window's length no more than the budget is given. The stream lives in
//! memory: a single server that restarts gives a whole budget anew.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use thiserror::Error;
use tickwire_common::symbol::encode_token;

use crate::api::ApiError;
use crate::connect::{LinkError, Nats};
use crate::setup::{SetupError, ensure, nanoseconds};
use crate::subject;

/// Shortest window: the server's own bound.
pub const WINDOW_MIN: Duration = Duration::from_millis(100);

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BudgetError {
    /// All are given. Ask again after a moment, with jitter.
    #[error("the budget is spent")]
    Spent,
    /// There is no stream: it was lost with its server, or nobody leads it at the moment. [`Budget::ensure`] makes it
    /// anew or says so.
    #[error("there is no such budget")]
    Missing,
    /// The link is down or silent. After [`LinkError::TimedOut`] a token may be gone.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server refused for another reason.
    #[error(transparent)]
    Refused(ApiError),
}

impl From<ApiError> for BudgetError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::SubjectFull => Self::Spent,
            ApiError::NotFound => Self::Missing,
            ApiError::Link(error) => Self::Link(error),
            error => Self::Refused(error),
        }
    }
}

/// Takes tokens; cheap to clone.
#[derive(Debug, Clone)]
pub struct Budget {
    nats: Nats,
    name: String,
}

impl Budget {
    /// Makes sure that the budget exists: `count` tokens a `window` (at least [`WINDOW_MIN`]) and address, kept on
    /// `replicas` servers. All processes must agree on it. `name` is a word, like a venue's id.
    ///
    /// # Errors
    /// [`SetupError`], each with what to do about it; [`SetupError::Mismatch`] where the budget exists with another
    /// count or window.
    pub async fn ensure(
        nats: &Nats,
        name: &str,
        count: u32,
        window: Duration,
        replicas: u32,
    ) -> Result<Self, SetupError> {
        let needed = json!({
            "subjects": [subject::budget_of_all(name).as_str()],
            "storage": "memory",
            "max_msgs_per_subject": count,
            "max_age": nanoseconds(window.max(WINDOW_MIN)),
            "discard": "new",
            "discard_new_per_subject": true,
            "num_replicas": replicas,
        });
        ensure(nats, &stream_of(name), needed, json!({"retention": "limits"})).await?;
        Ok(Self { nats: nats.clone(), name: name.to_owned() })
    }

    /// Takes one token of an address, in one round trip.
    ///
    /// # Errors
    /// [`BudgetError`]; there is no token then.
    pub async fn take(&self, address: &str) -> Result<(), BudgetError> {
        let subject = subject::budget(&self.name, address).to_string();
        let taken = self.nats.store(subject, Bytes::new(), None).await.map_err(BudgetError::from);
        let outcome = match taken {
            Ok(_) => "taken",
            Err(BudgetError::Spent) => "spent",
            Err(_) => "failed",
        };
        metrics::counter!("tickwire_nats_budget_tokens_total", "outcome" => outcome).increment(1);
        taken.map(|_number| ())
    }
}

/// The stream of a budget.
fn stream_of(name: &str) -> String {
    format!("MD_BUDGET_{}", encode_token(name))
}
