//! The questions of a case: each is asked by a pofrs of its own, so that the answer is what anybody would have got.

use crate::cli::{Cli, Command as Asked, Global};
use anyhow::{Context as _, bail};
use clap::Parser as _;
use pofr_core::identity::Cid;
use pofr_ingest::case::{Member, Question};
use std::{
    fs::{self, File},
    path::Path,
    process::{Command, Stdio},
};

/// A question in words.
pub(super) struct Words {
    line: String,
    words: Vec<String>,
}

/// A question with its answer.
pub(super) struct Answered {
    pub(super) question: Question,
    pub(super) members: Vec<Member>,
}

/// Reads the questions, and refuses what is none.
pub(super) fn questions(asked: &[String], file: Option<&Path>) -> anyhow::Result<Vec<Words>> {
    let mut lines = asked.to_vec();
    if let Some(path) = file {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let wanted = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.extend(wanted.map(str::to_owned));
    }
    lines.into_iter().map(|line| words(&line)).collect()
}

fn words(line: &str) -> anyhow::Result<Words> {
    let line = line.trim();
    let line = line.strip_prefix("pofrs ").unwrap_or(line);
    let words = shlex::split(line).with_context(|| format!("the quotes do not fit: {line}"))?;
    let cli = Cli::try_parse_from(std::iter::once("pofrs").chain(words.iter().map(String::as_str)));
    let cli =
        cli.map_err(|error| anyhow::anyhow!("{error}")).with_context(|| format!("not a question: {line}"))?;
    if !is_question(&cli.command) {
        bail!("not a question that a case can ask: {line}");
    }
    Ok(Words { line: line.to_owned(), words })
}

/// Tells whether a command asks, changes nothing, and ends by itself.
fn is_question(command: &Asked) -> bool {
    match command {
        Asked::At(_)
        | Asked::Clients(_)
        | Asked::Status(_)
        | Asked::Gaps(_)
        | Asked::Sql(_)
        | Asked::Verify(_)
        | Asked::Tree(_)
        | Asked::WhoHad(_)
        | Asked::WhoOpened(_)
        | Asked::Timeline(_)
        | Asked::Diff(_)
        | Asked::FirstSeen(_) => true,
        Asked::Find(find) => !find.follow,
        _ => false,
    }
}

/// Asks a question; the answer goes to a file in `place`. Without a client of its own it is about `only`.
pub(super) fn ask(
    words: &Words,
    number: usize,
    only: Option<&Cid>,
    global: &Global,
    place: &Path,
) -> anyhow::Result<Answered> {
    let mut line = words.line.clone();
    let mut command = Command::new(std::env::current_exe().context("cannot find this program")?);
    command.args(&words.words);
    let names_one =
        |word: &String| word.starts_with("--client") || word == "--all-clients" || word == "clients";
    if let Some(cid) = only
        && !words.words.iter().any(names_one)
    {
        command.arg("--client").arg(cid.as_str());
        line = format!("{line} --client {cid}");
    }
    if let Some(db) = &global.db {
        command.arg("--db").arg(db);
    }
    if let Some(dir) = &global.data_dir {
        command.arg("--data-dir").arg(dir);
    }
    if let Some(config) = &global.config {
        command.arg("--config").arg(config);
    }
    if global.utc && !words.words.iter().any(|word| word == "--utc") {
        command.arg("--utc");
    }
    let name = format!("answers/{number:02}.txt");
    let remarks = format!("answers/{number:02}.remarks.txt");
    let path = |name: &str| place.join(name.replace('/', "-"));
    let file = |name: &str| {
        File::create_new(path(name)).with_context(|| format!("cannot make {}", path(name).display()))
    };
    // What only a terminal has room for, and what only it can show, has no place in a file.
    command.stdin(Stdio::null()).stdout(file(&name)?).stderr(file(&remarks)?);
    let status = command.status().with_context(|| format!("cannot ask {line}"))?;
    let exit = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX);
    let mut members = vec![Member::file(name.clone(), path(&name))];
    if path(&remarks).metadata().is_ok_and(|m| m.len() > 0) {
        members.push(Member::file(remarks.clone(), path(&remarks)));
    }
    Ok(Answered { question: Question { asked: format!("pofrs {line}"), exit, answer: name }, members })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_questions_are_asked() {
        let split = words("pofrs find ps --args 'nmap -P0 192.168.18.34'").unwrap();
        assert_eq!(split.words, ["find", "ps", "--args", "nmap -P0 192.168.18.34"]);
        for bad in [
            "forget --before now",
            "find ps --follow",
            "case",
            "rm -rf /",
            "find ps --user 'a",
            "",
            "shell --client a",
        ] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
