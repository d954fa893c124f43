//! Where a process comes from, and what came of it.

use super::{
    Extent, QueryError,
    accounts::Accounts,
    ancestry::{Ancestry, boot},
    find::holder,
    processes::Processes,
};
use pofr_core::{
    fact::{Fact, FactKind},
    gap::Gap,
    identity::{Entity, Pid},
    lifetime::{Lifetime, Row},
    raw::RawText,
    source::Source,
    store::{ClientReader, Narrow, Search},
    time::WallMicros,
};
use serde::Serialize;
use std::{
    collections::{BTreeSet, HashMap},
    ops::ControlFlow,
};

/// So many processes a tree may have.
const NODES: usize = 50_000;

/// A process with its ancestors and descendants.
#[derive(Clone, Debug, Serialize)]
pub struct Tree {
    /// Its parent at that time, that one's parent, and so on: the nearest first; without children.
    pub ancestors: Vec<Node>,
    /// The process, with all of its descendants.
    pub root: Node,
    /// Whether there are more descendants than a tree may have (50,000).
    pub is_cut: bool,
    /// The gaps of processes that its life touches.
    pub gaps: Vec<Gap>,
}

/// A process over all of its life.
#[derive(Clone, Debug, Serialize)]
pub struct Node {
    /// The process.
    pub entity: Entity,
    /// Its facts in the order of time: a program that it ran, other ids, the zombie. At least one.
    pub facts: Vec<Row>,
    /// From when to when it lived.
    pub extent: Extent,
    /// The name of its user, by the client's accounts at that time.
    pub user: Option<RawText>,
    /// Its parents in the order of time; more than one where it was given another (a parent that died).
    pub parents: Vec<Parent>,
    /// Its children, by their begins. A child that was given another parent is with its first one.
    pub children: Vec<Node>,
}

/// A parent from a time on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parent {
    /// Since when it is known to be the parent.
    pub since: WallMicros,
    /// Its process id.
    pub pid: Pid,
    /// The process, where the record has it.
    pub entity: Option<Entity>,
}

/// Returns the tree of the process that had the id `pid` at a time; `None` where the record shows none.
///
/// Where two runs claim that time, the later one answers.
///
/// # Errors
/// Where the store fails.
pub fn tree(reader: &mut dyn ClientReader, pid: Pid, at: WallMicros) -> Result<Option<Tree>, QueryError> {
    let state = reader.state_at(FactKind::Process, at)?;
    let is_it = |row: &&Row| holder(&row.fact).is_some_and(|entity| entity.pid() == pid);
    let began = |row: &&Row| (row.life.position(), row.run);
    let certain = state.certain.iter().filter(is_it).max_by_key(began);
    let Some(row) = certain.or_else(|| state.maybe.iter().filter(is_it).max_by_key(began)) else {
        return Ok(None);
    };
    let (Some(entity), Fact::Process(process)) = (holder(&row.fact), &row.fact) else { return Ok(None) };
    let accounts = Accounts::load(reader)?;
    let mut ancestry = Ancestry::default();
    let chain = ancestry.ancestors(reader, process, at)?;
    let mut ancestors = Vec::new();
    for row in chain {
        let Some(entity) = holder(&row.fact) else { continue };
        let facts = Processes::read(reader, &BTreeSet::from([entity]), None, None)?;
        ancestors.extend(node(reader, &mut ancestry, &accounts, entity, facts.of(&entity))?);
    }
    let facts = Processes::read(reader, &BTreeSet::from([entity]), None, None)?;
    let Some(root) = node(reader, &mut ancestry, &accounts, entity, facts.of(&entity))? else {
        return Ok(None);
    };
    let mut gaps = reader.gaps(Some(root.extent.from), Some(root.extent.until))?;
    gaps.retain(|gap| gap.source.is_none() || gap.source == Some(Source::Process));
    let (mut nodes, is_cut) = descendants(reader, &mut ancestry, &accounts, root)?;
    // Children stand behind their parents, so from the last on each finds its parent whole.
    let mut children: HashMap<usize, Vec<Node>> = HashMap::new();
    while let Some((parent, mut node)) = nodes.pop() {
        node.children = children.remove(&nodes.len()).unwrap_or_default();
        node.children.sort_by_key(|child| (child.extent.from, child.entity));
        match parent {
            Some(parent) => children.entry(parent).or_default().push(node),
            None => return Ok(Some(Tree { ancestors, root: node, is_cut, gaps })),
        }
    }
    Ok(None)
}

