//! Changes of the server: accounts, directories, keys, sshd.
//!
//! Every one is a [`Step`] of a [`Plan`], so that what `--dry-run` shows is what is done, what is done already is left alone,
//! and what fails takes back what was done before it.

pub(crate) mod account;
pub(crate) mod client_row;
pub(crate) mod directory;
pub(crate) mod file;
pub(crate) mod key_line;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod selinux;
pub(crate) mod sessions;
pub(crate) mod shell;
pub(crate) mod site;
pub(crate) mod sshd;

pub(crate) use plan::{Plan, Step};
pub(crate) use site::Site;
