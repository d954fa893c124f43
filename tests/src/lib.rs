//! What POFR's tests share: random machines, an oracle that says what their record must come to.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

pub mod days;
pub mod dice;
pub mod dns;
pub mod link_client;
pub mod machine;
pub mod mariadb;
pub mod mmdb;
pub mod mutate;
pub mod oracle;
pub mod outcome;
pub mod programs;
pub mod record;
pub mod replay;
pub mod sshd;
pub mod stores;
pub mod tmpfs;
pub mod world;
