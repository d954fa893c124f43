//! Arguments that become known when their process has been told already: they must not make another fact of it.

use crate::{
    collector::Reread,
    digest::hex,
    fact::{Cut, Fact, Process, ProcessKey, ProcessMarks, Subject},
    identity::Entity,
    limits,
    raw::RawText,
};
use hashbrown::{HashMap, HashSet};

/// Moves the arguments of processes first told of without them from the key to the details, and forgets of whom that was told
/// that are no more what they were.
pub(super) fn fill_in(facts: &mut [Fact], untold: &mut HashMap<Entity, ProcessKey>, read: Option<&[Reread]>) {
    if untold.is_empty() {
        return;
    }
    let mut same = HashSet::new();
    for fact in facts {
        if let Fact::Process(process) = fact
            && let Process { key, details } = &mut **process
            && untold.get(&key.entity).is_some_and(|told| is_same(told, key))
        {
            let arguments = key.arguments.take().or(details.arguments.take());
            details.arguments = match key.marks.arguments_cut.take() {
                Some(cut) => arguments.map(|beginning| marked(&beginning, cut)),
                None => arguments,
            };
            same.insert(key.entity);
        }
    }
    match read {
        None => untold.retain(|entity, _| same.contains(entity)),
        Some(read) => {
            for reread in read {
                if let Subject::Entity(entity) = reread.subject
                    && !same.contains(&entity)
                {
                    untold.remove(&entity);
                }
            }
        }
    }
}

/// Tells whether a process is what was told, but for its arguments, which were not known then.
fn is_same(told: &ProcessKey, key: &ProcessKey) -> bool {
    match key.marks.arguments_cut {
        None => told.same_but_arguments(key),
        Some(_) => {
            let marks = ProcessMarks { arguments_cut: None, ..key.marks.clone() };
            told.same_but_arguments(&ProcessKey { marks, ..key.clone() })
        }
    }
}

/// Marks arguments as cut in their own text: the key must stay as it was told, and details have no mark.
fn marked(beginning: &RawText, cut: Cut) -> RawText {
    let sha256 = cut.sha256.map_or_else(|| "?".to_owned(), |sha256| hex(&sha256.0[..16]));
    limits::marked(beginning.as_bytes(), cut.bytes, &sha256, limits::ARGUMENTS)
}
