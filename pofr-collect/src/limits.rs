//! What one user may have recorded, and what the recorder holds at most: all numbers in one place, stated in docs/client.md.
//!
//! Beyond a limit that user alone is recorded thinner, and a gap that begins with `flood:` says so. Root has eight times as much,
//! since the services of all users run as root. What is not used is saved for [`SAVED_SECONDS`].

/// How long what a user does not use is saved.
pub(crate) const SAVED_SECONDS: u64 = 8;
/// How much more root may have recorded than another user.
pub(crate) const ROOT: u64 = 8;

/// Processes of a user that are told, each with begin, end and exit code, a second; others are counted.
pub(crate) const PROCESSES: u64 = 500;
/// Bytes of arguments of a user's new processes that are told, a second; beyond that each is cut to [`CUT_ARGUMENTS`].
pub(crate) const ARGUMENT_BYTES: u64 = 256 << 10;
/// What is left of arguments that are cut, bytes.
pub(crate) const CUT_ARGUMENTS: usize = 256;
/// Time in which a user's new processes are looked at, µs a second, where no share of a core is given.
pub(crate) const LOOK_MICROS: u64 = 50_000;
/// Changes of one process (programs, names, ids) that are told, a second; they are saved for four seconds.
pub(crate) const CHANGES: u64 = 16;
/// See [`CHANGES`].
pub(crate) const CHANGES_SAVED_SECONDS: u64 = 4;
/// The same of all processes of a user, saved as all else.
pub(crate) const ALL_CHANGES: u64 = 1_500;

/// The share of a core that the listening thread may use where none is given, millionths.
pub(crate) const LISTENER_SHARE: u64 = 200_000;
/// The part of a given share that the listening thread may use, percent.
pub(crate) const LISTENER_PERCENT: u64 = 25;
/// The part of that which looks at one user's processes may use, percent.
pub(crate) const USER_PERCENT: u64 = 50;
/// The share of a core that telling events may use in the recorder's thread where none is given, millionths.
pub(crate) const TELLING_SHARE: u64 = 250_000;
/// The part of a given share that telling events may use, percent.
pub(crate) const TELLING_PERCENT: u64 = 10;
/// Over how long shares of a core are averaged, seconds.
pub(crate) const WINDOW_SECONDS: u64 = 10;

/// Bytes that may wait between the listening thread and the recorder's.
pub(crate) const HANDED_BYTES: usize = 8 << 20;
/// A flood that lasts is told of so often, µs.
pub(crate) const TELL_MICROS: i64 = 5_000_000;

/// Bytes of memory where no bound is given.
pub(crate) const MEMORY: u64 = 96 << 20;
/// Open files of one process that are read; of more, that there are more.
pub(crate) const FILES: usize = 1 << 16;
/// Bytes of memory that are reckoned for an open file that is held: what it takes for good, and while a sample is made of it.
pub(crate) const FILE_BYTES: u64 = 768;
/// The part of memory that one user's arguments may take, and all together: a 32nd and an eighth.
pub(crate) const ARGUMENTS_OF_USER: u64 = 32;
/// See [`ARGUMENTS_OF_USER`].
pub(crate) const ARGUMENTS_OF_ALL: u64 = 8;

/// Changes of names in one watched directory, or of one watched file, that are told, a second.
pub(crate) const NAMES: u64 = 200;
/// Events of files that are told in all, a second.
pub(crate) const FILE_EVENTS: u64 = 2_000;
/// Events of files that are read at once; the rest is left for the next time.
pub(crate) const FILE_EVENTS_AT_ONCE: usize = 8_192;
/// Names that are told as found in a directory that appears.
pub(crate) const FOUND: usize = 1_000;
/// Ends of sockets that no sample has shown that are told, a second.
pub(crate) const SOCKETS: u64 = 2_000;
/// Ends of sockets that are read at once; the rest is left for the next time.
pub(crate) const SOCKETS_AT_ONCE: usize = 4_096;
/// Logins that are told from one look at a log; there is a look a second.
pub(crate) const LOGINS: usize = 200;
