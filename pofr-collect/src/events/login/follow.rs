//! Following a log: line by line, through its rotation, without keeping anything waiting.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
};

/// Bytes read in one look; what there is more is read in the next.
const LOOK_BYTES: u64 = 1 << 20;
/// A longer line is passed over: sshd writes no such.
const LINE_BYTES: usize = 8 << 10;
/// How far back the first look goes, for what was said of those who are there now.
const BACK_BYTES: u64 = 256 << 10;

/// A log that is followed.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    open: Option<Open>,
    begun: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// What tells it from the file that takes its place.
    id: (u64, u64),
    /// How far it has been read.
    read: u64,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
    /// Whether the present line is passed over, as the first one after a jump and one that is too long are.
    skips: bool,
}

impl Log {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self { path, open: None, begun: false }
    }

    pub(super) const fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Reads what was written since the last look; `each` gets each line. The first look begins a little before the end, and says
    /// so to `each`: those lines are old.
    ///
    /// # Errors
    /// Where the log is there and cannot be read.
    pub(super) fn look(&mut self, mut each: impl FnMut(&[u8], bool)) -> io::Result<()> {
        let first = !std::mem::replace(&mut self.begun, true);
        let now = match std::fs::symlink_metadata(&self.path) {
            Ok(metadata) => Some(metadata),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let id = now.as_ref().map(|metadata| (metadata.dev(), metadata.ino()));
        if let Some(open) = &mut self.open {
            // The last lines of one that was moved away are in it still.
            let more = open.read(&mut |line| each(line, false))?;
            if more || id == Some(open.id) || id.is_none() {
                return Ok(());
            }
        }
        let Some(metadata) = now.filter(std::fs::Metadata::is_file) else { return Ok(()) };
        let mut file =
            File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(&self.path)?;
        let back = if first { metadata.len().saturating_sub(BACK_BYTES) } else { 0 };
        file.seek(SeekFrom::Start(back))?;
        let id = (metadata.dev(), metadata.ino());
        let mut open = Open { file, id, read: back, rest: Vec::new(), skips: back > 0 };
        let result = open.read(&mut |line| each(line, first));
        self.open = Some(open);
        result.map(drop)
    }
}

impl Open {
    /// Reads on; tells whether there is more.
    fn read(&mut self, each: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.read {
            // It was emptied where it lies (logrotate's copytruncate).
            self.read = 0;
            self.file.seek(SeekFrom::Start(0))?;
            self.rest.clear();
            self.skips = false;
        }
        let mut text = std::mem::take(&mut self.rest);
        let before = text.len();
        (&mut self.file).take(LOOK_BYTES).read_to_end(&mut text)?;
        let new = (text.len() - before) as u64;
        self.read += new;
        let mut lines = text.split(|b| *b == b'\n');
        let last = lines.next_back().unwrap_or_default();
        for line in lines {
            if !std::mem::take(&mut self.skips) && line.len() <= LINE_BYTES {
                each(line);
            }
        }
        if last.len() > LINE_BYTES {
            self.skips = true;
        } else {
            self.rest = last.to_vec();
        }
        Ok(new == LOOK_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write as _};

    fn look(log: &mut Log) -> Vec<String> {
        let mut lines = Vec::new();
        log.look(|line, old| {
            lines.push(format!("{}{}", if old { "old " } else { "" }, String::from_utf8_lossy(line)))
        })
        .unwrap();
        lines
    }

    #[test]
    fn lines_are_read_once_through_every_kind_of_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.log");
        let mut log = Log::new(path.clone());
        assert_eq!(look(&mut log), [""; 0], "there is none yet");
        let append = |text: &str| {
            let mut file = File::options().append(true).create(true).open(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        append("one\ntw");
        assert_eq!(look(&mut log), ["one"]);
        append("o\n");
        assert_eq!(look(&mut log), ["two"]);
        // Moved away, with a last line, and a new one in its place.
        append("three\n");
        fs::rename(&path, dir.path().join("auth.log.1")).unwrap();
        append("four\n");
        assert_eq!(look(&mut log), ["three", "four"]);
        fs::rename(&path, dir.path().join("auth.log.1")).unwrap();
        assert_eq!(look(&mut log), [""; 0]);
        append("five\n");
        assert_eq!(look(&mut log), ["five"]);
        // Emptied where it lies.
        File::create(&path).unwrap();
        append("6\n");
        assert_eq!(look(&mut log), ["6"]);
        append(&format!("{}\nseven\n", "x".repeat(3 * LINE_BYTES)));
        assert_eq!(look(&mut log), ["seven"]);
        // A long line in two pieces.
        append(&"y".repeat(LINE_BYTES + 1));
        assert_eq!(look(&mut log), [""; 0]);
        append("end\neight\n");
        assert_eq!(look(&mut log), ["eight"]);
    }

    #[test]
    fn the_first_look_says_what_is_old_and_follows_no_link() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth.log");
        fs::write(&path, format!("{}\nlast\n", "line\n".repeat(100_000))).unwrap();
        let mut log = Log::new(path.clone());
        let lines = look(&mut log);
        assert!(lines.len() < 60_000 && lines.iter().all(|line| line.starts_with("old ")));
        assert_eq!(lines.last().unwrap(), "old last");
        let link = dir.path().join("link.log");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(look(&mut Log::new(link)), [""; 0]);
    }
}
