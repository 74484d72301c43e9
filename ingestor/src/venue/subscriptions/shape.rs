//! How venues differ in taking subscriptions, and the words between [`super::Subscriptions`] and a session.

use crate::venue::contract::Micros;

/// Most topics that a venue has for one symbol.
pub const TOPICS_MAX: usize = 3;

/// How a venue takes subscriptions.
#[derive(Debug)]
pub struct Shape {
    /// Topics of one symbol, count; at most [`TOPICS_MAX`].
    pub topics: usize,
    /// Whether one request may hold several topics.
    pub mixed: bool,
    /// Topics that the venue allows on one connection, count.
    pub units_max: usize,
    /// Topics of symbols in one request, count.
    pub units_per_request: usize,
    /// Size of one request, bytes.
    pub request_bytes: usize,
    /// What each topic of a symbol adds to a request besides the symbol's name, bytes.
    pub topic_bytes: [usize; TOPICS_MAX],
    /// Time between two messages, microseconds.
    pub interval: Micros,
    /// Time in which a request is answered, microseconds.
    pub ack_timeout: Micros,
    /// Time from the answer to the first data, microseconds.
    pub first_data: Micros,
}

/// A request that is sent now.
#[derive(Debug)]
pub struct Request<'a> {
    /// Its id.
    pub id: u64,
    /// Whether to subscribe; else to unsubscribe.
    pub subscribe: bool,
    /// Topic and the symbol's name, in this order.
    pub units: Vec<(usize, &'a str)>,
}

/// What a refusal means for the symbols of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// One of them, or their number, failed them all.
    Some,
    /// None of them is taken.
    All,
    /// The connection takes no more.
    Full,
    /// Nothing is wrong but the moment: not before this time.
    Until(Micros),
}
