//! Whether a fact satisfies a filter.
//!
//! A row by itself may lack details that another row of the same fact has, so it is first asked whether it *may* fit; whole facts
//! are asked whether they do.

use super::{
    Direction, Filter, Subject, TextMatch, accounts::Accounts, listeners::listens, sharing::Sharing,
};
use ipnet::IpNet;
use jiff::civil::Time;
use pofr_core::{
    fact::{Endpoint, Fact, FileMode, Keeper, OpenFile, Process},
    identity::Entity,
    lifetime::Row,
    raw::RawText,
    time::{WallMicros, ZoneOffset},
};
use std::{collections::BTreeSet, net::IpAddr};

/// A filter, ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    pub(super) filter: Filter,
    pub(super) accounts: Accounts,
    /// The user ids that ever were one of the users wanted.
    pub(super) users: BTreeSet<u32>,
    login_users: BTreeSet<u32>,
    /// Where files are looked for: the processes that may satisfy the filter and have another's descriptor table.
    pub(super) sharing: Sharing,
}

impl Conditions {
    pub(super) fn new(filter: &Filter, accounts: Accounts) -> Self {
        let (users, login_users) = (accounts.ids(&filter.users), accounts.ids(&filter.login_users));
        Self { filter: filter.clone(), accounts, users, login_users, sharing: Sharing::default() }
    }

    /// Tells whether a fact of that subject can satisfy the filter at all.
    pub(super) fn can_hold_for(&self, subject: Subject) -> bool {
        let f = &self.filter;
        let of_files = f.path.is_some() || f.under.is_some() || f.written;
        let of_endpoints = !f.ports.is_empty()
            || f.listening
            || !(f.from_ip.is_empty() && f.to_ip.is_empty() && f.ip.is_empty())
            || f.transport.is_some()
            || !(f.states.is_empty() && f.countries.is_empty())
            || f.names.is_some();
        match subject {
            Subject::Processes => !of_files && !of_endpoints,
            Subject::Files => !of_endpoints,
            Subject::Endpoints => !of_files && !f.deleted,
        }
    }

    /// Tells whether the fact of a row may satisfy what is asked of it itself.
    pub(super) fn row_may(&self, row: &Row) -> bool {
        match &row.fact {
            Fact::Process(process) => self.process(process, false) && self.is_any_user(process),
            Fact::File(file) => self.file(file),
            Fact::Endpoint(endpoint) => self.endpoint(endpoint, false),
            _ => false,
        }
    }

    /// Tells whether a process satisfies what is asked of processes, users aside. Without `whole`, what is not known may be.
    pub(super) fn process(&self, process: &Process, whole: bool) -> bool {
        let (f, key) = (&self.filter, &process.key);
        let fits_exe = |m: &TextMatch| {
            let whole = key.exe.known().map(RawText::as_bytes);
            key.program().is_some_and(|(path, _)| m.fits(path)) || whole.is_some_and(|exe| m.fits(exe))
        };
        let arguments = || match process.arguments() {
            Some(vector) => f.arguments.as_ref().is_none_or(|m| m.fits(&as_line(vector))),
            None => !whole || f.arguments.is_none(),
        };
        let sha256 = || match (f.exe_sha256, process.details.exe_sha256) {
            (Some(wanted), Some(known)) => wanted == known,
            (wanted, None) => !whole || wanted.is_none(),
            (None, _) => true,
        };
        let kept = || {
            if f.unit.is_none() && f.container.is_none() {
                return true;
            }
            let Some(keeper) = Keeper::of(key) else { return false };
            let unit = |m: &TextMatch| {
                [&keeper.unit, &keeper.user_unit].into_iter().flatten().any(|unit| m.fits(unit.as_bytes()))
            };
            let container = |m: &TextMatch| {
                keeper
                    .container
                    .as_ref()
                    .is_some_and(|c| m.fits(c.id.as_bytes()) || is_short(m, c.id.as_bytes()))
            };
            f.unit.as_ref().is_none_or(unit) && f.container.as_ref().is_none_or(container)
        };
        (f.pids.is_empty() || f.pids.contains(&key.entity.pid()))
            && (f.ppids.is_empty() || f.ppids.contains(&key.ppid))
            && f.command.as_ref().is_none_or(|m| m.fits(key.comm.as_bytes()))
            && f.exe.as_ref().is_none_or(fits_exe)
            && arguments()
            && sha256()
            && kept()
    }

    /// Tells whether what is asked of a process by itself alone holds: its executable had been unlinked.
    pub(super) fn is_deleted_if_asked(&self, process: &Process) -> bool {
        !self.filter.deleted || process.key.program().is_some_and(|(_, deleted)| deleted)
    }

