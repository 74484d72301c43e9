//! Texts in, requests or error codes out.

use serde::Deserialize;
use serde_json::{Value, json};
use tickwire_common::wire::request::{Method, Request, parse};

use crate::vectors;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Requests {
    pub understood: Vec<Understood>,
    pub refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Understood {
    pub about: String,
    pub text: String,
    request: Value,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refused {
    pub about: String,
    pub text: String,
    pub error: Error,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Error {
    pub code: String,
    method: Option<String>,
    req_id: Option<String>,
}

fn told(request: &Request) -> Value {
    let req_id = request.req_id.as_deref();
    match &request.method {
        Method::Subscribe(subscribe) => json!({"method": "subscribe", "symbols": subscribe.symbols,
            "snapshot": subscribe.snapshot, "since": subscribe.since, "throttle_ms": subscribe.throttle_ms,
            "req_id": req_id}),
        Method::Unsubscribe(names) => json!({"method": "unsubscribe", "symbols": names, "req_id": req_id}),
        Method::List => json!({"method": "list", "req_id": req_id}),
        Method::Ping => json!({"method": "ping", "req_id": req_id}),
    }
}

#[test]
fn requests_are_understood_as_the_vectors_say() {
    for vector in vectors::<Requests>("requests.json").understood {
        let request = parse(&vector.text).unwrap_or_else(|wrong| panic!("{}: {wrong:?}", vector.about));
        assert_eq!(told(&request), vector.request, "{}", vector.about);
    }
}

#[test]
fn mistakes_get_the_codes_of_the_vectors() {
    for vector in vectors::<Requests>("requests.json").refused {
        let wrong = parse(&vector.text).expect_err(&vector.about);
        let error = Error {
            code: wrong.code.as_str().to_owned(),
            method: wrong.method,
            req_id: wrong.req_id.map(Into::into),
        };
        assert_eq!(error, vector.error, "{}", vector.about);
        assert!(!wrong.message.is_empty(), "{}", vector.about);
    }
}
