//! The one place where wall time enters. Everything else is handed a number, so that it can be tested and replayed.

use std::time::Duration;
#[expect(clippy::disallowed_types, reason = "this module is where wall time enters")]
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall time in microseconds since the Unix epoch, UTC. A clock set before 1970 reads as 0.
pub fn now_us() -> u64 {
    #[expect(clippy::disallowed_types, reason = "this module is where wall time enters")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Wall time in milliseconds since the Unix epoch, UTC.
pub fn now_ms() -> u64 {
    now_us() / 1_000
}
