//! The questions of an investigator, over three slices with a hole before the last.
//!
//! ```text
//!          0        10 11       20   30       40
//! sshd 50  [-----------------------][----------      root, listens on 22
//! sh 100        5[-----------------][------35        toma's, from 198.51.100.7, by user anna from 30 on
//! curl 101          8[---13                          its child, to 203.0.113.9:443, writes /tmp/drop/x
//! id 102                    15[-16                   curl's child, whose parent is 1 from 14 on
//! ```

mod record;

use super::{on_every_store, place::Place, samples::at};
use crate::query::{
    Bound, Change, Direction, Filter, FirstOf, Found, Had, Happening, Span, Subject, TextMatch, TimelineOf,
    diff, find, first_seen, timeline, tree, who_had, who_opened,
};
use pofr_core::{
    digest::Sha256,
    fact::{Fact, TcpState},
    identity::Pid,
    lifetime::{Row, Standing},
    raw::RawText,
    store::ClientReader,
    time::WallMicros,
};
use record::{entity, marked, record};
use std::{collections::BTreeSet, ops::ControlFlow};

on_every_store!(
    what_is_found_is_whole,
    conditions_narrow,
    marks_are_asked_for,
    who_shares_a_table_has_its_files,
    who_connected,
    where_it_comes_from,
    in_order,
    what_changed,
    for_the_first_time,
);

fn ask(reader: &mut dyn ClientReader, subject: Subject, filter: &Filter, span: Span) -> Vec<Found> {
    let mut all = Vec::new();
    find(reader, subject, filter, span, &mut |found| {
        all.push(found);
        ControlFlow::Continue(())
    })
    .unwrap();
    all
}

fn names(found: &[Found]) -> Vec<String> {
    found.iter().map(|found| name(found.row())).collect()
}

fn name(row: &Row) -> String {
    match &row.fact {
        Fact::Process(p) => format!("{} {}", p.key.comm, p.key.entity.pid()),
        Fact::File(f) => f.key.path.to_string(),
        Fact::Endpoint(e) => e.key.remote.to_string(),
        Fact::User(user) => user.name.to_string(),
        other => format!("{other:?}"),
    }
}

fn within(from: i64, until: i64) -> Span {
    Span { from: Some(at(from)), until: Some(at(until)) }
}

fn what_is_found_is_whole(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    record(&mut *writer);
    let reader = &mut *writer;
    let all = ask(reader, Subject::Processes, &Filter::default(), Span::ALL);
    assert_eq!(names(&all), ["sshd 50", "sh 100", "curl 101", "id 102", "id 102"]);
    let shell = &all[1];
    assert_eq!(shell.parts.len(), 2, "{shell:?}");
    assert_eq!((shell.parts[0].life.first_seen, shell.parts[0].life.last_seen), (Some(at(5)), Some(at(20))));
    assert_eq!(shell.breaks[0].why, "bundle 3 is missing");
    assert_eq!((shell.breaks[0].from, shell.breaks[0].to), (at(20), at(30)));
    assert_eq!((shell.extent().until, shell.extent().ended), (at(35), Bound::Sampled));
    assert_eq!(shell.user, Some("toma".into()));
    let curl = &all[2];
    assert_eq!((curl.parts.len(), curl.extent().from, curl.extent().until), (1, at(8), at(13)));
    // A span shows the same whole, and what went on over a border within it.
    for (from, until) in [(9, 9), (12, 12)] {
        let some = ask(reader, Subject::Processes, &Filter::default(), within(from, until));
        assert_eq!(names(&some), ["sshd 50", "sh 100", "curl 101"]);
        assert_eq!(some[2].extent(), curl.extent());
        assert_eq!(some[1].parts, shell.parts[..1], "behind the hole is outside the span");
    }
    let between = Span::at(at(10).plus(500_000));
    assert_eq!(names(&ask(reader, Subject::Processes, &Filter::default(), between)).len(), 3);
    assert_eq!(ask(reader, Subject::Processes, &Filter::default(), within(41, 50)).len(), 0);
    // Of the gap tells whoever touches it.
    let gaps = |reader: &mut dyn ClientReader, from, until| {
        find(reader, Subject::Files, &Filter::default(), within(from, until), &mut |_| ControlFlow::Break(()))
            .unwrap()
    };
    assert_eq!(gaps(reader, 0, 19), []);
    assert_eq!(gaps(reader, 25, 26)[0].reason, "bundle 3 is missing");
}

