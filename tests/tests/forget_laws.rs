//! The laws of forgetting and rebuilding, on a real store: what is left is what there would be if the bundles that went had never
//! come, whatever was merged before and whatever comes late; and a record that is made anew from its kept bundles is the same.

#![expect(clippy::unwrap_used, reason = "a test that unwraps nothing fails, as it should")]

mod client;

use client::{Chore, Client};
use pofr_core::{
    coverage::Coverage,
    digest::KeyDigest,
    fact::{Fact, FactKind},
    identity::{BundleSeq, RunId},
    lifetime::{Lifetime, Row},
    merge as stitching,
    store::{ActionKind, BundleEntry, ClientReader, Ledger, TriadId},
    time::WallMicros,
};
use pofr_ingest::{Inbox, Kept, Options, forget, inbox::After, levels::Policy, merge, rebuild::Rebuild};
use pofr_schema::Access;
use pofr_tests::{
    oracle::lifetimes,
    record::everything,
    world::{Bundle, Run, history, play},
};
use proptest::{prelude::*, sample::Index};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    ops::ControlFlow,
    path::Path,
};

/// Few rows to a page, so that there are many.
const PAGE: u32 = 7;

/// Checks that urlinfo says of every process what its rows say: each URL once, from the process's first row on.
fn urls_agree(reader: &mut dyn ClientReader, rows: &[Row]) {
    let mut wanted: BTreeMap<(RunId, String), i64> = BTreeMap::new();
    for row in rows {
        let Fact::Process(process) = &row.fact else { continue };
        let at = wanted.entry((row.run, process.key.entity.digest().to_string())).or_insert(i64::MAX);
        *at = row.life.position().0.min(*at);
    }
    let wanted: BTreeSet<(String, i64)> = wanted.into_iter().map(|((_, entity), at)| (entity, at)).collect();
    let mut found = BTreeSet::new();
    let mut count = 0;
    let each = &mut |row: serde_json::Map<String, serde_json::Value>| {
        assert_eq!(row["url"], format!("http://h/{}", row["pid"]));
        assert_eq!(row["users"], "0", "nobody has an account");
        found.insert((row["entity"].as_str().unwrap().to_owned(), row["cmicros"].as_i64().unwrap()));
        count += 1;
        ControlFlow::Continue(())
    };
    reader.sql("SELECT entity, cmicros, pid, url, users FROM urlinfo", each).unwrap();
    assert_eq!(found, wanted);
    assert_eq!(count, wanted.len(), "each once");
}

/// What the ledger says of the bundles, triads aside.
fn entries(ledger: &Ledger) -> Vec<(BundleEntry, bool)> {
    ledger.bundles.iter().map(|b| (b.entry.clone(), b.triad == TriadId::NONE)).collect()
}

/// The rows as one pass would have them.
fn stitched(ledger: &Ledger, rows: Vec<Row>) -> Vec<Row> {
    stitching::stitch(rows, &Coverage::new(&ledger.spans()))
}

/// Where each run begins of which some has been forgotten. An event before that goes, whichever bundle told of it.
type Begins = HashMap<RunId, WallMicros>;

fn from_there_on(lives: impl Iterator<Item = (RunId, KeyDigest, Lifetime)>, begins: &Begins) -> Vec<String> {
    let stays = |run: &RunId, life: &Lifetime| {
        life.first_seen.is_some()
            || begins.get(run).is_none_or(|begin| life.began.max(life.ended) >= Some(*begin))
    };
    let mut lines: Vec<String> = lives
        .filter(|(run, _, life)| stays(run, life))
        .map(|(run, digest, life)| format!("{run} {digest} {life:?}"))
        .collect();
    lines.sort();
    lines
}

/// Compares, and shows what differs alone.
fn same(found: &[String], wanted: &[String]) {
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|line| !b.contains(line)).cloned().collect()
    };
    let (more, less) = (only(found, wanted), only(wanted, found));
    assert!(more.is_empty() && less.is_empty(), "found: {more:#?}\nwanted: {less:#?}");
    assert_eq!(found.len(), wanted.len(), "nothing is there twice");
}

struct Site<'a> {
    client: &'a Client,
    dir: &'a Path,
    kept: Kept,
}

impl Site<'_> {
    fn take(&self, bundles: &[&Bundle]) {
        let dir = self.dir.join("inbox");
        fs::create_dir_all(&dir).unwrap();
        for bundle in bundles {
            fs::write(dir.join(&bundle.name), &bundle.tar).unwrap();
        }
        let inbox = Inbox::new(&dir, 1 << 20).then(After::Keep(self.kept.clone()));
        let report = self.client.take(&inbox, 2);
        assert!(report.quarantined.is_empty(), "{:?}", report.quarantined);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "what is stored is kept elsewhere");
    }

    fn forget(&self, before: WallMicros) -> forget::Report {
        let mut writer = self.client.write();
        let now = WallMicros(1);
        forget::forget(writer.as_mut(), &self.kept, before, now, "tests", "the law").unwrap()
    }

    fn rebuild(&self) {
        let scratch = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", scratch.path().display());
        let scratch = pofr_schema::open(&url, Access::Write).unwrap();
        let mut target = self.client.write();
        let rebuild = Rebuild {
            cid: &self.client.cid,
            kept: &self.kept,
            scratch: &*scratch,
            options: Options { slice_micros: 500_000, ..Options::default() },
            policy: Policy { archive: merge::Options { max_triads: 2, ..Default::default() }, period: None },
            partial: false,
            who: "tests".into(),
            why: "the law".into(),
        };
        let report = rebuild.run(target.as_mut(), &mut |_| ()).unwrap();
        assert!(report.lost.is_empty() && report.quarantined.is_empty(), "{report:?}");
    }
}

