//! The machine's time zone, as localtime(5) tells it now: whoever sets another while we record changes what the clock on the wall shows.

use jiff::{Timestamp, tz::TimeZone};
use pofr_core::time::{WallMicros, ZoneOffset};
use std::{
    fs::{File, Metadata},
    io::Read as _,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// A file with more is no zone: those of the database have some thousand bytes.
const MOST_BYTES: u64 = 1 << 20;

/// A machine's zone. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    /// The file that names it; `None` where the environment does, which stays.
    file: Option<PathBuf>,
    now: Arc<RwLock<Now>>,
}

#[derive(Debug)]
struct Now {
    zone: TimeZone,
    /// Which file it was read from, and as of when.
    read: Option<Version>,
}

/// What a file is known by: device, inode, length, and the nanosecond of its last change.
type Version = (u64, u64, u64, i64, i64);

impl Zone {
    /// Takes the zone that `TZ` names (tzset(3)), else that of `localtime` in `etc`.
    pub(crate) fn of_system(etc: &Path) -> Self {
        if std::env::var_os("TZ").is_none() {
            return Self::of_file(etc);
        }
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Self { file: None, now: Arc::new(RwLock::new(Now { zone, read: None })) }
    }

    /// Takes the zone of `localtime` in `etc`; UTC where there is none.
    pub(crate) fn of_file(etc: &Path) -> Self {
        let now = Arc::new(RwLock::new(Now { zone: TimeZone::UTC, read: None }));
        let zone = Self { file: Some(etc.join("localtime")), now };
        zone.look_again();
        zone
    }

    /// Reads the zone again if it is another file that tells it, or another text in it.
    pub(crate) fn look_again(&self) {
        let Some(path) = &self.file else { return };
        let there = std::fs::metadata(path).ok().map(|metadata| version(&metadata));
        if there == self.now.read().unwrap_or_else(PoisonError::into_inner).read {
            return;
        }
        let (zone, read) = match there {
            // Without the file, the clock on the wall shows UTC.
            None => (Some(TimeZone::UTC), None),
            Some(_) => read(path).map_or((None, there), |(zone, read)| (zone, Some(read))),
        };
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.read = read;
        // One that is half written is read when it is whole: until then, the zone is that of before.
        now.zone = zone.unwrap_or_else(|| now.zone.clone());
    }

    /// Returns the zone's offset at `time`.
    pub(crate) fn offset(&self, time: WallMicros) -> ZoneOffset {
        let time = Timestamp::from_microsecond(time.0).unwrap_or(Timestamp::UNIX_EPOCH);
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        ZoneOffset::from_minutes(now.zone.to_offset(time).seconds() / 60).unwrap_or(ZoneOffset::UTC)
    }
}

fn version(metadata: &Metadata) -> Version {
    (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Reads a file of a zone; the zone is `None` where it is none.
fn read(path: &Path) -> Option<(Option<TimeZone>, Version)> {
    // Whatever the link leads to: nothing that would have us wait.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path).ok()?;
    let metadata = file.metadata().ok().filter(Metadata::is_file)?;
    let mut data = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut data).ok()?;
    Some((TimeZone::tzif("localtime", &data).ok(), version(&metadata)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_zone_is_that_of_the_file_as_it_is_now() {
        let dir = tempfile::tempdir().unwrap();
        let (link, other) = (dir.path().join("localtime"), dir.path().join("other"));
        let zone = Zone::of_file(dir.path());
        let minutes = || {
            zone.look_again();
            zone.offset(WallMicros(1_750_000_000_000_000)).minutes()
        };
        assert_eq!(minutes(), 0, "there is none");
        // RFC 9636, version 1: no transitions, one type of local time, 5:45 h east, named "+0545".
        let tzif = |east: i32| {
            let mut text = b"TZif\0".to_vec();
            text.extend([0; 15]);
            for count in [0_u32, 0, 0, 0, 1, 6] {
                text.extend(count.to_be_bytes());
            }
            text.extend(east.to_be_bytes());
            text.extend(b"\0\0+0545\0".iter().take(8));
            text
        };
        std::fs::write(&other, tzif(20_700)).unwrap();
        symlink(&other, &link).unwrap();
        assert_eq!(minutes(), 345, "a link that comes");
        std::fs::write(dir.path().join("third"), tzif(-3_600)).unwrap();
        std::fs::rename(dir.path().join("third"), &other).unwrap();
        assert_eq!(minutes(), -60, "another file of the name that it leads to");
        std::fs::write(dir.path().join("third"), b"no zone").unwrap();
        std::fs::rename(dir.path().join("third"), &other).unwrap();
        assert_eq!(minutes(), -60, "what is no zone changes nothing");
        std::fs::remove_file(&link).unwrap();
        assert_eq!(minutes(), 0);
        rustix::fs::mknodat(rustix::fs::CWD, &link, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        assert_eq!(minutes(), 0, "nobody waits for a pipe");
    }
}