fn conditions_narrow(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    record(&mut *writer);
    let reader = &mut *writer;
    let is = |text: &str| Some(TextMatch::Is(text.into()));
    let user = |name: &str| vec![RawText::from(name)];
    let none: [&str; 0] = [];
    let mut check = |subject, filter: Filter, want: &[&str]| {
        assert_eq!(names(&ask(reader, subject, &filter, Span::ALL)), want, "{filter:?}");
    };
    let all = Filter::default;
    let (ps, files, net) = (Subject::Processes, Subject::Files, Subject::Endpoints);
    check(ps, Filter { users: user("toma"), ..all() }, &["sh 100", "curl 101", "id 102", "id 102"]);
    check(ps, Filter { users: user("anna"), ..all() }, &["sh 100"]);
    check(ps, Filter { users: user("0"), ..all() }, &["sshd 50"]);
    check(ps, Filter { users: user("nobody"), ..all() }, &none);
    check(ps, Filter { command: is("curl"), ..all() }, &["curl 101"]);
    check(ps, Filter { command: Some(TextMatch::glob("s*").unwrap()), ..all() }, &["sshd 50", "sh 100"]);
    check(ps, Filter { arguments: Some(TextMatch::Contains("-o /tmp".into())), ..all() }, &["curl 101"]);
    check(ps, Filter { exe: is("/usr/bin/sh"), ..all() }, &["sh 100"]);
    check(ps, Filter { exe_sha256: Some(Sha256::of(b"curl")), ..all() }, &["curl 101"]);
    check(ps, Filter { ppids: BTreeSet::from([Pid(100)]), ..all() }, &["curl 101"]);
    check(ps, Filter { unit: is("ssh.service"), command: is("sh"), ..all() }, &["sh 100"]);
    check(ps, Filter { unit: is("cron.service"), ..all() }, &none);
    check(ps, Filter { path: is("/tmp/drop/x"), ..all() }, &none);
    check(files, Filter { path: is("/tmp/drop/x"), ..all() }, &["/tmp/drop/x"]);
    check(files, Filter { under: Some("/tmp/drop".into()), ..all() }, &["/tmp/drop/x"]);
    check(files, Filter { under: Some("/tmp/".into()), ..all() }, &["/tmp/dropped", "/tmp/drop/x"]);
    check(files, Filter { written: true, ..all() }, &["/tmp/drop/x"]);
    check(files, Filter { command: is("sh"), ..all() }, &["/tmp/dropped"]);
    check(
        files,
        Filter { users: user("toma"), exe_sha256: Some(Sha256::of(b"curl")), ..all() },
        &["/tmp/drop/x"],
    );
    check(net, Filter { ports: BTreeSet::from([443]), ..all() }, &["203.0.113.9:443"]);
    check(
        net,
        Filter { users: user("toma"), states: vec![TcpState::Established], ..all() },
        &["198.51.100.7:4000", "203.0.113.9:443"],
    );
    check(net, Filter { countries: vec!["no".into()], ..all() }, &["198.51.100.7:4000"]);
    check(net, Filter { listening: true, ..all() }, &["0.0.0.0:0"]);
    // 22:13:20 UTC and some seconds.
    let time = |h, m, s| jiff::civil::Time::new(h, m, s, 0).unwrap();
    let daily = |a, b| Filter { daily: Some((a, b)), written: true, ..all() };
    check(files, daily(time(22, 13, 30), time(22, 13, 31)), &["/tmp/drop/x"]);
    check(files, daily(time(22, 13, 40), time(22, 13, 29)), &none);
    let found = ask(reader, files, &Filter { written: true, ..all() }, Span::ALL);
    let holder = found[0].process.as_ref().unwrap();
    assert_eq!((holder.key.comm.to_string(), found[0].user.clone()), ("curl".into(), Some("toma".into())));
}

fn marks_are_asked_for(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    marked(&mut *writer);
    let mut check = |filter: Filter, want: &[&str]| {
        assert_eq!(names(&ask(&mut *writer, Subject::Processes, &filter, Span::ALL)), want, "{filter:?}");
    };
    let all = Filter::default;
    let exe = |path: &str| Filter { exe: Some(TextMatch::Is(path.into())), ..all() };
    check(Filter { deleted: true, ..all() }, &["gone 201", "m 202"]);
    check(exe("/opt/gone"), &["gone 201"]);
    check(exe("/opt/gone (deleted)"), &["gone 201"]);
    check(exe("/opt/app (deleted)"), &["app 200"]);
    check(exe("/opt/app"), &[]);
    check(Filter { users: vec!["4294967295".into()], ..all() }, &[]);
    check(Filter { users: vec!["1000".into()], ..all() }, &["clone 205"]);
    check(Filter { command: Some(TextMatch::Is("t".into())), ..all() }, &["t 203"]);
}

