//! Quotas: how many open files of a process, of a user and in all are told, and how many bytes of arguments, so that memory is bounded.
//!
//! A reading stops a file after the most that one process may have ([`limits::FILES`]). What is kept of it is bounded by what there
//! is memory for: a quarter of all for a process, half of all for a user, and what is left of all. The lowest descriptors are kept.
//! Of arguments a 32nd of all may be one user's, and an eighth everybody's; of those that come then the beginning is kept.
//! Who has more is named in a thin gap that begins with `cut:` when that begins, and each half minute while it lasts.

use crate::{effort::Effort, limits};
use hashbrown::{HashMap, HashSet};
use pofr_core::{
    Source,
    fact::{Cut, Fact, Process, ProcessKey},
    gap::{Gap, Severity},
    identity::Entity,
    raw::RawText,
    time::WallMicros,
};

/// A cut that lasts is told again after so long, µs.
const AGAIN: i64 = 30_000_000;
/// So many processes are named in one tick; of others their number is told.
const NAMED: usize = 8;
/// Users from this number on are those of user namespaces as a rule (subuid(5)): so many numbers are one user.
const OF_NAMESPACES: u32 = 100_000;
const IDS: u32 = 65_536;
/// The user of a process whose ids are not known.
const UNKNOWN: u32 = u32::MAX;

