//! The process tree of a page: who started whom, as far as the processes shown tell. What a client sent may be anything, loops
//! included: nothing recurses, and every process stands there once.

use super::{
    gathered::Gathered,
    html::{Text, cut},
};
use pofr_core::{
    fact::{Fact, Process},
    identity::Entity,
    time::WallMicros,
};
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
};

/// Deeper than this, a page has no room left.
const DEEPEST: usize = 40;

/// Characters of a command line; the table has it whole.
const LONGEST: usize = 300;

/// A process with all that it was.
struct Node<'a> {
    process: &'a Process,
    from: WallMicros,
    until: WallMicros,
    /// What it ran, one after the other.
    ran: Vec<String>,
    lived: String,
    user: Option<String>,
}

/// Writes the tree.
pub(super) fn write(gathered: &Gathered, out: &mut String) {
    let nodes = nodes(gathered);
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for (i, parent) in parents(&nodes).into_iter().enumerate() {
        children.entry(parent).or_default().push(i);
    }
    out.push_str("<div class=\"tree\"><ul>\n");
    let mut placed = vec![false; nodes.len()];
    // Whoever hangs in a loop is reached from no root: it is placed in the end, as a root.
    let roots: Vec<usize> =
        children.get(&None).into_iter().flatten().copied().chain(0..nodes.len()).collect();
    let mut depth = 0;
    for root in roots {
        let mut stack = vec![(root, 0_usize)];
        while let Some((i, at)) = stack.pop() {
            if std::mem::replace(&mut placed[i], true) {
                continue;
            }
            let at = at.min(DEEPEST);
            step(out, &mut depth, at);
            item(out, &nodes[i]);
            let below = children.get(&Some(i)).into_iter().flatten().rev();
            stack.extend(below.map(|child| (*child, at + 1)));
        }
    }
    step(out, &mut depth, 0);
    out.push_str("</ul></div>\n");
}

/// Opens or closes lists until the depth is right.
fn step(out: &mut String, depth: &mut usize, to: usize) {
    while *depth < to {
        out.push_str("<li><ul>\n");
        *depth += 1;
    }
    while *depth > to {
        out.push_str("</ul></li>\n");
        *depth -= 1;
    }
}

fn item(out: &mut String, node: &Node<'_>) {
    let pid = node.process.key.entity.pid();
    let user = node.user.as_ref().map(|user| format!(" ({})", Text(user))).unwrap_or_default();
    let ran: Vec<String> = node.ran.iter().map(|ran| Text(cut(ran, LONGEST)).to_string()).collect();
    let ran = ran.join(" <span class=\"when\">→</span> ");
    let _ =
        writeln!(out, "<li><b>{pid}</b> {ran}{user} <span class=\"when\">{}</span></li>", Text(&node.lived));
}

fn nodes(gathered: &Gathered) -> Vec<Node<'_>> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    let mut by_entity: HashMap<Entity, usize> = HashMap::new();
    for found in &gathered.processes {
        let Fact::Process(process) = &found.row().fact else { continue };
        let extent = found.extent();
        let ran = crate::output::fact::ran(process);
        let node = by_entity.entry(process.key.entity).or_insert_with(|| {
            nodes.push(Node {
                process,
                from: extent.from,
                until: extent.until,
                ran: Vec::new(),
                lived: gathered.lived(found),
                user: found.user.as_ref().map(pofr_core::raw::RawText::escaped),
            });
            nodes.len() - 1
        });
        let node = &mut nodes[*node];
        node.until = node.until.max(extent.until);
        if node.ran.last() != Some(&ran) {
            node.ran.push(ran);
        }
    }
    nodes
}

/// Finds each process's parent: the one with that pid that had begun by then, the youngest where several did.
fn parents(nodes: &[Node<'_>]) -> Vec<Option<usize>> {
    let mut by_pid: HashMap<u32, Vec<usize>> = HashMap::new();
    for (i, node) in nodes.iter().enumerate() {
        by_pid.entry(node.process.key.entity.pid().0).or_default().push(i);
    }
    let parent = |i: usize| {
        let node = &nodes[i];
        let with_pid = by_pid.get(&node.process.key.ppid.0).into_iter().flatten().copied();
        let fits = |p: &usize| *p != i && nodes[*p].from <= node.from && nodes[*p].until >= node.from;
        with_pid.filter(fits).max_by_key(|p| nodes[*p].from)
    };
    (0..nodes.len()).map(parent).collect()
}
