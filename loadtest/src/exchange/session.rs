//! What a simulated venue's protocol is made of: messages and time in, actions out. No socket, no clock, no spawn.

use tokio::time::Instant;

use super::hub::ChannelId;

/// A frame of a client.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping; the socket has already answered it.
    Ping,
    /// A pong with its payload.
    Pong(&'a [u8]),
}

/// What a session wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a text message.
    Send(String),
    /// Send a ping with this payload.
    Ping(String),
    /// Deliver a channel from now on.
    Join(ChannelId),
    /// Deliver it no longer.
    Leave(ChannelId),
    /// Count a subscribe that was granted.
    Subscribed {
        /// False for the streams of a URL.
        by_message: bool,
        /// Streams that the connection did not hold before.
        streams: usize,
        /// Of them, those that stay silent.
        muted: usize,
    },
    /// Count an unsubscribe, and the streams that it took away.
    Unsubscribed(usize),
    /// Deliver frames with (true) or without their wrapping.
    Wrap(bool),
    /// Count a broken limit of this kind.
    Violation(&'static str),
    /// Close with a code and a reason. Ends the session.
    Close(u16, &'static str),
    /// Drop the connection without a close frame, after what was sent. Ends the session.
    Cut,
}

/// Protocol of one client connection.
pub trait Session: Send + 'static {
    /// True when this connection's frames begin wrapped.
    fn wrapped(&self) -> bool;
    /// The connection is open.
    fn open(&mut self, now: Instant, actions: &mut Vec<Action>);
    /// A frame came.
    fn receive(&mut self, incoming: Incoming<'_>, now: Instant, actions: &mut Vec<Action>);
    /// When [`Session::expire`] wants to be called.
    fn deadline(&self) -> Instant;
    /// The deadline has passed.
    fn expire(&mut self, now: Instant, actions: &mut Vec<Action>);
    /// Streams this connection holds, silent ones included.
    fn streams(&self) -> usize;
    /// Notice that the connection will be cut soon, where the venue gives one.
    fn farewell(&self) -> Option<String>;
}
