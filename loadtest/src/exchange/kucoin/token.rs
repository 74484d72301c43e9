//! Tokens of `bullet-public`: given out, checked when a socket connects, refused when too old.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Tokens remembered; beyond it the expired ones are forgotten, then the oldest.
const MAX_TOKENS: usize = 10_000;
/// Characters of a token.
const TOKEN_CHARACTERS: usize = 128;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Valid,
    Expired,
    Unknown,
}

/// The tokens given out.
#[derive(Debug)]
pub(super) struct Tokens {
    life: Duration,
    issued: Mutex<HashMap<String, Instant>>,
}

impl Tokens {
    pub(super) fn new(life: Duration) -> Self {
        Self { life, issued: Mutex::default() }
    }

    pub(super) fn issue(&self, now: Instant) -> String {
        let token: String = (0..TOKEN_CHARACTERS).map(|_| fastrand::alphanumeric()).collect();
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if issued.len() >= MAX_TOKENS {
            issued.retain(|_, at| now.duration_since(*at) < self.life);
        }
        if issued.len() >= MAX_TOKENS
            && let Some(oldest) = issued.iter().min_by_key(|(_, at)| **at).map(|(token, _)| token.clone())
        {
            issued.remove(&oldest);
        }
        issued.insert(token.clone(), now);
        token
    }

    pub(super) fn check(&self, token: &str, now: Instant) -> Verdict {
        match self.issued.lock().unwrap_or_else(PoisonError::into_inner).get(token) {
            Some(at) if now.duration_since(*at) < self.life => Verdict::Valid,
            Some(_) => Verdict::Expired,
            None => Verdict::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_for_its_life() {
        let (life, start) = (Duration::from_secs(60), Instant::now());
        let tokens = Tokens::new(life);
        let token = tokens.issue(start);
        assert_eq!(tokens.check(&token, start), Verdict::Valid);
        assert_eq!(tokens.check(&token, start + life), Verdict::Expired);
        assert_eq!(tokens.check("made up", start), Verdict::Unknown);
        assert_ne!(tokens.issue(start), token);
    }
}
