//! Processes as a tree of parents and children.
//!
//! A process hangs below the one that has the pid of its parent at that moment, and below nothing where no process has it.
//! What a client sent may be anything, loops included: every process is printed exactly once.

use super::{Page, Shown};
use crate::output::{fact, table::cut};
use pofr_core::{fact::Fact, identity::Pid};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io::Write,
};

/// Deeper than this, a line has no room left for the process itself.
const MAX_BRANCHES: usize = 12;

/// Prints the tree.
pub(super) fn print(page: &Page<'_>, shown: &[Shown<'_>], out: &mut dyn Write) -> anyhow::Result<()> {
    let nodes: Vec<(Pid, Pid)> = shown
        .iter()
        .map(|shown| match &shown.row.fact {
            Fact::Process(p) => (p.key.entity.pid(), p.key.ppid),
            _ => (Pid(0), Pid(0)),
        })
        .collect();
    let digits = nodes.iter().map(|(pid, _)| pid.to_string().len()).max().unwrap_or(0).max(3);
    writeln!(out, "  {:>digits$} COMMAND", "PID")?;
    for placed in order(&nodes) {
        let index = placed.index;
        let Fact::Process(process) = &shown[index].row.fact else { continue };
        let mark = if shown[index].certain { ' ' } else { '?' };
        let branches = drawn(&placed);
        let mut line = format!("{mark} {:>digits$} {branches}{}", nodes[index].0, fact::ran(process));
        if !page.wide {
            cut(&mut line, page.screen.width.into());
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// A process in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Placed {
    index: usize,
    /// How many ancestors it has.
    depth: usize,
    /// For each of its ancestors below the root, as far as they are drawn, whether it is the last child.
    above: Vec<bool>,
    /// Whether it is the last child itself.
    last: bool,
}

/// Draws the lines from a process up to its ancestors.
fn drawn(placed: &Placed) -> String {
    let mut text: String = placed.above.iter().map(|last| if *last { "   " } else { "│  " }).collect();
    if placed.depth > MAX_BRANCHES + 1 {
        text.push_str(&format!("…{} ", placed.depth));
    }
    match (placed.depth, placed.last) {
        (0, _) => {}
        (_, true) => text.push_str("└─ "),
        (_, false) => text.push_str("├─ "),
    }
    text
}

/// Puts processes, given as (pid, parent's pid), in the order of a tree; each stands there once.
fn order(nodes: &[(Pid, Pid)]) -> Vec<Placed> {
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
    let mut out: Vec<Placed> = Vec::with_capacity(nodes.len());
    let mut placed = vec![false; nodes.len()];
    // Whoever hangs in a loop is reached from no root: the loop is cut open at its lowest pid.
    let loops: BTreeSet<(Pid, usize)> = nodes.iter().enumerate().map(|(i, (pid, _))| (*pid, i)).collect();
    for (pid, root) in roots.into_iter().chain(loops) {
        // For each depth below the root, whether the process last placed there is the last child.
        let mut path: Vec<bool> = Vec::new();
        let mut stack = vec![(pid, root, 0_usize, true)];
        while let Some((pid, index, depth, last)) = stack.pop() {
            if std::mem::replace(&mut placed[index], true) {
                continue;
            }
            path.truncate(depth.saturating_sub(1));
            let above = path[..path.len().min(MAX_BRANCHES)].to_vec();
            out.push(Placed { index, depth, above, last });
            if depth > 0 {
                path.push(last);
            }
            // Two facts of one pid have the same children: the first takes them.
            let below = children.remove(&pid).unwrap_or_default();
            let count = below.len();
            let next = below.into_iter().enumerate().rev();
            stack.extend(next.map(|(n, (pid, i))| (pid, i, depth + 1, n + 1 == count)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(nodes: &[(u32, u32)]) -> Vec<String> {
        let nodes: Vec<(Pid, Pid)> = nodes.iter().map(|(pid, ppid)| (Pid(*pid), Pid(*ppid))).collect();
        order(&nodes).iter().map(|p| format!("{}{}", drawn(p), nodes[p.index].0)).collect()
    }

    #[test]
    fn children_follow_their_parents() {
        let nodes = [(7, 3), (1, 0), (3, 1), (2, 1), (4, 2), (9, 8)];
        assert_eq!(tree(&nodes), ["1", "├─ 2", "│  └─ 4", "└─ 3", "   └─ 7", "9"]);
    }

    #[test]
    fn every_process_is_there_once_whatever_its_parents() {
        assert_eq!(tree(&[(5, 6), (6, 5)]), ["5", "└─ 6"], "a loop");
        assert_eq!(tree(&[(4, 4)]), ["4"], "its own parent");
        assert_eq!(
            tree(&[(1, 0), (2, 1), (2, 1), (3, 2)]),
            ["1", "├─ 2", "│  └─ 3", "└─ 2"],
            "one pid twice"
        );
        let chain: Vec<(u32, u32)> = (1..=100_000).map(|pid| (pid, pid - 1)).collect();
        let lines = tree(&chain);
        assert_eq!((lines.len(), lines[13].chars().count()), (100_000, 12 * 3 + 3 + 2), "no recursion");
        assert!(lines[99_999].ends_with("…99999 └─ 100000"), "{}", lines[99_999]);
    }
}
