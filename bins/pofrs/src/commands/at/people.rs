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

    /// Returns the name, else the number.
    pub(crate) fn name(&self, uid: u32) -> String {
        self.0.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}