    fn is_any_user(&self, process: &Process) -> bool {
        let (f, key) = (&self.filter, &process.key);
        let is_wanted = |uid: Option<u32>| uid.is_some_and(|uid| self.users.contains(&uid));
        (f.users.is_empty() || is_wanted(key.ids.ruid) || is_wanted(key.ids.euid))
            && (f.login_users.is_empty() || key.login_uid.is_some_and(|uid| self.login_users.contains(&uid)))
    }

    /// Tells whether a process had one of the users that are asked for between two times.
    pub(super) fn is_user(&self, process: &Process, from: WallMicros, until: WallMicros) -> bool {
        let (f, key) = (&self.filter, &process.key);
        let one_of = |wanted: &[RawText], uid: Option<u32>| {
            uid.is_some_and(|uid| self.accounts.is_one(wanted, uid, from, until))
        };
        self.is_any_user(process)
            && (f.users.is_empty() || one_of(&f.users, key.ids.ruid) || one_of(&f.users, key.ids.euid))
            && (f.login_users.is_empty() || one_of(&f.login_users, key.login_uid))
    }

    /// Tells whether a process has one of the ids that are asked for.
    pub(super) fn is_pid(&self, entity: &Entity) -> bool {
        self.filter.pids.is_empty() || self.filter.pids.contains(&entity.pid())
    }

    /// Tells whether something is asked that may be learned late of a process: it is in rows of another time.
    pub(super) const fn ask_of_what_is_learned(&self) -> bool {
        self.filter.exe_sha256.is_some() || self.filter.arguments.is_some()
    }

    /// Tells whether nothing but the user is asked of processes.
    pub(super) fn asks_of_users_alone(&self) -> bool {
        let without = Filter { users: Vec::new(), ..self.filter.clone() };
        !self.filter.users.is_empty() && !without.asks_more_than_pids()
    }

    fn file(&self, file: &OpenFile) -> bool {
        let (f, key) = (&self.filter, &file.key);
        let path = key.path.as_bytes();
        (self.is_pid(&key.entity) || self.sharing.has(&key.entity))
            && f.path.as_ref().is_none_or(|m| m.fits(path))
            && f.under.as_ref().is_none_or(|directory| is_under(path, directory.as_bytes()))
            && (!f.written || matches!(key.mode, FileMode::Write | FileMode::ReadWrite))
            && (!f.deleted || key.deleted)
    }

    /// Tells whether an endpoint satisfies what is asked of it, holder and direction aside.
    pub(super) fn endpoint(&self, endpoint: &Endpoint, whole: bool) -> bool {
        let (f, key, details) = (&self.filter, &endpoint.key, &endpoint.details);
        let ends = [key.local, key.remote];
        let either_in = |nets: &[IpNet]| nets.is_empty() || ends.iter().any(|end| is_in(nets, end.ip()));
        let is_country = |known: &String| f.countries.iter().any(|wanted| wanted.eq_ignore_ascii_case(known));
        let country = || match &details.country {
            Some(known) => f.countries.is_empty() || is_country(known),
            None => !whole || f.countries.is_empty(),
        };
        let names = || {
            let known = [&details.local_name, &details.remote_name];
            // A name that is learned later may fit where the other does not.
            f.names.as_ref().is_none_or(|m| {
                known.into_iter().any(|name| name.as_ref().map_or(!whole, |name| m.fits(name.as_bytes())))
            })
        };
        (f.pids.is_empty() || key.holder.is_some_and(|holder| f.pids.contains(&holder.pid())))
            && (f.ports.is_empty() || ends.iter().any(|end| f.ports.contains(&end.port())))
            && (!f.listening || listens(key))
            && either_in(&f.ip)
            && either_in(&f.from_ip)
            && either_in(&f.to_ip)
            && f.transport.is_none_or(|transport| key.transport == transport)
            && (f.states.is_empty() || f.states.contains(&key.state))
            && country()
            && names()
    }

    /// Tells whether who connected to whom is what is asked.
    pub(super) fn is_directed(&self, endpoint: &Endpoint, direction: Option<Direction>) -> bool {
        let f = &self.filter;
        if f.from_ip.is_empty() && f.to_ip.is_empty() {
            return true;
        }
        let (local, remote) = (endpoint.key.local.ip(), endpoint.key.remote.ip());
        let (from, to) = match direction {
            Some(Direction::Inbound) => (remote, local),
            Some(Direction::Outbound) => (local, remote),
            Some(Direction::Listening) | None => return false,
        };
        (f.from_ip.is_empty() || is_in(&f.from_ip, from)) && (f.to_ip.is_empty() || is_in(&f.to_ip, to))
    }

