//! Set aside: files of ours that cannot be read. What is damaged costs only itself.
//!
//! Such a file gets a name of its own beside the others, `.aside/7.frames.1`, is never overwritten, and stays for whoever wants to
//! know what happened. So many are kept, and so many bytes; what is more goes. The next bundle says what was set aside.

use super::durable;
use std::{io, path::Path};

/// So many files are kept in one place.
const FILES: usize = 16;
/// They may have so many bytes.
const BYTES: u64 = 64 << 20;

/// What the reason of every gap begins with that tells of a file set aside.
const SAID: &str = "set aside:";

/// Gives a file a name of its own below its directory; returns what a gap says of it.
pub(super) fn set_aside(path: &Path, why: &str) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let what = match moved(path) {
        Ok(Some(to)) => format!("{SAID} {name} cannot be used and is kept as {to}: {why}"),
        Ok(None) => {
            format!("{SAID} {name} cannot be used and is removed, since there are enough others: {why}")
        }
        Err(cause) => format!("{SAID} {name} cannot be used, and cannot be moved ({cause}): {why}"),
    };
    tracing::error!("{what}");
    what
}

/// Moves a file; `None` where it was removed instead.
fn moved(path: &Path) -> io::Result<Option<String>> {
    let dir = path.parent().unwrap_or(Path::new(".")).join(".aside");
    durable::make_dir(&dir)?;
    let (mut files, mut bytes) = (0, std::fs::symlink_metadata(path)?.len());
    for entry in std::fs::read_dir(&dir)? {
        files += 1;
        bytes += entry?.metadata()?.len();
    }
    if files >= FILES || bytes > BYTES {
        durable::remove(path)?;
        return Ok(None);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free = (1..=FILES + 1).map(|number| format!("{name}.{number}")).find(|to| {
        // A link that leads nowhere is there as well.
        dir.join(to).symlink_metadata().is_err()
    });
    let to = free.ok_or_else(|| io::Error::other("every name is taken"))?;
    durable::rename(path, &dir.join(&to))?;
    Ok(Some(format!(".aside/{to}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten_and_no_more_is_kept_than_may_be() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        for n in 0..FILES + 3 {
            std::fs::write(&path, n.to_string()).unwrap();
            assert!(set_aside(&path, "damaged").starts_with("set aside: state.json cannot be used and is "));
            assert!(!path.exists());
        }
        let kept =
            |n: usize| std::fs::read_to_string(dir.path().join(format!(".aside/state.json.{n}"))).unwrap();
        assert_eq!((kept(1), kept(FILES)), ("0".to_owned(), (FILES - 1).to_string()));
        assert_eq!(std::fs::read_dir(dir.path().join(".aside")).unwrap().count(), FILES);
    }
}