/// What was recorded; how much of it comes before the forgetting; how far that is merged; up to when is forgotten.
type Course = (Vec<Run>, Index, Vec<Chore>, Index);

fn course() -> impl Strategy<Value = Course> {
    use Chore::{Archive, Archives, Period};
    let chores =
        prop_oneof![Just(vec![]), Just(vec![Archive]), Just(vec![Archives]), Just(vec![Archives, Period])];
    (history(), any::<Index>(), chores, any::<Index>())
}

fn what_is_left_is_what_came_later(client: &Client, (history, early, chores, cut): &Course) {
    let (logs, bundles) = play(history);
    let sampled: Vec<&Bundle> = bundles.iter().filter(|b| !b.spans.is_empty()).collect();
    if sampled.is_empty() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let kept = Kept::new(dir.path().join("bundles"));
    let site = Site { client, dir: dir.path(), kept };
    let (before, after) = sampled.split_at(early.index(sampled.len() + 1));
    site.take(before);
    chores.iter().for_each(|chore| client.chore(*chore));
    let all: Vec<i64> = sampled
        .iter()
        .flat_map(|b| b.spans.iter().flat_map(|s| [s.span.first.0, s.span.last.0 + 1]))
        .collect();
    let asked = WallMicros(all[cut.index(all.len())]);
    let report = site.forget(asked);
    let effective = report.before;
    assert!(effective.is_none_or(|t| report.bundles > 0 && t <= asked.max(t)), "{report:?}");
    assert_eq!(site.forget(asked), forget::Report::default(), "twice is once");
    site.take(after);

    let last = |b: &Bundle| b.spans.iter().map(|s| s.span.last).max().unwrap();
    let forgotten = |b: &&Bundle| effective.is_some_and(|t| last(b) < t);
    let lost: BTreeSet<BundleSeq> =
        bundles.iter().filter(|b| b.spans.is_empty() || forgotten(b)).map(|b| b.seq).collect();
    let mut begins = Begins::new();
    for log in &logs {
        let of_run = |there: bool| {
            sampled.iter().filter(move |b| b.spans[0].run == log.run && forgotten(b) != there).copied()
        };
        if of_run(false).next().is_some()
            && let Some(begin) = of_run(true).flat_map(|b| b.spans.iter().map(|s| s.span.first)).min()
        {
            begins.insert(log.run, begin);
        }
    }
    let agree = |rows: &[Row]| {
        let found = from_there_on(rows.iter().map(|r| (r.run, r.digest, r.life)), &begins);
        let oracle = lifetimes(&logs, &lost).into_iter().map(|(run, fact, life)| (run, fact.digest(), life));
        same(&found, &from_there_on(oracle, &begins));
    };
    let mut reader = client.read();
    let (ledger, rows) = everything(&mut *reader, PAGE);
    assert_eq!(ledger.forgotten_before(), effective);
    assert_eq!(ledger.bundles.len(), sampled.len(), "each has its entry");
    urls_agree(&mut *reader, &rows);
    agree(&stitched(&ledger, rows));
    if let Some(effective) = effective {
        let state = reader.state_at(FactKind::Process, effective.plus(-1)).unwrap();
        assert_eq!(state.forgotten, Some(effective));
        assert!(reader.state_at(FactKind::Process, effective).unwrap().forgotten.is_none());
    }
    let files = site.kept.all().unwrap().len();
    assert_eq!(files, sampled.iter().filter(|b| !forgotten(b)).count(), "kept files go, too");
    drop(reader);
    if files == 0 {
        return;
    }

    // Made anew, it is the same.
    let (ledger, _) = everything(client.read().as_mut(), PAGE);
    site.rebuild();
    let (anew, rows) = everything(client.read().as_mut(), PAGE);
    assert_eq!(entries(&anew), entries(&ledger));
    urls_agree(client.read().as_mut(), &rows);
    agree(&stitched(&anew, rows));
    assert_eq!(anew.actions.last().unwrap().kind, ActionKind::Rebuild);
    // And it goes on from there.
    site.take(&sampled);
    [Chore::Archives, Chore::Period].into_iter().for_each(|chore| client.chore(chore));
    let (ledger, rows) = everything(client.read().as_mut(), PAGE);
    assert!(ledger.live().count() <= 1);
    urls_agree(client.read().as_mut(), &rows);
    agree(&rows);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn on_sqlite(course in course()) {
        client::on_sqlite(|client| what_is_left_is_what_came_later(client, &course));
    }
}

#[cfg(feature = "mariadb")]
proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn on_mariadb(course in course()) {
        client::on_mariadb(|client| what_is_left_is_what_came_later(client, &course));
    }
}