    /// Tells whether something that held between two times did so at the time of day that is asked for.
    pub(super) fn is_daily(&self, from: WallMicros, until: WallMicros, zone: ZoneOffset) -> bool {
        self.filter.daily.is_none_or(|(start, end)| daily(from, until, zone, start, end))
    }
}

/// Returns an argument vector as one line: a space for each NUL, the last one dropped.
fn as_line(vector: &RawText) -> Vec<u8> {
    let bytes = vector.as_bytes();
    let bytes = bytes.strip_suffix(b"\0").unwrap_or(bytes);
    bytes.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect()
}

/// Tells whether a container's id begins with the twelve or more digits that are asked for, as people write them.
fn is_short(wanted: &TextMatch, id: &[u8]) -> bool {
    wanted.only().is_some_and(|short| short.as_bytes().len() >= 12 && id.starts_with(short.as_bytes()))
}

/// Tells whether a path is a directory's or lies below it.
fn is_under(path: &[u8], directory: &[u8]) -> bool {
    let directory = directory.strip_suffix(b"/").unwrap_or(directory);
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Tells whether an address lies in one of these networks; an IPv4-mapped IPv6 address does where its IPv4 address does.
pub(super) fn is_in(nets: &[IpNet], ip: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&ip) || net.contains(&ip.to_canonical()))
}

const DAY: i64 = 86_400_000_000;

/// Tells whether the times from `from` to `until` have a moment in common with a time of day; where `end` is not after
/// `start`, it is over midnight.
fn daily(from: WallMicros, until: WallMicros, zone: ZoneOffset, start: Time, end: Time) -> bool {
    let of_day = |t: Time| {
        let seconds = i64::from(t.hour()) * 3600 + i64::from(t.minute()) * 60 + i64::from(t.second());
        seconds * 1_000_000 + i64::from(t.subsec_nanosecond()) / 1000
    };
    let (start, mut end) = (of_day(start), of_day(end));
    if end <= start {
        end += DAY;
    }
    let length = until.since(from).max(0);
    let begin = from.0.saturating_add(i64::from(zone.minutes()) * 60_000_000).rem_euclid(DAY);
    // The day before may reach into this one.
    length >= DAY || (-1..=2).any(|day| begin < end + day * DAY && begin + length >= start + day * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_day_is_the_clients_own() {
        let at = |hour, minute| Time::new(hour, minute, 0, 0).unwrap();
        let hours = |h: f64| WallMicros((h * 3.6e9) as i64 + 20_000 * DAY);
        let is = |from, until, zone: i32, a, b| {
            daily(hours(from), hours(until), ZoneOffset::from_minutes(zone).unwrap(), a, b)
        };
        let (one, four, eleven) = (at(1, 0), at(4, 0), at(23, 0));
        assert!(is(1.5, 1.5, 0, one, four) && is(1.0, 1.0, 0, one, four) && !is(4.0, 4.0, 0, one, four));
        assert!(is(0.5, 1.0, 0, one, four) && !is(0.5, 0.9, 0, one, four) && is(3.9, 9.0, 0, one, four));
        assert!(is(23.5, 23.5, 120, one, four) && !is(1.5, 1.5, 180, one, four));
        assert!(
            is(23.5, 23.5, 0, eleven, one) && is(0.5, 0.5, 0, eleven, one) && !is(1.0, 22.9, 0, eleven, one)
        );
        assert!(is(4.5, 28.5, 0, one, four), "a day has every hour");
        assert!(is(22.0, 26.0, 0, one, four), "the next day's");
    }

    #[test]
    fn below_a_directory_is_not_beside_it() {
        for (path, directory, yes) in [
            ("/usr/bin/x", "/usr", true),
            ("/usr", "/usr/", true),
            ("/usr2/x", "/usr", false),
            ("/x", "/", true),
            ("pipe:[1]", "/", false),
        ] {
            assert_eq!(is_under(path.as_bytes(), directory.as_bytes()), yes, "{path} {directory}");
        }
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let nets = ["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
        for (ip, yes) in [
            ("192.0.2.7", true),
            ("::ffff:192.0.2.7", true),
            ("192.0.3.7", false),
            ("2001:db8::1", true),
            ("::1", false),
        ] {
            assert_eq!(is_in(&nets, ip.parse().unwrap()), yes, "{ip}");
        }
    }
}
