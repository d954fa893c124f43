//! The attacks: each runs as an ordinary user against a real recorder, beside a bystander whose record must stay whole.
//!
//! A scene is a recorder with directories of its own (`scene.rs`), a recording is what goes on in it (`recording.rs`), and a
//! record is what the server has of it in the end (`record.rs`), which is judged the same way after every attack. The
//! attacks' programs are in `attacks/`, compiled when they are needed.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod company;
mod meter;
mod quiet;
mod record;
mod recording;
mod scene;

mod arguments;
mod floods;
mod names;
mod networks;
mod random;
mod rooms;
mod threads;
mod views;
mod waits;
