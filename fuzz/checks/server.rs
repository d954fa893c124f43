//! What must hold of what a server takes from clients and files besides bundles, whatever the bytes: bodies of fuzz targets, and
//! run by pofr-ingest's tests.

use pofr_core::{
    digest::Sha256,
    time::WallMicros,
    wire::link::{Goodbye, LINK_VERSION, Reader, Request, Service, Up, Writer},
};
use pofr_ingest::{
    enrich::Places,
    receive::{Account, Landing, Rules, scp},
    registration::{ClientKey, Conversation, Desk, Invitation, Limits, Pending, Visitor, request::new_cid},
};
use std::{fs, path::PathBuf};

/// A directory of this thread's, empty.
fn empty(name: &str) -> PathBuf {
    let id = format!("{}-{:?}", std::process::id(), std::thread::current().id());
    let memory = std::path::Path::new("/dev/shm");
    let below = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let dir =
        below.join(format!("pofr-fuzz-{name}-{}", id.replace(|c: char| !c.is_ascii_alphanumeric(), "")));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).expect("a directory can be made");
    dir
}

/// Reads `data` as what a client of the first POFR sends by scp: what is stored is what its name says, and lies in the inbox.
pub(crate) fn scp_sink(data: &[u8]) {
    let dir = empty("scp");
    let inbox = dir.join("inbox");
    fs::create_dir(&inbox).expect("a directory can be made");
    let account = Account {
        cid: "web-1".into(),
        ciduser: "0".repeat(32),
        public_key: String::new(),
        former_keys: Vec::new(),
        quota_bytes: 1 << 20,
        v1: true,
        registration_id: String::new(),
        approved: 0,
    };
    let landing = Landing::open(&inbox).expect("an empty inbox");
    let mut said = Vec::new();
    let rules = Rules { max_bundle: 1 << 16, ..Rules::default() };
    let _ = scp::sink(data, &mut said, &account, landing, rules, &mut |_| ());
    // Answers are no more than the lines that they answer.
    let lines = data.iter().filter(|byte| **byte == b'\n').count();
    assert!(said.len() <= (lines + 2) * 2048, "{} bytes are said to {lines} lines", said.len());
    for entry in fs::read_dir(&inbox).expect("the inbox is there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() || name.starts_with('.') {
            continue;
        }
        let bytes = fs::read(entry.path()).expect("a file");
        assert!(name.ends_with(&format!("#{}.tar", Sha256::of(&bytes))), "{name} is not what its name says");
        assert!(bytes.len() <= 1 << 16);
    }
    let beside = fs::read_dir(&dir).expect("the directory is there").count();
    assert_eq!(beside, 1, "something lies outside of the inbox");
    fs::remove_dir_all(dir).expect("it can be removed");
}

/// What a client sends.
pub(crate) fn scp_seeds() -> Vec<Vec<u8>> {
    let file = |content: &[u8]| {
        let name = format!("1795412776422153#+0000#{}.tar", Sha256::of(content));
        [format!("C0644 {} {name}\n", content.len()).as_bytes(), content, b"\0"].concat()
    };
    let one = file(b"12345");
    let more = [b"T1795412776 0 1795412776 0\n", &one[..], &file(b"")[..], &file(&[7; 3000])[..]].concat();
    vec![one, more, b"\x01it went wrong\nC0644 5 ../x\n12345\0".to_vec(), b"D0755 0 dir\nE\n".to_vec()]
}

/// Reads `data` as what a stranger sends who wants to be registered: what is handed in has a client's id for its name.
pub(crate) fn registration(data: &[u8]) {
    let dir = empty("desk");
    for place in ["requests", "answers"] {
        fs::create_dir(dir.join(place)).expect("a directory can be made");
    }
    let desk = Desk::new(&dir, Limits::default());
    let visitor = Visitor { source: "192.0.2.7".into(), invite: None };
    let mut talk = Conversation::new(&desk, visitor);
    let mut reader = Reader::new(data);
    while let Ok(Some(up)) = reader.read::<Up>() {
        let reply = talk.answer(up, WallMicros(1));
        if let Some(down) = &reply.down {
            let mut written = Vec::new();
            Writer::new(&mut written).write(down).expect("what is said fits a frame");
            assert!(written.len() < 16 << 10, "an answer of {} bytes", written.len());
        }
        if !reply.goes_on {
            break;
        }
    }
    for cid in desk.at_the_desk().expect("the desk can be read") {
        let pending = desk.waiting(&cid).expect("what was handed in can be read").expect("it is there");
        assert!(new_cid(&pending.cid).is_ok() && pending.host_name.chars().count() <= 100);
        assert!(ClientKey::parse(&pending.public_key).is_ok());
    }
    fs::remove_dir_all(dir).expect("it can be removed");
    // The same bytes as the texts that people and files hand over.
    let text = String::from_utf8_lossy(data);
    if let Ok(key) = ClientKey::parse(&text) {
        assert_eq!(ClientKey::parse(key.line()).as_ref().map(ClientKey::line), Ok(key.line()));
    }
    if let Ok(invitation) = Invitation::parse(&text) {
        let again = Invitation::parse(&invitation.token()).expect("what was read can be written");
        assert_eq!(again.token(), invitation.token());
    }
    let _ = serde_json::from_slice::<Pending>(data);
}

/// What strangers send, and what people paste.
pub(crate) fn registration_seeds() -> Vec<Vec<u8>> {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVm";
    let request = Request {
        cid: "web-0001".into(),
        uuid: "4c4c4544".into(),
        public_key: key.into(),
        host_name: "web-1".into(),
        about: "Linux 6.1".into(),
    };
    let hello = Up::Hello {
        version: LINK_VERSION,
        service: Service::Register,
        cid: "web-0001".into(),
        software: "pofrc".into(),
    };
    let talk = [
        hello,
        Up::Request(request),
        Up::Ask { cid: "web-0001".into() },
        Up::Signed {
            signature: "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----".into(),
        },
        Up::Bye(Goodbye::Stopping),
    ];
    let mut frames = Vec::new();
    let mut writer = Writer::new(&mut frames);
    talk.iter().for_each(|up| writer.write(up).expect("memory"));
    vec![frames, key.as_bytes().to_vec(), b"pofr-invite-eyJ2ZXJzaW9uIjoxfQ".to_vec()]
}

/// Reads `data` as a database of places: an answer is a text or none, for any address.
pub(crate) fn places(data: &[u8]) {
    let dir = empty("places");
    let file = dir.join("places.mmdb");
    fs::write(&file, data).expect("memory");
    if let Ok(places) = Places::open(&file) {
        for ip in ["192.0.2.7", "2001:db8::7", "0.0.0.0", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
            if let Some(place) = places.find(ip.parse().expect("an address")) {
                let longest = [&place.country, &place.city].into_iter().flatten().map(String::len).max();
                assert!(longest.is_none_or(|length| length <= data.len()));
            }
        }
    }
    fs::remove_dir_all(dir).expect("it can be removed");
}

/// A database with two networks.
pub(crate) fn places_seeds() -> Vec<Vec<u8>> {
    let address = |text: &str| text.parse().expect("an address");
    vec![pofr_tests::mmdb::mmdb(&[
        (address("192.0.2.0"), 24, "NO", "Oslo"),
        (address("2001:db8::"), 32, "GR", "\u{1b}[2JAthens"),
    ])]
}
