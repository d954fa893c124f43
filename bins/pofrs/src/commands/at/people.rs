//! Names for user ids, as the machine had them at that moment.

use pofr_core::{
    fact::{Fact, FactKind},
    store::{ClientReader, StoreError},
    time::WallMicros,
};
use std::collections::HashMap;

/// User names by their ids.
#[derive(Debug, Default)]
pub(crate) struct People(HashMap<u32, String>);

impl People {
    /// Reads the accounts of that moment. Accounts are sampled seldom: just before the first sample of them there are none.
    pub(crate) fn at(reader: &mut dyn ClientReader, at: WallMicros) -> Result<Self, StoreError> {
        let state = reader.state_at(FactKind::User, at)?;
        let mut names = HashMap::new();
        for row in state.certain.into_iter().chain(state.maybe) {
            if let Fact::User(user) = row.fact {
                names.entry(user.uid).or_insert_with(|| user.name.escaped());
            }
        }
        Ok(Self(names))
    }

    /// Returns the name, else the number, else `?` where the id is not known.
    pub(crate) fn name(&self, uid: Option<u32>) -> String {
        let number = || uid.map_or_else(|| "?".to_owned(), |uid| uid.to_string());
        uid.and_then(|uid| self.0.get(&uid).cloned()).unwrap_or_else(number)
    }
}
