//! The manners of one client: message rate, strikes for nonsense, one request at a time in the order they came. Text in,
//! a decision out; no socket.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use tickwire_common::wire::close::CloseCode;
use tickwire_common::wire::error::{ErrorBody, ErrorCode};
use tickwire_common::wire::frame::Reply;
use tickwire_common::wire::limits::Limits;
use tickwire_common::wire::request::{self, Method, Rejection, Request};

use crate::ws::frame;

/// Messages without sense in a row before the connection is closed.
pub const STRIKES_MAX: u8 = 10;

/// Messages over the rate in a row before the connection is closed.
pub const REFUSALS_MAX: u32 = 100;

/// Requests and errors that wait behind a subscribe; more are refused as over the rate.
pub const BACKLOG_MAX: usize = 64;

/// Bytes that these may take; a lone one may take more. Two of the largest messages by default.
pub const BACKLOG_BYTES_MAX: usize = 256 << 10;

/// What a name of a request takes beside its text: a `String` and the allocation behind it.
const NAME_BYTES: usize = 64;

/// When to send again what found the backlog full, in milliseconds: most subscribes are answered by then.
const BACKLOG_WAIT_MS: u64 = 1_000;

/// A request and when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub request: Request,
    /// Unix µs.
    pub time_in: u64,
}

/// What answers a message in its turn.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Run this request.
    Run(Asked),
    /// Say this: the message was no request.
    Say(Bytes),
}

/// What to do with a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is its turn.
    Now(Turn),
    /// It waits behind another request.
    Wait,
    /// Say this at once, whatever waits.
    Refuse(Bytes),
    /// Say this, then close.
    Close(Bytes, CloseCode),
}

#[derive(Debug)]
pub(super) struct Session {
    /// Messages that may come now, in thousandths.
    tokens_milli: u64,
    burst_milli: u64,
    per_second: u64,
    refilled_at: Instant,
    refusals: u32,
    strikes: u8,
    /// A subscribe is being answered.
    busy: bool,
    /// What waits for its turn, with the bytes it takes.
    backlog: VecDeque<(Turn, usize)>,
    backlog_bytes: usize,
}

impl Session {
    pub fn new(limits: &Limits, now: Instant) -> Self {
        let burst_milli = u64::from(limits.msgs_burst) * 1_000;
        Self {
            tokens_milli: burst_milli,
            burst_milli,
            per_second: u64::from(limits.msgs_per_s).max(1),
            refilled_at: now,
            refusals: 0,
            strikes: 0,
            busy: false,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
        }
    }

    /// Judges a text message.
    pub fn text(&mut self, text: &str, now: Instant, time_in: u64) -> Decision {
        if let Err(refusal) = self.spend(now) {
            return refusal;
        }
        match request::parse(text) {
            Ok(request) => {
                self.strikes = 0;
                let bytes = text.len() + NAME_BYTES * names(&request.method);
                self.order(Turn::Run(Asked { request, time_in }), bytes)
            }
            Err(rejection) => self.strike(&rejection),
        }
    }

    /// Judges a message that is no text.
    pub fn binary(&mut self) -> Decision {
        let body = ErrorBody::new(ErrorCode::BadRequest, "binary message: this protocol is JSON text");
        Decision::Close(error(None, None, &body), CloseCode::UnsupportedData)
    }

