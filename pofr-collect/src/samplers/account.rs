//! The account sampler: the local users and groups (passwd(5), group(5)), without their password fields.

use super::{COLD_MICROS, Context, unavailable};
use crate::{HostView, sys};
use pofr_core::{
    Collector, Source,
    collector::{CollectError, Observation},
    fact::{ByKey, Fact, Group, User},
};
use std::collections::HashSet;

/// Samples users and groups.
#[derive(Debug)]
pub struct AccountSampler {
    view: HostView,
}

/// Makes the sampler for the registry.
pub(super) fn make(context: &Context) -> Box<dyn Collector> {
    Box::new(AccountSampler::new(context))
}

impl AccountSampler {
    /// Makes a sampler.
    #[must_use]
    pub fn new(context: &Context) -> Self {
        Self { view: context.view.clone() }
    }

    fn read(
        &self,
        name: &str,
        each: fn(&[u8]) -> Option<Fact>,
        out: &mut Observation,
    ) -> Result<(), CollectError> {
        let path = self.view.etc_root.join(name);
        let text = std::fs::read(&path).map_err(|e| unavailable(&path, e))?;
        let mut seen = HashSet::new();
        for fact in text.split(|b| *b == b'\n').filter_map(each) {
            if seen.insert(ByKey(fact.clone())) {
                out.show(fact);
            }
        }
        Ok(())
    }
}

impl Collector for AccountSampler {
    fn source(&self) -> Source {
        Source::Account
    }

    fn every_micros(&self) -> u64 {
        COLD_MICROS
    }

    fn sample(&mut self, out: &mut Observation) -> Result<(), CollectError> {
        self.read("passwd", user, out)?;
        self.read("group", group, out)
    }
}

/// Reads `root:x:0:0:root:/root:/bin/bash`; `None` for a line that is none, such as a NIS `+`.
fn user(line: &[u8]) -> Option<Fact> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
    let [name, _, uid, gid, gecos, home, shell] = fields[..] else { return None };
    Some(Fact::User(User {
        name: name.into(),
        uid: sys::parse(uid)?,
        gid: sys::parse(gid)?,
        gecos: gecos.into(),
        home: home.into(),
        shell: shell.into(),
    }))
}

/// Reads `adm:x:4:syslog,ada`.
fn group(line: &[u8]) -> Option<Fact> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b':').collect();
    let [name, _, gid, members] = fields[..] else { return None };
    Some(Fact::Group(Group { name: name.into(), gid: sys::parse(gid)?, members: members.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_none_are_left_out() {
        assert!(
            matches!(user(b"a\xff:x:1:2:::/bin/sh"), Some(Fact::User(u)) if u.name.as_bytes() == b"a\xff")
        );
        for bad in ["", "+", "+@site::::::", "a:x:-1:2:::", "a:x:1:2::"] {
            assert!(user(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(matches!(group(b"adm:x:4:syslog,ada"), Some(Fact::Group(g)) if g.gid == 4));
    }
}
