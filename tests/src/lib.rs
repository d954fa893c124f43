<<<<<<< HEAD
//! What POFR's tests share: real servers that they start for themselves.

pub mod mariadb;
=======
//! What POFR's tests share: random machines, an oracle that says what their record must come to.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

pub mod oracle;
pub mod world;
>>>>>>> main
