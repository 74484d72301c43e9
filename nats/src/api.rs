//! The JetStream API as JSON requests: <https://docs.nats.io/reference/reference-protocols/nats_api_reference>.
//!
//! Our own few lines instead of the library's managers, because those cannot create a bucket on nats-server 2.9 (they
//! require account fields that came with 2.10.8), and because a plain JSON object can be compared with what was wanted.

use async_nats::client::{RequestError, RequestErrorKind};
use async_nats::{HeaderMap, client::Request};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::connect::{LinkError, Nats};

/// `err_code` values of <https://github.com/nats-io/nats-server/blob/main/server/errors.json>.
mod code {
    pub(super) const NOT_ENABLED_FOR_ACCOUNT: u64 = 10_039;
    pub(super) const NAME_IN_USE: u64 = 10_058;
    pub(super) const NOT_FOUND: u64 = 10_059;
    /// nats-server 2.9 also answers this to one of two equal requests at the same moment.
    pub(super) const SUBJECTS_OVERLAP: u64 = 10_065;
    pub(super) const WRONG_LAST_SEQUENCE: u64 = 10_071;
    pub(super) const NOT_ENABLED: u64 = 10_076;
    pub(super) const STORE_FAILED: u64 = 10_077;
    /// The same as 10071, where a cluster sees another write on its way.
    pub(super) const WRONG_LAST_SEQUENCE_IN_FLIGHT: u64 = 10_164;
}

/// What [`code::STORE_FAILED`] says of a subject with as many messages as the stream allows: `ErrMaxMsgsPerSubject` in
/// server/store.go.
const SUBJECT_FULL: &str = "maximum messages per subject exceeded";

/// Why a JetStream request failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ApiError {
    /// The link is down or silent. Retry when it is up; without permission for the request it is silent too.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The server has no JetStream, or not for our account.
    #[error(
        "JetStream is not enabled on the NATS server: add a `jetstream {{}}` block to its configuration (or \
             `jetstream: enabled` to our account), or start it with -js"
    )]
    NotEnabled,
    /// There is no such stream, or nobody stores that subject.
    #[error("there is no such stream")]
    NotFound,
    /// The subject's newest message is not the one that was expected.
    #[error("NATS has a newer message")]
    WrongRevision,
    /// The subject has as many messages as its stream allows.
    #[error("NATS has as many messages of this subject as its stream allows")]
    SubjectFull,
    /// A stream has that name, or its subjects.
    #[error("NATS refused: {0}")]
    Taken(String),
    /// The cluster cannot do it at the moment: no leader, or too few servers. Retry.
    #[error("NATS cannot do it now: {0}")]
    Unavailable(String),
    /// The server refused for another reason.
    #[error("NATS refused: {0}")]
    Refused(String),
    /// The answer is not what the API promises.
    #[error("NATS answered something unreadable: {0}")]
    Unreadable(String),
}

#[derive(Deserialize)]
struct Envelope {
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    /// As in HTTP.
    #[serde(default)]
    code: u16,
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

impl Nats {
    /// One request to `$JS.API.<verb>`.
    pub(crate) async fn api(&self, verb: &str, body: &Value) -> Result<Value, ApiError> {
        self.js_request(format!("$JS.API.{verb}"), Request::new().payload(body.to_string().into())).await
    }

    /// Publishes into a stream and waits until it is stored; returns its number in the stream. After
    /// [`LinkError::TimedOut`] it may be stored or not.
    pub(crate) async fn store(
        &self,
        subject: String,
        payload: Bytes,
        headers: Option<HeaderMap>,
    ) -> Result<u64, ApiError> {
        let mut request = Request::new().payload(payload);
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let ack = self.js_request(subject, request).await.map_err(|error| match error {
            // Nobody takes the subject: there is no stream for it.
            ApiError::NotEnabled => ApiError::NotFound,
            error => error,
        })?;
        let sequence = ack.get("seq").and_then(Value::as_u64);
        sequence.ok_or_else(|| ApiError::Unreadable(format!("an acknowledgement without number: {ack}")))
    }

    async fn js_request(&self, subject: String, request: Request) -> Result<Value, ApiError> {
        if !self.is_open() {
            return Err(LinkError::Disconnected.into());
        }
        let reply = self.client().send_request(subject, request).await.map_err(|e| request_error(&e))?;
        let unreadable = |error: serde_json::Error| ApiError::Unreadable(error.to_string());
        let envelope: Envelope = serde_json::from_slice(&reply.payload).map_err(unreadable)?;
        match envelope.error {
            Some(error) => Err(classify(error)),
            None => serde_json::from_slice(&reply.payload).map_err(unreadable),
        }
    }
}

fn request_error(error: &RequestError) -> ApiError {
    match error.kind() {
        // Nobody listens to the API: JetStream is off.
        RequestErrorKind::NoResponders => ApiError::NotEnabled,
        RequestErrorKind::TimedOut => LinkError::TimedOut.into(),
        _ => ApiError::Refused(error.to_string()),
    }
}

fn classify(error: ErrorBody) -> ApiError {
    match error.err_code {
        code::NOT_ENABLED | code::NOT_ENABLED_FOR_ACCOUNT => ApiError::NotEnabled,
        code::NOT_FOUND => ApiError::NotFound,
        code::WRONG_LAST_SEQUENCE | code::WRONG_LAST_SEQUENCE_IN_FLIGHT => ApiError::WrongRevision,
        code::STORE_FAILED if error.description == SUBJECT_FULL => ApiError::SubjectFull,
        code::NAME_IN_USE | code::SUBJECTS_OVERLAP => ApiError::Taken(error.description),
        _ if matches!(error.code, 429 | 503) => ApiError::Unavailable(error.description),
        code => ApiError::Refused(format!("{} (code {code})", error.description)),
    }
}
