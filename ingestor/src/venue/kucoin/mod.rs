//! KuCoin spot, classic API: an invitation by REST before each connect, then two topics a symbol (`/market/ticker`,
//! `/market/snapshot`) that make one row. Official pages: github.com/Kucoin/kucoin-universal-sdk, `spec/ws`, and
//! kucoin.com/docs, "WebSocket introduction".

pub mod codec;
pub mod discovery;
pub mod facts;
pub mod session;

#[cfg(test)]
mod tests;

use super::contract::{AnswerError, Endpoint, Instrument, RestRequest, Session, Turnover, Venue};
use super::facts::{Facts, RestLimits};

/// The venue `kucoin`.
#[derive(Debug)]
pub struct Kucoin;

impl Venue for Kucoin {
    fn id(&self) -> &'static str {
        "kucoin"
    }

    fn facts(&self) -> &'static Facts {
        &facts::FACTS
    }

    fn discovery(&self) -> RestRequest {
        discovery::SYMBOLS
    }

    fn instruments(&self, answer: &[u8]) -> Result<Vec<Instrument>, AnswerError> {
        discovery::read_symbols(answer)
    }

    fn rest_limits(&self) -> Option<&'static RestLimits> {
        Some(&facts::REST_LIMITS)
    }

    fn turnover(&self) -> Option<RestRequest> {
        Some(discovery::TICKERS)
    }

    fn turnovers(&self, answer: &[u8]) -> Result<Vec<Turnover>, AnswerError> {
        discovery::read_turnovers(answer)
    }

    fn invitation(&self) -> Option<RestRequest> {
        // Each time anew: a token opens connections for 24 h only, and the hosts change.
        Some(discovery::BULLET)
    }

    fn endpoint(&self, ws_url: Option<&str>, answer: &[u8], nonce: u64) -> Result<Endpoint, AnswerError> {
        discovery::read_bullet(ws_url, answer, nonce)
    }

    fn session(&self, endpoint: &Endpoint) -> Box<dyn Session> {
        Box::new(session::KucoinSession::new(endpoint.heartbeat))
    }
}
