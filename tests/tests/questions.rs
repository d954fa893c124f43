//! Questions to random records at whatever levels, against the same questions to all rows there are, asked naively.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod client;

use client::{Chore, Client};
use pofr_core::{
    coverage::Coverage,
    fact::{Fact, FactKind},
    gap,
    identity::{BundleSeq, Pid, RunId},
    lifetime::Row,
    merge as stitching,
    store::{ClientReader, Ledger, Narrow, RowId, Search, TableRef},
    time::WallMicros,
};
use pofr_ingest::Inbox;
use pofr_schema::query::{Filter, Span, Subject, TextMatch, find};
use pofr_tests::world::{Bundle, Run, history, play};
use proptest::{prelude::*, sample::Index};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    ops::ControlFlow,
};

/// A record and what is asked of it.
#[derive(Clone, Debug)]
struct Course {
    history: Vec<Run>,
    lost: Vec<Index>,
    chores: Vec<(Index, Option<Chore>)>,
    /// The span's two ends among all the times that the record knows, a little beside them; `None`: open.
    spans: Vec<[Option<(Index, i64)>; 2]>,
    pid: u32,
}

fn course() -> impl Strategy<Value = Course> {
    let chore = prop_oneof![2 => Just(None), 2 => Just(Some(Chore::Archive)), 1 => Just(Some(Chore::Period))];
    let end = || prop::option::weighted(0.8, (any::<Index>(), -1..=1i64));
    (
        history(),
        prop::collection::vec(any::<Index>(), 0..3),
        prop::collection::vec((any::<Index>(), chore), 1..5),
        prop::collection::vec([end(), end()], 3),
        1..=4u32,
    )
        .prop_map(|(history, lost, chores, spans, pid)| Course { history, lost, chores, spans, pid })
}

/// Takes the bundles in, with chores in between.
fn fill(client: &Client, course: &Course) {
    let (_, bundles) = play(&course.history);
    let lost: BTreeSet<BundleSeq> = course.lost.iter().map(|i| bundles[i.index(bundles.len())].seq).collect();
    let mut waiting: Vec<&Bundle> =
        bundles.iter().filter(|b| !lost.contains(&b.seq) && !b.spans.is_empty()).collect();
    let dir = tempfile::tempdir().unwrap();
    let inbox = Inbox::new(dir.path(), 1 << 20);
    let some = course.chores.iter().map(|(how_many, chore)| (Some(how_many), *chore));
    for (how_many, chore) in some.chain([(None, None)]) {
        let n = how_many.map_or(waiting.len(), |n| n.index(waiting.len() + 1));
        for bundle in waiting.drain(..n) {
            fs::write(dir.path().join(&bundle.name), &bundle.tar).unwrap();
        }
        client.take(&inbox, 1);
        chore.into_iter().for_each(|chore| client.chore(chore));
    }
}

/// Every row of a kind, and the ledger.
fn everything(reader: &mut dyn ClientReader, kind: FactKind) -> (Ledger, Vec<Row>) {
    let ledger = reader.ledger().unwrap();
    let mut rows = Vec::new();
    for triad in ledger.live() {
        let mut after = RowId(0);
        loop {
            let page = reader.page(TableRef { triad: Some(triad.id), kind }, after, 50).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = *last;
            rows.extend(page.into_iter().map(|(_, row)| row));
        }
    }
    (ledger, rows)
}

fn told(row: &Row) -> String {
    format!("{} {} {:?}", row.run, row.digest, row.life)
}

/// Checks that both hold the same rows, as often.
fn same(got: &[Row], want: &[Row], what: &str) {
    let mut counts: BTreeMap<String, i32> = BTreeMap::new();
    for row in got {
        *counts.entry(told(row)).or_default() += 1;
    }
    for row in want {
        *counts.entry(told(row)).or_default() -= 1;
    }
    counts.retain(|_, n| *n != 0);
    assert!(counts.is_empty(), "{what}: +1 is too much, -1 is missing: {counts:#?}");
}

/// The joined borders of a source's record that a moment lies strictly within, by run.
fn borders(ledger: &Ledger, kind: FactKind, t: WallMicros) -> BTreeMap<RunId, WallMicros> {
    let spans = ledger.spans();
    let coverage = Coverage::new(&spans);
    let source = if kind == FactKind::Endpoint {
        pofr_core::source::Source::Endpoint
    } else {
        pofr_core::source::Source::Process
    };
    let mut found = BTreeMap::new();
    for span in spans.iter().filter(|s| s.span.source == source && s.span.last < t) {
        if let Some(pofr_core::coverage::Neighbour::Border(b)) =
            coverage.after(span.run, &source, span.span.last)
            && b.joined
            && t < b.right
        {
            found.insert(span.run, b.left);
        }
    }
    found
}

/// Tells naively whether a row is asked for.
type Wanted = Box<dyn Fn(&Row) -> bool>;

fn pid_of(fact: &Fact) -> Option<Pid> {
    match fact {
        Fact::Process(p) => Some(p.key.entity.pid()),
        Fact::File(f) => Some(f.key.entity.pid()),
        _ => None,
    }
}