    /// Counts one message of any kind, pings too.
    pub fn spend(&mut self, now: Instant) -> Result<(), Decision> {
        let passed = now.saturating_duration_since(self.refilled_at);
        let earned = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).saturating_mul(self.per_second);
        if earned > 0 {
            self.tokens_milli = self.tokens_milli.saturating_add(earned).min(self.burst_milli);
            self.refilled_at = now;
        }
        if self.tokens_milli >= 1_000 {
            self.tokens_milli -= 1_000;
            self.refusals = 0;
            return Ok(());
        }
        Err(self.refuse())
    }

    fn refuse(&mut self) -> Decision {
        self.refusals += 1;
        let wait_ms = (1_000 - self.tokens_milli).div_ceil(self.per_second);
        let message = format!("at most {} messages a second; wait {wait_ms} ms", self.per_second);
        let mut body = ErrorBody::new(ErrorCode::RateLimited, message);
        body.retry_after_ms = Some(wait_ms);
        let frame = error(None, None, &body);
        if self.refusals > REFUSALS_MAX {
            Decision::Close(frame, CloseCode::Abuse)
        } else {
            Decision::Refuse(frame)
        }
    }

    fn strike(&mut self, rejection: &Rejection) -> Decision {
        self.strikes += 1;
        let body = ErrorBody::new(rejection.code, rejection.message.clone());
        let frame = error(rejection.method.as_deref(), rejection.req_id.as_deref(), &body);
        if self.strikes >= STRIKES_MAX {
            Decision::Close(frame, CloseCode::BadProtocol)
        } else {
            let bytes = frame.len();
            self.order(Turn::Say(frame), bytes)
        }
    }

    fn order(&mut self, turn: Turn, bytes: usize) -> Decision {
        if !self.busy {
            return Decision::Now(turn);
        }
        let is_heavy = !self.backlog.is_empty() && self.backlog_bytes + bytes > BACKLOG_BYTES_MAX;
        if is_heavy || self.backlog.len() >= BACKLOG_MAX {
            let message = "too much waits behind a subscribe that is not answered yet";
            let mut body = ErrorBody::new(ErrorCode::RateLimited, message);
            body.retry_after_ms = Some(BACKLOG_WAIT_MS);
            return Decision::Refuse(error(None, None, &body));
        }
        self.backlog_bytes += bytes;
        self.backlog.push_back((turn, bytes));
        Decision::Wait
    }

    /// A subscribe is on its way: what comes now waits.
    pub fn begin(&mut self) {
        self.busy = true;
    }

    /// The subscribe is answered.
    pub fn end(&mut self) {
        self.busy = false;
    }

    /// What may be answered next.
    pub fn next(&mut self) -> Option<Turn> {
        if self.busy {
            return None;
        }
        let (turn, bytes) = self.backlog.pop_front()?;
        self.backlog_bytes -= bytes;
        Some(turn)
    }
}

fn names(method: &Method) -> usize {
    match method {
        Method::Subscribe(subscribe) => subscribe.symbols.len(),
        Method::Unsubscribe(names) => names.len(),
        Method::List | Method::Ping => 0,
    }
}

/// An error reply, framed.
pub(super) fn error(method: Option<&str>, req_id: Option<&str>, body: &ErrorBody) -> Bytes {
    frame::text(&Reply { error: Some(body), ..Reply::new(method, req_id, false) }.encode())
}