fn who_shares_a_table_has_its_files(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    marked(&mut *writer);
    let mut told = |filter: Filter, span| -> Vec<(String, u32, Option<u32>)> {
        let found = ask(&mut *writer, Subject::Files, &filter, span);
        let pid = |found: &Found| found.process.as_ref().unwrap().key.entity.pid().0;
        let of =
            |found: &Found| (name(found.row()), pid(found), found.shared_by.map(|sharer| sharer.pid().0));
        found.iter().map(of).collect()
    };
    let all = Filter::default;
    let pid = |pid| Filter { pids: [Pid(pid)].into(), ..all() };
    let own = [("/tmp/shared".to_owned(), 204, None)];
    let shared = [("/tmp/shared".to_owned(), 204, Some(205))];
    assert_eq!(told(pid(204), Span::ALL), own);
    assert_eq!(told(pid(205), Span::ALL), shared);
    assert_eq!(told(pid(205), within(3, 4)), shared);
    assert_eq!(told(pid(203), Span::ALL), []);
    assert_eq!(told(Filter { users: vec!["1000".into()], ..all() }, Span::ALL), shared);
    assert_eq!(told(Filter { users: vec!["0".into()], ..all() }, Span::ALL), own);
    let mine = Filter { path: Some(TextMatch::Is("/tmp/shared".into())), ..pid(205) };
    assert_eq!(told(mine, Span::ALL), shared);
}

fn who_connected(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    record(&mut *writer);
    let reader = &mut *writer;
    let nets = |text: &str| vec![text.parse().unwrap()];
    let all = ask(reader, Subject::Endpoints, &Filter::default(), Span::ALL);
    let directions: Vec<_> = all.iter().map(|found| found.direction.unwrap()).collect();
    assert_eq!(directions, [Direction::Listening, Direction::Inbound, Direction::Outbound]);
    for (filter, want) in [
        (Filter { from_ip: nets("198.51.100.0/24"), ..Filter::default() }, vec!["198.51.100.7:4000"]),
        (Filter { to_ip: nets("198.51.100.0/24"), ..Filter::default() }, vec![]),
        (Filter { to_ip: nets("203.0.113.0/24"), ..Filter::default() }, vec!["203.0.113.9:443"]),
        (Filter { from_ip: nets("192.0.0.0/8"), ..Filter::default() }, vec!["203.0.113.9:443"]),
        (
            Filter { ip: nets("192.0.2.1/32"), ..Filter::default() },
            vec!["198.51.100.7:4000", "203.0.113.9:443"],
        ),
    ] {
        assert_eq!(names(&ask(reader, Subject::Endpoints, &filter, Span::ALL)), want, "{filter:?}");
    }
    let had = who_had(reader, Had::Socket("203.0.113.9:443".parse().unwrap()), at(12)).unwrap();
    assert_eq!(had.len(), 1);
    assert_eq!((had[0].standing, had[0].direction), (Standing::Certain, Some(Direction::Outbound)));
    assert_eq!(name(had[0].process.as_ref().unwrap()), "curl 101");
    assert_eq!(had[0].ancestors.iter().map(name).collect::<Vec<_>>(), ["sh 100", "sshd 50"]);
    assert_eq!(had[0].user, Some("toma".into()));
    assert_eq!(who_had(reader, Had::Port(443), at(15)).unwrap().len(), 0);
    assert_eq!(who_had(reader, Had::Socket("192.0.2.1:22".parse().unwrap()), at(35)).unwrap().len(), 2);
}

