//! Facilities: what this kernel, this container, this mount of `/proc` does not show, found out before recording begins. What a
//! single sampler or event source lacks it says itself, in its note.

use std::path::Path;

/// The inode of the first pid namespace: PROC_PID_INIT_INO in include/linux/proc_ns.h.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Makes sure that there is what no recording can do without.
pub(crate) fn require() -> anyhow::Result<()> {
    if !Path::new("/proc/self/stat").exists() {
        anyhow::bail!("/proc is not mounted");
    }
    Ok(())
}

/// Returns what will not be seen, and why.
pub(crate) fn missing() -> Vec<String> {
    let mut missing = Vec::new();
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok();
    if namespace.is_some_and(|namespace| namespace != Path::new(FIRST_PID_NAMESPACE)) {
        missing.push("in a container (pid namespace): processes outside of it are not seen".to_owned());
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if hides_processes(&mounts) && !Path::new("/proc/1/stat").exists() {
        missing.push("/proc is mounted with hidepid: other users' processes are not seen".to_owned());
    }
    for (path, what) in [
        ("/sys/class/net", "/sys is not mounted: the machine's system id and devices are not seen"),
        ("/etc/passwd", "there is no /etc/passwd: users and groups are not seen"),
    ] {
        if !Path::new(path).exists() {
            missing.push(what.to_owned());
        }
    }
    missing
}

/// Tells whether `/proc` hides processes: `24 30 0:22 / /proc rw,nosuid - proc proc rw,hidepid=invisible`.
fn hides_processes(mountinfo: &str) -> bool {
    let mut of_proc = mountinfo.lines().filter(|line| line.split(' ').nth(4) == Some("/proc"));
    // Later mounts cover earlier ones.
    of_proc.next_back().and_then(|line| line.split_once(" - ")).is_some_and(|(_, options)| {
        options
            .split([' ', ','])
            .any(|option| option.starts_with("hidepid=") && option != "hidepid=0" && option != "hidepid=off")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidepid_is_read_from_the_last_mount_of_proc() {
        let line =
            |options: &str| format!("24 30 0:22 / /proc rw,nosuid shared:13 - proc proc rw{options}\n");
        assert!(hides_processes(&line(",hidepid=invisible")) && hides_processes(&line(",hidepid=2")));
        assert!(!hides_processes(&line("")) && !hides_processes(&line(",hidepid=off")));
        assert!(!hides_processes(&(line(",hidepid=2") + &line(""))));
        assert!(!hides_processes("24 30 0:22 / /mnt/proc rw - proc proc rw,hidepid=2\n"));
    }
}
