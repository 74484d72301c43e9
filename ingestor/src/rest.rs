//! Questions to venues over REST: bounded in time and size, within the venue's weight limit, silent when told to wait.
//! Knows no venue: what it counts and which headers it reads are the venue's facts.

mod meter;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Response, StatusCode};
use thiserror::Error;
use tokio::time::Instant;

use crate::venue::contract::{AnswerError, RestRequest, Venue};
use meter::Meter;

/// Longest wait for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for the whole answer: a list of instruments has megabytes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Why there is no answer. All of it may be better later.
#[derive(Debug, Error)]
pub enum RestError {
    /// No HTTP answer.
    #[error("no answer: {0}")]
    Transport(String),
    /// Not the status of an answer.
    #[error("status {0}")]
    Status(StatusCode),
    /// We ask too often, or the venue is too busy and says for how long.
    #[error("status {status}: told to wait {}s", pause.as_secs())]
    TooMany {
        /// 418, 429, or any failure with a `Retry-After`.
        status: StatusCode,
        /// Ask nothing before this has passed.
        pause: Duration,
    },
    /// Not asked: the venue still wants to hear nothing, or the weight that is left is kept for others.
    #[error("not asked: the venue's limit leaves nothing for {}s", pause.as_secs())]
    Held {
        /// Ask again after this.
        pause: Duration,
    },
    /// More than the request's bound.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The venue reads it otherwise than we do.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

impl RestError {
    /// How long to ask nothing.
    pub fn pause(&self) -> Duration {
        match self {
            Self::TooMany { pause, .. } | Self::Held { pause } => *pause,
            _ => Duration::ZERO,
        }
    }

    /// Name for a metric label.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Transport(_) => "transport",
            Self::Status(_) => "status",
            Self::TooMany { .. } => "too_many",
            Self::Held { .. } => "held",
            Self::TooLarge(_) => "too_large",
            Self::Answer(_) => "answer",
        }
    }
}

/// Asks one venue; clones share what is known of its limits.
#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: String,
    meter: Arc<Mutex<Meter>>,
}

impl Rest {
    /// `base` is a REST origin with an optional path prefix, of a venue that announces no limits.
    ///
    /// # Errors
    /// If the HTTP client cannot be built: no TLS provider is installed, or the system's certificates are unreadable.
    pub fn new(base: &str) -> Result<Self, RestError> {
        Self::with_meter(base, Meter::new(None))
    }

    /// As [`Rest::new`], within the limits of `venue`.
    ///
    /// # Errors
    /// As [`Rest::new`].
    pub fn of(venue: &dyn Venue, base: &str) -> Result<Self, RestError> {
        Self::with_meter(base, Meter::new(venue.rest_limits()))
    }

    fn with_meter(base: &str, meter: Meter) -> Result<Self, RestError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(concat!("tickwire/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| RestError::Transport(error.to_string()))?;
        let meter = Arc::new(Mutex::new(meter));
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), meter })
    }

    /// The body of the answer. Asks nothing while an earlier answer, to whatever question, said to wait.
    ///
    /// # Errors
    /// [`RestError`].
    #[tracing::instrument(name = "rest_request", skip_all, fields(path = request.path))]
    pub async fn ask(&self, request: RestRequest) -> Result<Vec<u8>, RestError> {
        self.meter().admit(request.weight, Instant::now()).map_err(|pause| RestError::Held { pause })?;
        let url = format!("{}{}", self.base, request.path);
        let asked = if request.post { self.client.post(url) } else { self.client.get(url) };
        let response = asked.send().await.map_err(transport)?;
        let told = self.told(response.status(), response.headers());
        match (response.status(), told) {
            (status, _) if status.is_success() => read(response, request.bytes_max).await,
            (status, Some(pause)) => Err(RestError::TooMany { status, pause }),
            (status, None) => Err(RestError::Status(status)),
        }
    }

    /// The venue announced another weight limit than its facts have.
    pub fn announced(&self, weight: u32) {
        self.meter().limit(weight);
    }

    /// Books an answer; the pause that it asks for, if it does.
    fn told(&self, status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
        let now = Instant::now();
        let mut meter = self.meter();
        meter.read(headers, now);
        let pause = meter::pause(status, headers, meter.reset_header())?;
        meter.hold(pause, now);
        Some(pause)
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        // Nothing under this lock panics half-way.
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, RestError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > bytes_max {
            return Err(RestError::TooLarge(bytes_max));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn transport(error: reqwest::Error) -> RestError {
    // The innermost cause says what happened; the URL may hold a token.
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    RestError::Transport(cause.to_string())
}

#[cfg(test)]
mod tests;
