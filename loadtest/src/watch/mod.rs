//! A watcher beside NATS: sees every published tick, and says what must never happen and how long nothing came. Pure:
//! rows and times in, counts out; who subscribes is the caller's business.
//!
//! It wants the simulated exchange's numbered market (`--numbered`), where each price shows which move of its symbol it
//! is: so a tick that is missing, or comes twice, or comes late is told from one that is not.

mod observer;
mod own;
mod row;

pub use self::observer::{Gap, Observer, Sums, Ticks};
pub use self::own::{Own, OwnSymbol};
