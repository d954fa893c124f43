//! The client's accounts over time: what a user id was called when.

use super::QueryError;
use pofr_core::{
    fact::{Fact, FactKind, Ids},
    raw::RawText,
    store::{ClientReader, Search},
    time::WallMicros,
};
use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
};

/// A name that a user id had.
#[derive(Clone, Debug)]
struct Named {
    name: RawText,
    /// From when to when, by what is known; accounts outlive boots and are seldom sampled.
    from: WallMicros,
    until: WallMicros,
}

/// All names that user ids ever had.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts(HashMap<u32, Vec<Named>>);

impl Accounts {
    /// Reads them. A machine has some dozens, whatever else it has.
    pub(super) fn load(reader: &mut dyn ClientReader) -> Result<Self, QueryError> {
        let mut accounts: HashMap<u32, Vec<Named>> = HashMap::new();
        reader.search(&Search::all(FactKind::User), &mut |row| {
            if let Fact::User(user) = row.fact {
                let (from, until) = (row.life.earliest(), row.life.reach());
                accounts.entry(user.uid).or_default().push(Named { name: user.name, from, until });
            }
            ControlFlow::Continue(())
        })?;
        Ok(Self(accounts))
    }

    /// Returns the name that a user id had between two times: where the accounts of then are not known, the one nearest in time.
    pub(super) fn name(&self, uid: u32, from: WallMicros, until: WallMicros) -> Option<&RawText> {
        self.names(uid, from, until).next()
    }

    /// Returns every name that a user id had between two times; where the accounts of then are not known, the one nearest in time.
    fn names(&self, uid: u32, from: WallMicros, until: WallMicros) -> impl Iterator<Item = &RawText> {
        let known = self.0.get(&uid).map_or(&[][..], Vec::as_slice);
        let away = move |n: &Named| n.from.since(until).max(from.since(n.until)).max(0);
        let nearest = known.iter().map(away).min();
        known.iter().filter(move |n| Some(away(n)) == nearest).map(|n| &n.name)
    }

    /// Tells whether a user id was one of these users, given by names or numbers, between two times.
    pub(super) fn is_one(&self, wanted: &[RawText], uid: u32, from: WallMicros, until: WallMicros) -> bool {
        wanted
            .iter()
            .any(|user| number(user) == Some(uid) || self.names(uid, from, until).any(|name| name == user))
    }

    /// Returns the user ids that ever were one of these users.
    pub(super) fn ids(&self, wanted: &[RawText]) -> BTreeSet<u32> {
        let named = |uid: &u32| self.0[uid].iter().any(|n| wanted.contains(&n.name));
        self.0.keys().copied().filter(named).chain(wanted.iter().filter_map(number)).collect()
    }
}

/// Reads a user id; the number of none is none.
fn number(user: &RawText) -> Option<u32> {
    std::str::from_utf8(user.as_bytes()).ok()?.parse().ok().filter(|uid| *uid != Ids::UNKNOWN)
}
