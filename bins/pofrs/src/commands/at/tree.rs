//! Processes as a tree of parents and children.
//!
//! A process hangs below the one that has the pid of its parent at that moment, and below nothing where no process has it.
//! What a client sent may be anything, loops included: every process is printed exactly once.

use super::{Page, Shown, ps};
use crate::output::table::{Fit, Listing};
use pofr_core::{fact::Fact, identity::Pid};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::Write,
};

/// Deeper than this, a line has no room left for the process itself.
const MAX_INDENT: usize = 24;

/// Prints the tree.
pub(super) fn print(page: &Page<'_>, shown: &[Shown<'_>], out: &mut dyn Write) -> anyhow::Result<()> {
    let columns = [("", Fit::Whole), ("PID", Fit::Number), ("COMMAND", Fit::Text)];
    let mut listing = Listing::new(page.screen, !page.wide, &columns);
    let nodes: Vec<(Pid, Pid)> = shown
        .iter()
        .map(|shown| match &shown.row.fact {
            Fact::Process(p) => (p.key.entity.pid(), p.key.ppid),
            _ => (Pid(0), Pid(0)),
        })
        .collect();
    for (i, depth) in order(&nodes) {
        let Fact::Process(process) = &shown[i].row.fact else { continue };
        let indent = "  ".repeat(depth.min(MAX_INDENT));
        let deep = if depth > MAX_INDENT { format!("({depth}) ") } else { String::new() };
        let command = format!("{indent}{deep}{}", ps::command(process));
        listing.row([shown[i].mark(), nodes[i].0.to_string(), command]);
    }
    listing.print(out)?;
    Ok(())
}

/// Puts processes, given as (pid, parent's pid), in the order of a tree; returns each one's index and depth once.
fn order(nodes: &[(Pid, Pid)]) -> Vec<(usize, usize)> {
    let pids: HashSet<Pid> = nodes.iter().map(|(pid, _)| *pid).collect();
    let mut children: BTreeMap<Pid, BTreeSet<(Pid, usize)>> = BTreeMap::new();
    let mut roots = BTreeSet::new();
    for (i, (pid, parent)) in nodes.iter().enumerate() {
        if pids.contains(parent) && parent != pid {
            children.entry(*parent).or_default().insert((*pid, i));
        } else {
            roots.insert((*pid, i));
        }
    }
    let mut out = Vec::with_capacity(nodes.len());
    let mut printed = vec![false; nodes.len()];
    // Whoever hangs in a loop is reached from no root: the loop is cut open at its lowest pid.
    let loops: BTreeSet<(Pid, usize)> = nodes.iter().enumerate().map(|(i, (pid, _))| (*pid, i)).collect();
    for (pid, root) in roots.into_iter().chain(loops) {
        let mut stack = vec![(pid, root, 0)];
        while let Some((pid, i, depth)) = stack.pop() {
            if std::mem::replace(&mut printed[i], true) {
                continue;
            }
            out.push((i, depth));
            // Two facts of one pid have the same children: the first takes them.
            let below = children.remove(&pid).unwrap_or_default();
            stack.extend(below.into_iter().rev().map(|(pid, i)| (pid, i, depth + 1)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(nodes: &[(u32, u32)]) -> Vec<(u32, usize)> {
        let nodes: Vec<(Pid, Pid)> = nodes.iter().map(|(pid, ppid)| (Pid(*pid), Pid(*ppid))).collect();
        order(&nodes).into_iter().map(|(i, depth)| (nodes[i].0.0, depth)).collect()
    }

    #[test]
    fn children_follow_their_parents() {
        let nodes = [(7, 3), (1, 0), (3, 1), (2, 1), (9, 8)];
        assert_eq!(tree(&nodes), [(1, 0), (2, 1), (3, 1), (7, 2), (9, 0)]);
    }

    #[test]
    fn every_process_is_there_once_whatever_its_parents() {
        assert_eq!(tree(&[(5, 6), (6, 5)]), [(5, 0), (6, 1)], "a loop");
        assert_eq!(tree(&[(4, 4)]), [(4, 0)], "its own parent");
        assert_eq!(
            tree(&[(1, 0), (2, 1), (2, 1), (3, 2)]),
            [(1, 0), (2, 1), (3, 2), (2, 1)],
            "one pid twice"
        );
        let chain: Vec<(u32, u32)> = (1..=100_000).map(|pid| (pid, pid - 1)).collect();
        assert_eq!(tree(&chain).len(), 100_000, "no recursion");
    }
}
