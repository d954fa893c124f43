//! What is added to rows afterwards, and what is kept beside them: names of addresses, URLs.

use super::{
    on_every_store,
    place::Place,
    samples::{RUN, all_rows, at, bundle, process, row, table},
};
use pofr_core::{
    fact::{Endpoint, EndpointDetails, EndpointKey, Fact, FactKind, SocketId, TcpState, Transport},
    identity::RunId,
    lifetime::{Lifetime, Row},
    raw::RawText,
    store::{Change, ClientReader, ClientStore, Forgetting, Level, TriadId, UrlUse},
    time::{WallMicros, ZoneOffset},
};
use std::ops::ControlFlow;

on_every_store!(late_names_go_to_the_latest_slices, a_url_has_the_earliest_time_and_is_forgotten);

fn endpoint(cookie: u64, remote: &str, name: Option<&str>, at: WallMicros) -> Row {
    let life = Lifetime { first_seen: Some(at), last_seen: Some(at), ..Lifetime::default() };
    let key = EndpointKey {
        transport: Transport::Tcp,
        local: "192.0.2.1:1".parse().unwrap(),
        remote: remote.parse().unwrap(),
        state: TcpState::Established,
        socket: SocketId::Cookie(cookie),
        netns: None,
        holder: None,
    };
    let details = EndpointDetails { remote_name: name.map(RawText::from), ..EndpointDetails::default() };
    row(Fact::from(Endpoint { key, details }), life)
}

fn names(writer: &mut dyn ClientStore, triad: TriadId) -> Vec<(Option<RawText>, Option<RawText>)> {
    let rows = all_rows(writer, table(triad, FactKind::Endpoint)).into_iter();
    rows.map(|(_, row)| match row.fact {
        Fact::Endpoint(endpoint) => (endpoint.details.local_name, endpoint.details.remote_name),
        other => panic!("{other:?}"),
    })
    .collect()
}

fn late_names_go_to_the_latest_slices(place: &Place) {
    let (_store, _, mut writer) = place.writer();
    let mut triads = Vec::new();
    for n in 0..4 {
        let (from, to) = (n * 100, n * 100 + 10);
        let triad = writer.create_triad(Level::Slice, n == 3, at(from), at(to), ZoneOffset::UTC).unwrap();
        let rows = vec![
            endpoint(1, "203.0.113.5:1", None, at(from)),
            endpoint(2, "[::ffff:203.0.113.5]:1", None, at(from)),
            endpoint(3, "203.0.113.5:2", Some("known"), at(from)),
            endpoint(4, "203.0.113.6:1", None, at(from)),
        ];
        let change = Change {
            bundles: vec![bundle(triad, n.unsigned_abs() + 1, from, to)],
            insert: vec![(table(triad, FactKind::Endpoint), rows)],
            make_live: vec![triad],
            ..Change::default()
        };
        writer.commit(&change).unwrap();
        triads.push(triad);
    }
    let named = vec![
        ("203.0.113.5".parse().unwrap(), RawText::from("peer")),
        ("192.0.2.1".parse().unwrap(), RawText::from("a\nb")),
    ];
    writer.commit(&Change { named, ..Change::default() }).unwrap();
    let text = |text: &str| Some(RawText::from(text));
    assert_eq!(names(&mut *writer, triads[0])[0], (None, None), "that was long ago");
    for triad in &triads[1..] {
        let ours = text("a\\nb");
        assert_eq!(
            names(&mut *writer, *triad),
            [
                (ours.clone(), text("peer")),
                (ours.clone(), text("peer")),
                (ours.clone(), text("known")),
                (ours, None)
            ]
        );
    }
}

/// Returns the rows of urlinfo: pid, when, user, URL.
fn urls(reader: &mut dyn ClientReader) -> Vec<String> {
    let mut rows = Vec::new();
    let mut each = |row: serde_json::Map<String, serde_json::Value>| {
        let seconds = (row["cmicros"].as_i64().unwrap() - at(0).0) / 1_000_000;
        rows.push(format!("{} {seconds} {} {}", row["pid"], row["users"], row["url"]).replace('"', ""));
        ControlFlow::Continue(())
    };
    reader.sql("SELECT pid, cmicros, users, url FROM urlinfo ORDER BY pid, url", &mut each).unwrap();
    rows
}

fn a_url_has_the_earliest_time_and_is_forgotten(place: &Place) {
    let (_store, _, mut writer) = place.writer();
    let used = |run: RunId, pid: u32, seconds: i64, url: &str, user: &str| UrlUse {
        run,
        entity: process(pid, "curl").key.entity,
        at: at(seconds),
        zone: ZoneOffset::UTC,
        url: url.into(),
        user: user.into(),
    };
    let other = RunId([8; 16]);
    let hostile = "http://h/'; DROP TABLE urlinfo; --";
    for urls in [
        vec![used(RUN, 1, 20, "http://h/", "ann"), used(RUN, 1, 20, hostile, "ann")],
        vec![used(RUN, 1, 10, "http://h/", "1000"), used(RUN, 1, 30, hostile, "eve")],
        vec![used(RUN, 2, 5, "http://h/", "ann"), used(other, 3, 5, "http://h/", "ann")],
    ] {
        writer.commit(&Change { urls, ..Change::default() }).unwrap();
    }
    let hostile_line = format!("1 20 ann {hostile}");
    assert_eq!(
        urls(&mut *writer),
        [
            "1 10 1000 http://h/".to_owned(),
            hostile_line.clone(),
            "2 5 ann http://h/".to_owned(),
            "3 5 ann http://h/".to_owned()
        ]
    );
    // Process 1 goes on; what is known of it now begins at 17, in two rows. Process 2 is over, the other run is gone.
    let forgetting = Forgetting {
        urls: vec![(RUN, Some(at(15))), (other, None)],
        urls_stay: vec![used(RUN, 1, 19, "http://h/", "?"), used(RUN, 1, 17, "http://h/", "?")],
        ..Forgetting::default()
    };
    writer.commit(&Change { forget: Some(forgetting), ..Change::default() }).unwrap();
    assert_eq!(urls(&mut *writer), ["1 17 1000 http://h/".to_owned(), hostile_line]);
}
