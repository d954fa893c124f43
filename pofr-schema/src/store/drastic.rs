//! What takes out of the record rather than adding to it: beginning anew, and forgetting.

use super::commit::Work;
use crate::{
    db::{Doing as _, Statement},
    ledger::{bury_bundles, clear_bundles, load_triads},
    tables::spec,
};
use pofr_core::{
    fact::FactKind,
    store::{Forgetting, Replacement, StoreError, TriadId, TriadState},
};

impl Work<'_> {
    /// Takes everything out that counts, but runs, boots and actions.
    pub(super) fn begin_anew(&mut self) -> Result<(), StoreError> {
        for triad in load_triads(self.db)? {
            if triad.is_live() {
                self.get(TriadId(triad.id))?.set_state(TriadState::Dead);
            }
        }
        clear_bundles(self.db)?;
        for kind in FactKind::ALL.into_iter().filter(|kind| !kind.in_triad()) {
            let table = spec(kind).table;
            self.db
                .execute(Statement::new("DELETE FROM ").name(table))
                .doing(format_args!("empty table {table}"))?;
        }
        self.clear_urls()
    }

    /// Swaps in triads that are smaller than those in whose place they come, and buries the bundles.
    pub(super) fn forget(&mut self, forgetting: &Forgetting) -> Result<(), StoreError> {
        for replacement in &forgetting.replace {
            self.replace(replacement)?;
        }
        for triad in &forgetting.drop {
            self.get(*triad)?.set_state(TriadState::Dead);
        }
        self.forget_urls(&forgetting.urls, &forgetting.urls_stay)?;
        bury_bundles(self.db, &forgetting.bundles)
    }

    /// Puts a triad in the place of others.
    pub(super) fn replace(&mut self, replacement: &Replacement) -> Result<(), StoreError> {
        self.get(replacement.new)?.set_state(TriadState::Live);
        self.get(replacement.new)?.clone().take_bundles(self.db, &replacement.old)?;
        for old in &replacement.old {
            self.get(*old)?.set_state(TriadState::Dead);
        }
        Ok(())
    }
}