/// The method's name for its reply.
pub(super) fn method_name(method: &Method) -> &'static str {
    match method {
        Method::Subscribe(_) => "subscribe",
        Method::Unsubscribe(_) => "unsubscribe",
        Method::List => "list",
        Method::Ping => "pong",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PING: &str = r#"{"method":"ping","req_id":1}"#;

    fn said(decision: Decision) -> String {
        match decision {
            Decision::Now(Turn::Say(frame)) | Decision::Refuse(frame) | Decision::Close(frame, _) => {
                String::from_utf8_lossy(&frame).into_owned()
            }
            other => panic!("{other:?} says nothing"),
        }
    }

    #[test]
    fn the_burst_passes_then_the_rate_holds() {
        let now = Instant::now();
        let mut session = Session::new(&Limits::default(), now);
        for _ in 0..Limits::default().msgs_burst {
            assert!(matches!(session.text(PING, now, 0), Decision::Now(Turn::Run(_))));
        }
        let refused = said(session.text(PING, now, 0));
        assert!(
            refused.contains(r#""code":"rate_limited""#) && refused.contains(r#""retry_after_ms":100"#),
            "{refused}"
        );
        let later = now + Duration::from_millis(100);
        assert!(matches!(session.text(PING, later, 0), Decision::Now(Turn::Run(_))));
        assert!(matches!(session.text(PING, later, 0), Decision::Refuse(_)));
    }

    #[test]
    fn who_never_slows_down_is_closed() {
        let now = Instant::now();
        let mut session = Session::new(&Limits::default(), now);
        let closed =
            (0..).find(|_| matches!(session.text(PING, now, 0), Decision::Close(_, CloseCode::Abuse)));
        assert_eq!(closed, Some(Limits::default().msgs_burst + REFUSALS_MAX));
    }

    #[test]
    fn nonsense_in_a_row_is_closed_but_one_good_request_forgives() {
        let now = Instant::now();
        let mut session = Session::new(&Limits::default(), now);
        for _ in 1..STRIKES_MAX {
            assert!(said(session.text("{", now, 0)).contains("bad_json"));
        }
        assert!(matches!(session.text(PING, now, 0), Decision::Now(Turn::Run(_))));
        for _ in 1..STRIKES_MAX {
            assert!(matches!(session.text("{", now, 0), Decision::Now(Turn::Say(_))));
        }
        assert!(matches!(session.text("{", now, 0), Decision::Close(_, CloseCode::BadProtocol)));
    }

    #[test]
    fn requests_wait_behind_a_subscribe_in_order() {
        let now = Instant::now();
        let mut session = Session::new(&Limits::default(), now);
        session.begin();
        for (method, id) in [("ping", 1), ("fly", 9), ("list", 2)] {
            let text = format!(r#"{{"method":"{method}","req_id":{id}}}"#);
            assert_eq!(session.text(&text, now, 0), Decision::Wait);
        }
        assert_eq!(session.next(), None);
        session.end();
        let order: Vec<String> = std::iter::from_fn(|| session.next())
            .map(|turn| match turn {
                Turn::Run(asked) => asked.request.req_id.unwrap().into(),
                Turn::Say(frame) => said(Decision::Refuse(frame)),
            })
            .collect();
        assert_eq!((&*order[0], &*order[2], order.len()), ("1", "2", 3));
        assert!(order[1].contains("unknown_method"), "{order:?}");
    }

    /// Long after the last message the rate allows many; what waits is bounded all the same, in number and in bytes.
    #[test]
    fn what_waits_is_bounded_in_number_and_in_bytes() {
        let later = Instant::now() + Duration::from_secs(3_600);
        let limits = Limits { msgs_burst: 1_000, ..Limits::default() };
        let mut session = Session::new(&limits, later);
        session.begin();
        for _ in 0..BACKLOG_MAX {
            assert_eq!(session.text(PING, later, 0), Decision::Wait);
        }
        let refused = said(session.text(PING, later, 0));
        assert!(
            refused.contains(r#""code":"rate_limited""#) && refused.contains(r#""retry_after_ms":1000"#),
            "{refused}"
        );
        let mut session = Session::new(&limits, later);
        session.begin();
        let names = vec!["X"; 2_000];
        let many = serde_json::json!({"method": "unsubscribe", "params": {"symbol": names}}).to_string();
        let fit = (0..BACKLOG_MAX).take_while(|_| session.text(&many, later, 0) == Decision::Wait).count();
        assert_eq!(fit, BACKLOG_BYTES_MAX / (many.len() + 2_000 * NAME_BYTES));
        session.end();
        assert_eq!(std::iter::from_fn(|| session.next()).count(), fit);
        assert_eq!(session.backlog_bytes, 0);
        // Larger than all together may be, but alone.
        session.begin();
        let huge = format!("{PING}{}", " ".repeat(BACKLOG_BYTES_MAX));
        assert_eq!(session.text(&huge, later, 0), Decision::Wait);
        assert!(matches!(session.text(PING, later, 0), Decision::Refuse(_)));
    }
}
