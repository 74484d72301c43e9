//! Questions to venues over REST: bounded in time and size, polite when told to wait. Knows no venue.

use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use thiserror::Error;

use crate::venue::contract::{AnswerError, RestRequest};

/// Longest wait for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time for the whole answer: a list of instruments has megabytes.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest pause that a venue may impose; Binance bans for up to three days, and it is worth a look each hour.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// Pause where a venue says "too many" without saying for how long.
const PAUSE_DEFAULT: Duration = Duration::from_secs(60);

/// Why there is no answer. All of it may be better later.
#[derive(Debug, Error)]
pub enum RestError {
    /// No HTTP answer.
    #[error("no answer: {0}")]
    Transport(String),
    /// Not the status of an answer.
    #[error("status {0}")]
    Status(StatusCode),
    /// We ask too often.
    #[error("status {status}: told to wait {}s", pause.as_secs())]
    TooMany {
        /// 418 or 429.
        status: StatusCode,
        /// Ask nothing before this has passed.
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
    /// How long the venue wants to hear nothing from us.
    pub fn pause(&self) -> Duration {
        if let Self::TooMany { pause, .. } = self { *pause } else { Duration::ZERO }
    }
}

/// Asks one venue.
#[derive(Debug, Clone)]
pub struct Rest {
    client: Client,
    base: String,
}

impl Rest {
    /// `base` is the venue's REST origin with an optional path prefix.
    ///
    /// # Errors
    /// If the HTTP client cannot be built: no TLS provider is installed, or the system's certificates are unreadable.
    pub fn new(base: &str) -> Result<Self, RestError> {
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(concat!("tickwire/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| RestError::Transport(error.to_string()))?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned() })
    }

    /// The body of the answer.
    ///
    /// # Errors
    /// [`RestError`].
    #[tracing::instrument(name = "rest_request", skip_all, fields(path = request.path))]
    pub async fn ask(&self, request: RestRequest) -> Result<Vec<u8>, RestError> {
        let url = format!("{}{}", self.base, request.path);
        let asked = if request.post { self.client.post(url) } else { self.client.get(url) };
        let response = asked.send().await.map_err(transport)?;
        match response.status() {
            status if status.is_success() => read(response, request.bytes_max).await,
            status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::IM_A_TEAPOT) => {
                Err(RestError::TooMany { status, pause: pause(&response) })
            }
            status => Err(RestError::Status(status)),
        }
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

fn pause(response: &Response) -> Duration {
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = header.and_then(|text| text.parse().ok()).map(Duration::from_secs);
    seconds.unwrap_or(PAUSE_DEFAULT).min(PAUSE_MAX)
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