fn asked(client: &Client, course: &Course) {
    fill(client, course);
    let mut reader = client.read();
    let reader = reader.as_mut();
    let pid = Pid(course.pid);
    for (kind, subject) in [
        (FactKind::Process, Subject::Processes),
        (FactKind::File, Subject::Files),
        (FactKind::Endpoint, Subject::Endpoints),
    ] {
        let (ledger, rows) = everything(reader, kind);
        let times: Vec<WallMicros> = rows
            .iter()
            .flat_map(|r| [r.life.earliest(), r.life.reach(), r.life.position()])
            .chain(ledger.bundles.iter().flat_map(|b| [b.entry.first, b.entry.last]))
            .collect();
        if times.is_empty() {
            continue;
        }
        let all_gaps = gap::of(&ledger);
        assert_eq!(reader.gaps(None, None).unwrap(), all_gaps);
        let coverage = Coverage::new(&ledger.spans());
        let whole = stitching::stitch(rows.clone(), &coverage);
        for ends in &course.spans {
            let [from, until] =
                ends.map(|end| end.map(|(i, beside)| times[i.index(times.len())].plus(beside)));
            let (from, until) = if until.is_some() && from > until { (until, from) } else { (from, until) };
            let span = Span { from, until };
            let at_border = from.map(|from| borders(&ledger, kind, from)).unwrap_or_default();
            let holds = |row: &Row| {
                let over = row.life.cut_right && row.life.right_edge() == at_border.get(&row.run).copied();
                until.is_none_or(|until| row.life.earliest() <= until)
                    && from.is_none_or(|from| row.life.reach() >= from || over)
            };
            // Gaps of a time are those of the record that touch it.
            let mut want = all_gaps.clone();
            want.retain(|g| {
                let before = until
                    .is_some_and(|until| if from == Some(until) { g.from > until } else { g.from >= until });
                let after = from.is_some_and(|from| g.to.is_some_and(|to| to <= from));
                !(before || after)
                    || g.to == Some(g.from) && from <= Some(g.from) && until.is_none_or(|u| g.from <= u)
            });
            assert_eq!(reader.gaps(from, until).unwrap(), want, "gaps from {from:?} until {until:?}");

            // Rows.
            let narrows: Vec<(Narrow, Wanted)> = vec![
                (Narrow::All, Box::new(|_: &Row| true)),
                (
                    Narrow::Pids(BTreeSet::from([pid])),
                    Box::new(move |r: &Row| kind == FactKind::Endpoint || pid_of(&r.fact) == Some(pid)),
                ),
                (
                    Narrow::Under(format!("/tmp/{}/", pid.0).as_str().into()),
                    Box::new(move |r: &Row| kind != FactKind::File || pid_of(&r.fact) == Some(pid)),
                ),
            ];
            for (narrow, wanted) in &narrows {
                let mut got = Vec::new();
                let search = Search::all(kind).narrow(narrow.clone()).within(from, until);
                reader
                    .search(&search, &mut |row| {
                        got.push(row);
                        ControlFlow::Continue(())
                    })
                    .unwrap();
                let want: Vec<Row> = rows.iter().filter(|r| holds(r) && wanted(r)).cloned().collect();
                if kind == FactKind::Endpoint && matches!(narrow, Narrow::Pids(_)) {
                    continue;
                }
                same(&got, &want, &format!("{kind:?} {narrow:?} {span:?}"));
            }

            // Facts: what stitching all of it gives, whatever the levels are.
            let path = format!("/tmp/{}/1", pid.0);
            let filters: Vec<(Filter, Wanted)> = vec![
                (Filter::default(), Box::new(|_: &Row| true)),
                (
                    Filter { pids: BTreeSet::from([pid]), ..Filter::default() },
                    Box::new(move |r: &Row| pid_of(&r.fact) == Some(pid)),
                ),
                (
                    Filter { path: Some(TextMatch::Is(path.as_str().into())), ..Filter::default() },
                    Box::new(
                        move |r: &Row| matches!(&r.fact, Fact::File(f) if f.key.path.as_bytes() == path.as_bytes()),
                    ),
                ),
                (
                    Filter { ports: BTreeSet::from([course.pid as u16]), ..Filter::default() },
                    Box::new(
                        move |r: &Row| matches!(&r.fact, Fact::Endpoint(e) if u32::from(e.key.local.port()) == pid.0),
                    ),
                ),
            ];
            for (filter, wanted) in &filters {
                let mut parts: Vec<Row> = Vec::new();
                let gaps = find(reader, subject, filter, span, &mut |found| {
                    assert_eq!(found.breaks.len() + 1, found.parts.len());
                    for (pair, between) in found.parts.windows(2).zip(&found.breaks) {
                        assert!(pair[0].digest == pair[1].digest && between.from <= between.to, "{found:?}");
                    }
                    parts.extend(found.parts);
                    ControlFlow::Continue(())
                })
                .unwrap();
                assert!(gaps.iter().all(|gap| all_gaps.contains(gap)));
                let want: Vec<Row> = whole.iter().filter(|r| holds(r) && wanted(r)).cloned().collect();
                same(&parts, &want, &format!("find {subject:?} {filter:?} {span:?}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn on_sqlite(course in course()) {
        client::on_sqlite(|client| asked(client, &course));
    }
}

#[cfg(feature = "mariadb")]
proptest! {
    // Each case makes and drops hundreds of tables, which a real server takes its time for.
    #![proptest_config(ProptestConfig { cases: 4, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn on_mariadb(course in course()) {
        client::on_mariadb(|client| asked(client, &course));
    }
}