fn where_it_comes_from(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    record(&mut *writer);
    let reader = &mut *writer;
    assert!(tree(reader, Pid(101), at(30)).unwrap().is_none());
    let tree = tree(reader, Pid(100), at(12)).unwrap().unwrap();
    assert_eq!(tree.ancestors.iter().map(|node| name(&node.facts[0])).collect::<Vec<_>>(), ["sshd 50"]);
    assert_eq!(tree.gaps.len(), 1);
    let curl = &tree.root.children[0];
    assert_eq!((name(&curl.facts[0]), tree.root.children.len()), ("curl 101".into(), 1));
    let id = &curl.children[0];
    assert_eq!(name(&id.facts[0]), "id 102");
    assert_eq!(
        id.parents.iter().map(|p| (p.since, p.pid)).collect::<Vec<_>>(),
        [(at(13).plus(500_001), Pid(101)), (at(15), Pid(1))]
    );
    assert_eq!(id.parents[0].entity, Some(entity(101)));
    let mut all = Vec::new();
    let filter = Filter { path: Some(TextMatch::Is("/tmp/drop/x".into())), ..Filter::default() };
    who_opened(reader, &filter, Span::ALL, &mut |opened| {
        all.push((opened.found.parts.len(), opened.ancestors.iter().map(name).collect::<Vec<_>>()));
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(all, [(1, vec!["sh 100".to_owned(), "sshd 50".to_owned()])]);
}

fn in_order(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    record(&mut *writer);
    let reader = &mut *writer;
    let mut line = |of: TimelineOf, span| {
        let mut all = Vec::new();
        let _ = timeline(reader, &of, span, &mut |moment| {
            all.push((moment.at, moment.what, name(&moment.row)));
            ControlFlow::Continue(())
        })
        .unwrap();
        all
    };
    use Happening::{Began, Changed, Closed, Connected, Disconnected, Ended, Opened};
    let moments = |of: &[(WallMicros, Happening, &str)]| {
        of.iter().map(|(at, what, name)| (*at, *what, (*name).to_owned())).collect::<Vec<_>>()
    };
    let curls = moments(&[
        (at(8), Began, "curl 101"),
        (at(9), Opened, "/tmp/drop/x"),
        (at(9), Connected, "203.0.113.9:443"),
        (at(12), Closed, "/tmp/drop/x"),
        (at(13), Disconnected, "203.0.113.9:443"),
        (at(13), Ended, "curl 101"),
        (at(13).plus(500_001), Began, "id 102"),
        (at(15), Changed, "id 102"),
        (at(16), Ended, "id 102"),
    ]);
    assert_eq!(line(TimelineOf::Subtree(Pid(101), at(9)), Span::ALL), curls);
    assert_eq!(line(TimelineOf::Subtree(Pid(101), at(9)), within(9, 12)), curls[1..4]);
    let path = TimelineOf::Path(TextMatch::Is("/tmp/drop/x".into()));
    assert_eq!(line(path, Span::ALL), [&curls[..2], &curls[3..4], &curls[5..6]].concat());
    let address = TimelineOf::Address("203.0.113.9/32".parse().unwrap());
    assert_eq!(line(address, Span::ALL), [&curls[..1], &curls[2..3], &curls[4..6]].concat());
    let toma = line(TimelineOf::User("toma".into()), Span::ALL);
    assert_eq!(toma[0], (at(5), Began, "sh 100".to_owned()));
    assert_eq!(toma.last(), Some(&(at(35), Ended, "sh 100".to_owned())));
    assert!(toma.is_sorted_by_key(|(at, ..)| *at) && curls.iter().all(|moment| toma.contains(moment)));
}

fn what_changed(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    record(&mut *writer);
    let reader = &mut *writer;
    let told = |reader: &mut dyn ClientReader, a, b| {
        let diff = diff(reader, at(a), at(b)).unwrap();
        let differences: Vec<String> = diff
            .differences
            .iter()
            .map(|difference| match &difference.change {
                Change::Appeared { after } => format!("+ {}", name(after)),
                Change::Went { before } => format!("- {}", name(before)),
                Change::Changed { after, .. } => format!("~ {:?}", after.fact.kind()),
            })
            .collect();
        (differences, diff.unknown.len(), diff.gaps.len())
    };
    assert_eq!(told(reader, 2, 9), (vec!["+ sh 100".into(), "+ curl 101".into()], 0, 0));
    assert_eq!(told(reader, 9, 16), (vec!["- curl 101".into(), "+ id 102".into(), "~ Module".into()], 0, 0));
    let (differences, unknown, gaps) = told(reader, 16, 25);
    // Of processes and endpoints nothing is known there.
    assert_eq!((differences, unknown, gaps), (vec!["- toma".to_owned()], 2, 1));
}

fn for_the_first_time(place: &Place) {
    let (_store, _cid, mut writer) = place.writer();
    record(&mut *writer);
    let reader = &mut *writer;
    let mut first =
        |of: FirstOf| first_seen(reader, &of).unwrap().map(|first| (first.at, first.cut, name(&first.row)));
    let curl = Some((at(8), false, "curl 101".to_owned()));
    assert_eq!(first(FirstOf::ExeSha256(Sha256::of(b"curl"))), curl);
    assert_eq!(first(FirstOf::Path("/usr/bin/curl".into())), curl);
    assert_eq!(first(FirstOf::Path("/tmp/drop/x".into())), Some((at(9), false, "/tmp/drop/x".to_owned())));
    let remote = first(FirstOf::Remote("198.51.100.7".parse().unwrap()));
    assert_eq!(remote, Some((at(5), false, "198.51.100.7:4000".to_owned())));
    assert_eq!(first(FirstOf::Path("/usr/bin/sshd".into())), Some((at(0), true, "sshd 50".to_owned())));
    assert_eq!(first(FirstOf::Remote("192.0.2.1".parse().unwrap())), None);
}