/// Nodes without their children, each with its parent's place, and whether there are more than [`NODES`].
type Nodes = (Vec<(Option<usize>, Node)>, bool);

/// Finds all descendants, generation by generation.
fn descendants(
    reader: &mut dyn ClientReader,
    ancestry: &mut Ancestry,
    accounts: &Accounts,
    root: Node,
) -> Result<Nodes, QueryError> {
    let mut known = BTreeSet::from([root.entity]);
    let mut nodes = vec![(None, root)];
    let mut generation = 0..1;
    while !generation.is_empty() {
        let parents = &nodes[generation.clone()];
        let pids = parents.iter().map(|(_, node)| node.entity.pid()).collect();
        let times = || parents.iter().map(|(_, node)| reach(node));
        let search = Search::all(FactKind::Process)
            .narrow(Narrow::Parents(pids))
            .within(times().map(|(from, _)| from).min(), times().map(|(_, until)| until).max());
        let mut found = BTreeSet::new();
        reader.search(&search, &mut |row| {
            found.extend(holder(&row.fact).filter(|entity| !known.contains(entity)));
            // Somebody may have made processes without end.
            if known.len() + found.len() > NODES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let facts = Processes::read(reader, &found, None, None)?;
        let mut next = Vec::new();
        for entity in found {
            let of_entity = facts.of(&entity);
            let Some(Fact::Process(first)) = of_entity.first().map(|row| &row.fact) else { continue };
            let begin = of_entity[0].life.position();
            let is_parent = |(_, (_, node)): &(usize, &(Option<usize>, Node))| {
                let (from, until) = reach(node);
                node.entity.pid() == first.key.ppid
                    && boot(&node.entity) == boot(&entity)
                    && from <= begin
                    && begin <= until
            };
            // Of those that had the id in turn the last.
            let there = generation.clone().zip(parents).filter(is_parent);
            let Some((parent, _)) = there.max_by_key(|(_, (_, node))| node.extent.from) else { continue };
            if let Some(node) = node(reader, ancestry, accounts, entity, of_entity)? {
                known.insert(entity);
                next.push((Some(parent), node));
            }
        }
        generation = nodes.len()..nodes.len() + next.len();
        nodes.extend(next);
        if nodes.len() >= NODES {
            return Ok((nodes, true));
        }
    }
    Ok((nodes, false))
}

/// Returns the earliest and the latest known time of a process.
fn reach(node: &Node) -> (WallMicros, WallMicros) {
    let lives = || node.facts.iter().map(|row| &row.life);
    (
        lives().map(Lifetime::earliest).min().unwrap_or_default(),
        lives().map(Lifetime::reach).max().unwrap_or_default(),
    )
}

/// Makes a node of a process's facts, without children; `None` where it has none.
fn node(
    reader: &mut dyn ClientReader,
    ancestry: &mut Ancestry,
    accounts: &Accounts,
    entity: Entity,
    facts: &[Row],
) -> Result<Option<Node>, QueryError> {
    let mut parents: Vec<Parent> = Vec::new();
    let mut user = None;
    for row in facts {
        let Fact::Process(process) = &row.fact else { continue };
        let since = row.life.position();
        let named = || accounts.name(process.key.ids.ruid?, since, since).cloned();
        user = user.or_else(named);
        if parents.last().is_none_or(|parent| parent.pid != process.key.ppid) {
            let parent = ancestry.parent(reader, process, since)?;
            let parent = parent.and_then(|row| holder(&row.fact));
            parents.push(Parent { since, pid: process.key.ppid, entity: parent });
        }
    }
    if facts.is_empty() {
        return Ok(None);
    }
    let (facts, extent) = (facts.to_vec(), Extent::of(facts));
    Ok(Some(Node { entity, facts, extent, user, parents, children: Vec::new() }))
}
