//! Receiving, in one process: a session on one end of a socket, a client that may do anything on the other.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod client;
mod cuts;
mod disk;
mod hostile;
mod seats;
mod sink;
mod streams;