/// What is held of each process.
#[derive(Debug, Default)]
pub(super) struct Quota {
    effort: Effort,
    held: HashMap<Entity, Held>,
    /// Those that were cut in the reading before, where all are read again.
    were: HashSet<Entity>,
    users: HashMap<u32, Sum>,
    all: Sum,
    /// Those of whom something is cut and were not told of.
    new: Vec<Entity>,
    /// When those that are cut were told of last.
    told: Option<WallMicros>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    user: u32,
    sum: Sum,
    cut: bool,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    /// Open files, sockets twice.
    files: u64,
    /// Of arguments.
    bytes: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }

    fn take(&mut self, other: Self) {
        self.files = self.files.saturating_sub(other.files);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

impl Quota {
    pub(super) fn new(effort: Effort) -> Self {
        Self { effort, ..Self::default() }
    }

    /// Begins a reading of all processes.
    pub(super) fn begin(&mut self) {
        self.were = self.held.iter().filter(|(_, held)| held.cut).map(|(entity, _)| *entity).collect();
        self.all = Sum::default();
        self.held.clear();
        self.users.clear();
        self.new.clear();
    }

    /// Keeps of the facts from `before` on, which are the files of `process`, and of its arguments as much as may be.
    ///
    /// Of `sockets`, the inodes of those that are sockets, as many stay: each is another fact, of an endpoint and its holder, and so
    /// counts twice.
    pub(super) fn admit(
        &mut self,
        process: &mut Process,
        facts: &mut Vec<Fact>,
        before: usize,
        sockets: &mut Vec<u64>,
    ) {
        let (entity, user) = (process.key.entity, account(process));
        let was_cut = self.were.contains(&entity) || self.held.get(&entity).is_some_and(|held| held.cut);
        self.gone(entity);
        let memory = self.effort.memory();
        let of_user = self.users.entry(user).or_default();
        let most = memory / 2 / limits::FILE_BYTES;
        let room =
            (most / 4).min((most / 2).saturating_sub(of_user.files)).min(most.saturating_sub(self.all.files));
        let open = facts.len().saturating_sub(before) as u64;
        let mut cut = open > room;
        let files = open.min(room);
        if cut {
            facts.truncate(before + usize::try_from(files).unwrap_or(usize::MAX));
            sockets.truncate(facts[before..].iter().filter(|fact| is_socket(fact)).count());
        }
        let length =
            |process: &Process| process.key.arguments.as_ref().map_or(0, |text| text.as_bytes().len() as u64);
        let room = (memory / limits::ARGUMENTS_OF_USER)
            .saturating_sub(of_user.bytes)
            .min((memory / limits::ARGUMENTS_OF_ALL).saturating_sub(self.all.bytes));
        if length(process) > room.max(limits::CUT_ARGUMENTS as u64) {
            cut_arguments(&mut process.key);
            cut = true;
        }
        if cut && !was_cut {
            self.new.push(entity);
        }
        let sum = Sum { files: files + sockets.len() as u64, bytes: length(process) };
        of_user.add(sum);
        self.all.add(sum);
        self.held.insert(entity, Held { user, sum, cut });
    }

    /// Takes note that a process is gone.
    pub(super) fn gone(&mut self, entity: Entity) {
        let Some(Held { user, sum, .. }) = self.held.remove(&entity) else { return };
        self.all.take(sum);
        if let Some(of_user) = self.users.get_mut(&user) {
            of_user.take(sum);
            if *of_user == Sum::default() {
                self.users.remove(&user);
            }
        }
    }

    /// Says of whom something is cut, where that is new, or was said long ago.
    pub(super) fn tell(&mut self, now: WallMicros, out: &mut Vec<Gap>) {
        let mut new = std::mem::take(&mut self.new);
        new.retain(|entity| self.held.get(entity).is_some_and(|held| held.cut));
        let from = *self.told.get_or_insert(now);
        if !new.is_empty() {
            for entity in new.iter().take(NAMED) {
                let Held { user, sum, .. } = self.held[entity];
                let text = format!(
                    "cut: process {} of {} has more files or arguments than are told: {} files, {} bytes of arguments",
                    entity.pid().0,
                    of(user),
                    sum.files,
                    sum.bytes
                );
                out.push(gap(text, now, now));
            }
            if new.len() > NAMED {
                self.tell_all(now, now, out);
            }
        } else if now.since(from) >= AGAIN {
            self.tell_all(from, now, out);
            self.told = Some(now);
        }
    }

    /// Says of each user how many processes are cut.
    fn tell_all(&self, from: WallMicros, to: WallMicros, out: &mut Vec<Gap>) {
        let mut users: HashMap<u32, (u64, u32)> = HashMap::new();
        for (entity, held) in self.held.iter().filter(|(_, held)| held.cut) {
            let (count, pid) = users.entry(held.user).or_insert((0, entity.pid().0));
            *count += 1;
            *pid = entity.pid().0.min(*pid);
        }
        for (user, (count, pid)) in users {
            let text = format!(
                "cut: {count} processes of {} have more files or arguments than are told, process {pid} among them",
                of(user)
            );
            out.push(gap(text, from, to));
        }
    }
}

/// Returns who is charged with the files of a process.
fn account(process: &Process) -> u32 {
    match process.key.ids.ruid {
        None | Some(UNKNOWN) => UNKNOWN,
        Some(user @ OF_NAMESPACES..) => user - (user - OF_NAMESPACES) % IDS,
        Some(user) => user,
    }
}

fn of(user: u32) -> String {
    match user {
        UNKNOWN => "an unknown user".to_owned(),
        OF_NAMESPACES.. => format!("users {user} to {}", user.saturating_add(IDS - 1)),
        _ => format!("user {user}"),
    }
}

/// Keeps the beginning of arguments that there is no room for, with the length of the whole.
pub(crate) fn cut_arguments(key: &mut ProcessKey) {
    let Some(whole) = key.arguments.as_ref().map(RawText::as_bytes) else { return };
    if whole.len() > limits::CUT_ARGUMENTS {
        let cut = key.marks.arguments_cut.unwrap_or(Cut { bytes: whole.len() as u64, sha256: None });
        key.arguments = Some(whole[..limits::CUT_ARGUMENTS].into());
        key.marks.arguments_cut = Some(cut);
    }
}

fn is_socket(fact: &Fact) -> bool {
    matches!(fact, Fact::File(file) if file.key.path.as_bytes().starts_with(b"socket:["))
}

fn gap(reason: String, from: WallMicros, to: WallMicros) -> Gap {
    Gap { source: Some(Source::Process), severity: Severity::Thin, reason, from, to: Some(to), lost: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pofr_core::{
        fact::{FileDetails, FileKey, FileMode, Ids, OpenFile, ProcessDetails},
        identity::{BootId, Pid, StartTicks},
        raw::Reading,
    };

    /// A process of a user with so many files and bytes of arguments.
    fn process(pid: u32, user: u32, files: u32, bytes: usize) -> (Process, Vec<Fact>) {
        let entity = Entity::Started { boot: BootId([1; 16]), pid: Pid(pid), start: StartTicks(1) };
        let key = ProcessKey {
            entity,
            ppid: Pid(1),
            ids: Ids { ruid: Some(user), euid: Some(0), rgid: Some(0), egid: Some(0) },
            comm: "x".into(),
            arguments: Some(RawText::from(vec![b'x'; bytes])),
            exe: Reading::Absent,
            cwd: Reading::Absent,
            session: 1,
            tty: 0,
            login_uid: None,
            cgroup: Reading::Absent,
            namespaces: Reading::Absent,
            zombie: false,
            files: pofr_core::fact::Files::Read,
            marks: pofr_core::fact::ProcessMarks::default(),
        };
        let file = |fd| {
            let key = FileKey { entity, fd, path: "/x".into(), mode: FileMode::Read, deleted: false };
            Fact::File(OpenFile { key, details: FileDetails::default() })
        };
        (Process { key, details: ProcessDetails::default() }, (0..files).map(file).collect())
    }

    /// A quota of 1,000 files in all: 250 of a process and 500 of a user; and bytes of arguments: 48,000 of a user.
    fn quota() -> Quota {
        let effort = Effort::default();
        effort.keep_to(None, Some(1_000 * 2 * limits::FILE_BYTES));
        Quota::new(effort)
    }

    fn admit(quota: &mut Quota, (mut process, mut facts): (Process, Vec<Fact>)) -> (usize, ProcessKey) {
        quota.admit(&mut process, &mut facts, 0, &mut Vec::new());
        (facts.len(), process.key)
    }

    fn told(quota: &mut Quota, now: i64) -> Vec<String> {
        let mut gaps = Vec::new();
        quota.tell(WallMicros(now), &mut gaps);
        gaps.into_iter().map(|gap| gap.reason).collect()
    }

    #[test]
    fn a_process_and_a_user_with_too_many_files_are_named_and_others_are_whole() {
        let mut quota = quota();
        assert_eq!(admit(&mut quota, process(10, 0, 200, 1)).0, 200);
        assert!(told(&mut quota, 0).is_empty());
        assert_eq!(admit(&mut quota, process(11, 65534, 5_000, 1)).0, 250);
        assert_eq!(
            told(&mut quota, 1),
            [
                "cut: process 11 of user 65534 has more files or arguments than are told: 250 files, 1 bytes of arguments"
            ]
        );
        // The same again is the same, and not told again at once.
        assert_eq!(admit(&mut quota, process(11, 65534, 5_000, 1)).0, 250);
        let of_many: usize = (12..52).map(|pid| admit(&mut quota, process(pid, 65534, 100, 1)).0).sum();
        assert_eq!(of_many, 250);
        let reasons = told(&mut quota, 2);
        assert_eq!(reasons.len(), NAMED + 1, "{reasons:?}");
        assert_eq!(
            reasons[NAMED],
            "cut: 39 processes of user 65534 have more files or arguments than are told, process 11 among them"
        );
        assert_eq!(admit(&mut quota, process(60, 1000, 200, 1)).0, 200);
        assert!(told(&mut quota, 3).is_empty());
        assert_eq!(told(&mut quota, AGAIN + 2).len(), 1);
        // Room that is given back is another's.
        quota.gone(process(11, 0, 0, 0).0.key.entity);
        assert_eq!(admit(&mut quota, process(70, 65534, 100, 1)).0, 100);
    }

    #[test]
    fn of_arguments_beyond_a_users_room_the_beginning_is_kept_and_the_length_said() {
        let mut quota = quota();
        assert_eq!(admit(&mut quota, process(10, 65534, 0, 45_000)).1.marks.arguments_cut, None);
        let (_, key) = admit(&mut quota, process(11, 65534, 0, 5_000));
        assert_eq!(key.arguments.unwrap().as_bytes().len(), limits::CUT_ARGUMENTS);
        assert_eq!(key.marks.arguments_cut, Some(Cut { bytes: 5_000, sha256: None }));
        assert_eq!(admit(&mut quota, process(12, 1000, 0, 5_000)).1.marks.arguments_cut, None);
        assert_eq!(told(&mut quota, 1).len(), 1);
    }

    #[test]
    fn the_ids_of_a_user_namespace_are_one_user() {
        let mut quota = quota();
        let all: usize = (0..10).map(|n| admit(&mut quota, process(10 + n, 100_000 + n, 200, 1)).0).sum();
        assert_eq!(all, 500);
    }
}
