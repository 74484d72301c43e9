//! A REST answer of a simulated venue.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

use super::upgrade::SIMULATED;

/// Status and JSON text.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    body: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Answer {
    /// 200 with this body.
    pub(crate) fn ok(body: impl ToString) -> Self {
        Self::new(StatusCode::OK, body)
    }

    /// Any status.
    pub(crate) fn new(status: StatusCode, body: impl ToString) -> Self {
        Self { status, body: body.to_string(), headers: Vec::new() }
    }

    /// Adds a header with a number in it.
    pub(crate) fn with_number(mut self, name: &'static str, value: u64) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    /// Adds `Retry-After`, in seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.headers.push((RETRY_AFTER, seconds.into()));
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response<Body> {
        let kind = [(CONTENT_TYPE, "application/json;charset=UTF-8"), (SIMULATED, "true")];
        let mut response = (self.status, kind, self.body).into_response();
        response.headers_mut().extend(self.headers);
        response
    }
}
