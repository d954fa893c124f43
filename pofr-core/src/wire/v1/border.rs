//! Where a v1 record's process name ends and its command line begins.
//!
//! Both stand as raw bytes with `###` between them, and both may contain `###`. What is known of each
//! rules out most of the places where the border could be:
//!
//! - a name holds no `:` (the client cuts it there), no NUL and no raw newline (the kernel shows one as `\n`);
//! - the name of a process with a command line is at most 15 bytes, not counting what the kernel's escapes
//!   add (`TASK_COMM_LEN`, include/linux/sched.h); kernel threads may have longer ones, and no command line;
//! - a command line is never empty: where there is none the client writes [`NO_COMMAND_LINE`].
//!
//! Where several places are left the border is *undecidable*. The choice then is, in this order: the place that leaves no
//! command line, the first that leaves a name, the first. Either way name, `###` and command line put together are the bytes
//! that came.
//!
//! ```text
//! sh###sh\0-c\0echo ### x\0      one place left: a name holds no NUL
//! a###b###/bin/c\0               two places left: "a" is chosen, and counted as undecidable
//! ```

/// What the client writes for a process without a command line.
pub(super) const NO_COMMAND_LINE: &[u8] = b"--NOCMDARGENTRY--";
/// What stands between the fields of a record.
pub(super) const SEPARATOR: &[u8] = b"###";
/// The longest name that a process can give itself (prctl(2) `PR_SET_NAME`).
const LONGEST_NAME: usize = 15;

/// A name and a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// The name, still escaped.
    pub(super) name: &'a [u8],
    /// The command line.
    pub(super) command_line: &'a [u8],
    /// Whether the border could be nowhere else.
    pub(super) certain: bool,
}

/// Finds the border in `body`, which is `name###command line`; `None` where there is no `###` at all.
pub(super) fn split(body: &[u8]) -> Option<Parts<'_>> {
    let parts = |at: usize| (&body[..at], &body[at + SEPARATOR.len()..]);
    let reach = body.iter().position(|b| b":\0\n".contains(b)).unwrap_or(body.len());
    let places = |upto: usize| {
        let end = body.len().min(upto.saturating_add(SEPARATOR.len()));
        body[..end].windows(SEPARATOR.len()).enumerate().filter(|(_, w)| *w == SEPARATOR).map(|(at, _)| at)
    };
    let likely: Vec<usize> = places(reach)
        .filter(|at| {
            let (name, command_line) = parts(*at);
            let short = unescaped_len(name) <= LONGEST_NAME || command_line == NO_COMMAND_LINE;
            short && !command_line.is_empty()
        })
        .collect();
    let at = likely
        .iter()
        .find(|at| parts(**at).1 == NO_COMMAND_LINE)
        .or_else(|| likely.iter().find(|at| **at > 0))
        .or(likely.first())
        .copied()
        // Nothing fits what is known: an unusual kernel. The first place is as good as any.
        .or_else(|| places(body.len()).next())?;
    let (name, command_line) = parts(at);
    Some(Parts { name, command_line, certain: likely.len() == 1 })
}

/// Undoes the escapes in the `Name:` line of `/proc/pid/status`: `\n` for a newline, `\\` for a backslash
/// (`proc_task_name`, fs/proc/array.c). They are the kernel's only two, so nothing is guessed.
pub(super) fn unescape(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.iter().copied().peekable();
    while let Some(b) = bytes.next() {
        let escaped = match (b, bytes.peek()) {
            (b'\\', Some(b'n')) => Some(b'\n'),
            (b'\\', Some(b'\\')) => Some(b'\\'),
            _ => None,
        };
        if escaped.is_some() {
            bytes.next();
        }
        out.push(escaped.unwrap_or(b));
    }
    out
}

/// Returns how long [`unescape`] makes `name`.
fn unescaped_len(name: &[u8]) -> usize {
    // An escape is two bytes, so a name this long is too long whatever it holds.
    if name.len() > 2 * LONGEST_NAME { name.len() } else { unescape(name).len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(body: &[u8]) -> (&[u8], &[u8], bool) {
        let parts = split(body).unwrap();
        (parts.name, parts.command_line, parts.certain)
    }

    #[test]
    fn what_can_be_told_is_told() {
        assert_eq!(seen(b"sleep###sleep\x001\0"), (&b"sleep"[..], &b"sleep\x001\0"[..], true));
        assert_eq!(seen(b"sh###sh\0-c\0echo ### x\0"), (&b"sh"[..], &b"sh\0-c\0echo ### x\0"[..], true));
        assert_eq!(seen(b"x###a:b###c\0"), (&b"x"[..], &b"a:b###c\0"[..], true));
        assert_eq!(seen(b"###--NOCMDARGENTRY--"), (&b""[..], NO_COMMAND_LINE, true));
        assert_eq!(seen(b"ab######"), (&b"ab"[..], &b"###"[..], false), "ab or ab# or ab##");
        assert_eq!(seen(b"123456789012345###x###\0"), (&b"123456789012345"[..], &b"x###\0"[..], true));
    }

    #[test]
    fn what_cannot_be_told_is_chosen_and_said() {
        assert_eq!(seen(b"a###b###/bin/c\0"), (&b"a"[..], &b"b###/bin/c\0"[..], false));
        assert_eq!(seen(b"x####!/bin/sh\0"), (&b"x"[..], &b"#!/bin/sh\0"[..], false));
        assert_eq!(seen(b"###evil###cmd\0"), (&b"###evil"[..], &b"cmd\0"[..], false));
        assert_eq!(seen(b"a###b###--NOCMDARGENTRY--"), (&b"a###b"[..], NO_COMMAND_LINE, false));
        assert_eq!(seen(b"a:b###c\0"), (&b"a:b"[..], &b"c\0"[..], false), "fits nothing that is known");
        assert_eq!(split(b"no separator"), None);
        assert_eq!(split(b""), None);
    }

    #[test]
    fn a_kernel_thread_may_have_a_long_name() {
        let body = b"kworker/u8:0-events_unbound###--NOCMDARGENTRY--";
        assert_eq!(seen(&body[..]).1, NO_COMMAND_LINE);
        let cut = b"a_rather_long_kernel_thread_name###--NOCMDARGENTRY--";
        assert_eq!(seen(&cut[..]), (&b"a_rather_long_kernel_thread_name"[..], NO_COMMAND_LINE, true));
    }

    #[test]
    fn escapes_of_the_kernel_come_undone() {
        assert_eq!(unescape(br"a\nb\\n\x\"), b"a\nb\\n\\x\\");
        // Fifteen newlines are a name of thirty bytes.
        let body = [&b"\\n".repeat(15)[..], b"###c\0"].concat();
        assert_eq!(seen(&body), (&body[..30], &b"c\0"[..], true));
    }
}
