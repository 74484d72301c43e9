//! Test instruments of Tickwire: exchanges that behave like the real ones, and crowds of clients. Depends on neither
//! the ingestor nor the edge, and shares no venue code with them, so that an error in one cannot hide in the other.

pub mod clients;
pub mod convert;
pub mod exchange;
