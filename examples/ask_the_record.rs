//! Asks a client's record: who wrote below a directory, and where the recorder was blind.
//!
//! `cargo run -p pofr-examples --example ask_the_record sqlite:/var/lib/pofr/db /etc` does so for every client of a store. Every
//! question of `pofr_schema::query` is asked like this one.

use pofr_core::{raw::RawText, store::Store};
use pofr_schema::{
    Access,
    query::{Filter, Span, Subject, find},
};
use std::{error::Error, ops::ControlFlow};

/// So many answers are enough.
const ENOUGH: usize = 20;

/// Says who wrote below a directory, of all clients.
fn writers(store: &dyn Store, directory: &str) -> Result<Vec<String>, Box<dyn Error>> {
    let filter = Filter { under: Some(directory.into()), written: true, ..Filter::default() };
    let mut lines = Vec::new();
    for client in store.clients()? {
        let mut reader = store.read(&client.cid)?;
        // What is found comes as it is found; nothing is kept but what we keep.
        let gaps = find(reader.as_mut(), Subject::Files, &filter, Span::ALL, &mut |found| {
            let program = found.process.as_ref().map(|process| process.key.comm.escaped());
            let user = found.user.as_ref().map(RawText::escaped);
            let (program, user) = (program.unwrap_or_else(|| "?".into()), user.unwrap_or_else(|| "?".into()));
            // A gap may lie between the parts of what is found.
            lines.push(format!("{} {program} of {user}, {:?}", client.cid, found.extent()));
            if lines.len() < ENOUGH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        // Nothing found where nothing was seen means nothing.
        lines.extend(gaps.iter().map(|gap| format!("{} was blind or thin: {}", client.cid, gap.reason)));
    }
    Ok(lines)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(directory)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask_the_record sqlite:DIRECTORY PATH".into());
    };
    let store = pofr_schema::open(&url, Access::Read)?;
    for line in writers(store.as_ref(), &directory)? {
        println!("{line}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::{identity::Cid, store::ClientEntry, time::WallMicros};

    #[test]
    fn a_record_that_is_empty_has_no_answers() {
        let dir = tempfile::tempdir().expect("a directory");
        let store =
            pofr_schema::open(&format!("sqlite:{}", dir.path().display()), Access::Write).expect("a store");
        let client = ClientEntry {
            cid: Cid::parse("example").expect("an id"),
            uuid: "example".into(),
            ciduser: "0".repeat(32),
            last_ip: None,
            registered: WallMicros(0),
        };
        store.add_client(&client).expect("a client");
        assert_eq!(writers(store.as_ref(), "/etc").expect("an answer"), Vec::<String>::new());
    }
}
