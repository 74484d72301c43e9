//! The edge: subscribes to a symbol when the first client asks, and pushes its rows to every client. Modules in the
//! order data flows.

pub mod feed;
pub mod hub;
pub mod ws;

pub mod accept;
pub mod address;
pub mod admission;
pub mod choice;
pub mod farewell;
pub mod listen;
pub mod memory;
pub mod rest;

pub mod app;
pub mod config;
