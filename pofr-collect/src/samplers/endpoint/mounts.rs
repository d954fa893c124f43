//! Names of network namespaces: the files that are bound to them, as mountinfo tells (proc_pid_mountinfo(5)).
//!
//! One real line: `289 27 0:4 net:[4026532177] /run/netns/web rw shared:158 - nsfs nsfs rw`

use std::{os::unix::ffi::OsStringExt as _, path::PathBuf};

/// Returns the namespaces, by their inodes, and the files that are bound to them. Lines that make no sense tell nothing.
pub(super) fn names(mountinfo: &[u8]) -> impl Iterator<Item = (u32, PathBuf)> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        // Mount, parent, device, root, mount point; then options, until a hyphen, and the filesystem's kind.
        let mut fields = line.split(|byte| *byte == b' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let inode = root.strip_prefix(b"net:[").map(|_| crate::namespaces::inode(root))??;
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        (kind == b"nsfs").then(|| (inode, PathBuf::from(std::ffi::OsString::from_vec(plain(point)))))
    })
}

/// Takes back how the kernel writes blanks and backslashes (mangle_path in fs/seq_file.c): `\040` for a space.
fn plain(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.first_chunk::<3>().filter(|_| *first == b'\\');
        let digits = digits.filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        let byte =
            digits.map(|digits| digits.iter().fold(0_u16, |sum, digit| sum * 8 + u16::from(digit - b'0')));
        match byte.and_then(|byte| u8::try_from(byte).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = &after[3..];
            }
            None => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_bound_to_a_network_namespace_is_a_name() {
        let text = b"26 29 0:24 / /proc rw,nosuid shared:12 - proc proc rw\n\
            289 27 0:4 net:[4026532177] /run/netns/web rw shared:158 - nsfs nsfs rw\n\
            290 27 0:4 mnt:[4026532178] /run/snapd/ns/a.mnt rw - nsfs nsfs rw\n\
            291 27 0:4 net:[4026532179] /srv/a\\040b\\134040\\777 rw - nsfs nsfs rw\n\
            292 27 0:30 /net:[1] /tmp rw - tmpfs tmpfs rw\n\
            293 27 0:30 net:[2] /tmp rw - tmpfs tmpfs rw\n\
            294 27 0:4 net:[x] /tmp rw - nsfs nsfs rw\n\
            295 27 0:4 net:[3] /tmp rw -\n\n- - -";
        let all: Vec<_> = names(text).collect();
        assert_eq!(
            all,
            [(4_026_532_177, "/run/netns/web".into()), (4_026_532_179, "/srv/a b\\040\\777".into())]
        );
    }

    proptest::proptest! {
        #[test]
        fn anything_can_be_read(text in "[-0-9a-z:/\\[\\] \\\\\n]{0,200}", bytes in proptest::collection::vec(0..=255_u8, 0..300)) {
            names(text.as_bytes()).chain(names(&bytes)).for_each(drop);
        }
    }
}
