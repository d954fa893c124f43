//! Turns: which of the other network namespaces are read in a tick, within a budget of time.
//!
//! A share of the time that passes may be spent on them, all together and for each owner, the uid that made the user namespace which
//! owns them. What a reading takes beyond it is owed: by its owner until it is paid back, by all for no more than a second. Of those
//! owners who owe nothing, the one who has taken least so far is next, with the namespace that was not read for longest. So nobody
//! waits longer than that because somebody else has made many, or big ones.

use std::collections::BTreeMap;

/// The share of the time that may be spent: one in so many.
const SHARE: i64 = 33;
/// What may be saved up, µs: a reading after a quiet while need not wait.
const SAVED: i64 = 20_000;
/// What all together may owe, µs: that of a second.
const OWED: i64 = 1_000_000 / SHARE;
/// More accounts are not kept.
const MOST_ACCOUNTS: usize = 10_000;

/// The accounts.
#[derive(Debug, Default)]
pub(super) struct Turns {
    all: Purse,
    owners: BTreeMap<Option<u32>, Account>,
    now: i64,
}

/// An owner's.
#[derive(Debug)]
struct Account {
    /// What was taken so far, µs.
    taken: i64,
    purse: Purse,
}

/// What may be spent, µs; below 0 what is owed.
#[derive(Debug, Default)]
struct Purse {
    left: i64,
    /// When that was last reckoned.
    at: Option<i64>,
}

impl Purse {
    fn fill(&mut self, now: i64) -> i64 {
        let passed = self.at.replace(now).map_or(SAVED * SHARE, |at| now - at);
        self.left = self.left.saturating_add(passed / SHARE).min(SAVED);
        self.left
    }
}

impl Turns {
    /// Takes note of the time; must be called once in each tick.
    pub(super) fn begin(&mut self, now: i64) {
        self.now = now;
        self.all.fill(now);
        for account in self.owners.values_mut() {
            account.purse.fill(now);
        }
    }

    /// Chooses one of `waiting`: owner, when last read, and namespace; `None` where there is none or no time left.
    pub(super) fn next(&mut self, waiting: &[(Option<u32>, i64, u32)]) -> Option<u32> {
        if self.all.left <= 0 {
            return None;
        }
        // Who is new, or has waited for nothing, begins where the one who has taken least of those who wait stands, not below.
        let known = waiting.iter().filter_map(|(owner, ..)| self.owners.get(owner));
        let start = known.map(|account| account.taken).min().unwrap_or(0);
        let now = self.now;
        for (owner, ..) in waiting {
            self.owners.entry(*owner).or_insert_with(|| {
                let mut purse = Purse::default();
                purse.fill(now);
                Account { taken: start, purse }
            });
        }
        let may_read = waiting.iter().filter_map(|(owner, read, one)| {
            let account = self.owners.get(owner).filter(|account| account.purse.left > 0)?;
            Some((account.taken, *read, *one))
        });
        may_read.min().map(|(.., one)| one)
    }

    /// Takes note of what a reading took, µs.
    pub(super) fn charge(&mut self, owner: Option<u32>, micros: i64) {
        self.all.left = (self.all.left - micros).max(-OWED);
        if let Some(account) = self.owners.get_mut(&owner) {
            account.purse.left -= micros;
            account.taken += micros.max(1);
        }
        if self.owners.len() > MOST_ACCOUNTS {
            self.owners.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets time pass; returns how often each namespace was read, with the longest time between.
    fn run(namespaces: &[(u32, u32, i64)], seconds: i64) -> BTreeMap<u32, (usize, i64)> {
        let (mut turns, mut read, mut told) = (Turns::default(), BTreeMap::new(), BTreeMap::new());
        for now in (0..seconds * 1_000_000).step_by(300_000) {
            turns.begin(now);
            let mut waiting: Vec<_> = namespaces
                .iter()
                .map(|(owner, one, _)| (Some(*owner), *read.get(one).unwrap_or(&-1), *one))
                .collect();
            while let Some(next) = turns.next(&waiting) {
                waiting.retain(|(.., one)| *one != next);
                let (owner, one, cost) = namespaces.iter().find(|(_, one, _)| *one == next).unwrap();
                turns.charge(Some(*owner), *cost);
                let before = read.insert(*one, now).unwrap_or(0);
                let told: &mut (usize, i64) = told.entry(*one).or_default();
                *told = (told.0 + 1, told.1.max(now - before));
            }
        }
        told
    }

    #[test]
    fn all_are_read_at_every_tick_while_they_cost_little() {
        let few: Vec<_> = (0..5).map(|one| (0, one, 500)).collect();
        assert!(run(&few, 30).values().all(|(times, _)| *times == 100));
    }

    #[test]
    fn who_has_many_does_not_have_others_wait() {
        let mut all: Vec<_> = (0..1_000).map(|one| (1000, one, 5_000)).collect();
        all.push((0, 5_000, 2_000));
        let told = run(&all, 300);
        let (times, longest) = told[&5_000];
        assert!(times > 300 && longest <= 1_200_000, "{times} times, {longest} µs");
        let spent: i64 =
            all.iter().map(|(_, one, cost)| told.get(one).map_or(0, |(n, _)| *n as i64 * cost)).sum();
        assert!(spent <= 300_000_000 / SHARE + 2 * SAVED, "{spent} µs");
        // Those of the one who has many take turns.
        let most = (0..1_000).filter_map(|one| Some(told.get(&one)?.0)).max();
        let least = (0..1_000).map(|one| told.get(&one).map_or(0, |(times, _)| *times)).min();
        assert!(most.unwrap() - least.unwrap() <= 1, "{most:?} {least:?}");
    }

    #[test]
    fn one_that_costs_much_is_paid_for_by_its_owner() {
        let told = run(&[(1000, 1, 400_000), (0, 2, 1_000), (0, 3, 1_000)], 600);
        assert!((20..60).contains(&told[&1].0), "{told:?}");
        assert!(told[&2].0 > 1_500 && told[&2].1 <= 2_000_000, "{told:?}");
    }
}
