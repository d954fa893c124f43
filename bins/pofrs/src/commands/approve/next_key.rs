//! The plan that puts another key in a key's place.

use super::grant::Answer;
use crate::{
    admin::{Plan, Site, Step, file::WriteFile, key_line, key_line::KeyLine},
    who,
};
use anyhow::{Context as _, bail};
use pofr_core::identity::Cid;
use pofr_ingest::{
    Layout,
    ingest::server_clock,
    receive::{Account, FormerKey},
    registration::{ClientKey, Decision, answer::Outcome, rotation},
};
use std::path::PathBuf;

/// Makes the plan; returns the new key's fingerprint. The wish is checked once more, since it lay where the client can write.
pub(super) fn plan(
    plan: &mut Plan,
    site: &Site,
    cid: &Cid,
    decision: &Decision,
    wish: &rotation::Rotation,
) -> anyhow::Result<String> {
    let Outcome::Granted { ciduser, account, .. } = &decision.outcome else {
        bail!("{cid} is not registered");
    };
    let mut file = Account::load(&site.data_dir, ciduser)?;
    let old = ClientKey::parse(&file.public_key).context("the key that holds now")?;
    let new = wish.check(&old).context("the next key is not named by the one that holds now")?;
    let now = server_clock().0;
    file.former_keys.push(FormerKey { public_key: file.public_key.clone(), until: now });
    file.public_key = new.line().to_owned();
    let path = Account::path(&site.data_dir, ciduser)?;
    plan.then(WriteFile::new(path, serde_json::to_string_pretty(&file)? + "\n", 0o644));
    let mut changed = decision.clone();
    changed.request.public_key = new.line().to_owned();
    changed.request.fingerprint = new.fingerprint();
    (changed.at, changed.by) = (now, who::am_i());
    plan.then(Answer::new(site.desk(), cid, changed));
    let options = key_line::options(&site.receive_command(ciduser)?)?;
    let (keys, mode) = site.keys_of(account);
    plan.then(KeyLine::put(keys, format!("pofr:{ciduser}"), format!("{options} {}", new.line()), mode));
    plan.then(Done { inbox: Layout::new(&site.data_dir).inbox_dir(cid) });
    Ok(new.fingerprint())
}

/// Takes the wish away.
struct Done {
    inbox: PathBuf,
}

impl Step for Done {
    fn says(&self) -> String {
        "take the wish away".to_owned()
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        Ok(rotation::waiting(&self.inbox)?.is_none())
    }

    fn act(&mut self) -> anyhow::Result<()> {
        Ok(rotation::done(&self.inbox)?)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
