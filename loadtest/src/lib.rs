//! Test instruments of Tickwire: exchanges that behave like the real ones, crowds of clients, and a watcher of what is
//! published between them. Depends on neither the ingestor nor the edge, and shares no venue code with them, so that an
//! error in one cannot hide in the other.

pub mod clients;
pub mod convert;
pub mod exchange;
pub mod watch;
