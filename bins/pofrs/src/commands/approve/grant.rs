//! The plan that lets a client in. What gives access comes late: whatever is killed when, nobody can log in to something half made.

use crate::{
    admin::{
        Plan, Site, Step,
        account::MakeUser,
        client_row::{self, AddClient},
        directory::MakeDir,
        file::WriteFile,
        key_line::{self, KeyLine},
    },
    who,
};
use anyhow::Context as _;
use pofr_core::{digest, identity::Cid, wire::link::status_line};
use pofr_ingest::{
    Layout,
    ingest::server_clock,
    receive::Account,
    registration::{Decision, Desk, Pending, answer::Outcome, is_ciduser, new_ciduser, random},
};

/// Who is let in.
pub(super) struct Client<'a> {
    /// Its id.
    pub(super) cid: &'a Cid,
    /// What it asked.
    pub(super) request: &'a Pending,
    /// How much may wait in its inbox.
    pub(super) quota_bytes: u64,
    /// Whether it is one of the first POFR.
    pub(super) v1: bool,
}

/// Makes the plan; returns the line that scripts of the first POFR look for.
pub(super) fn plan(plan: &mut Plan, site: &Site, client: &Client<'_>) -> anyhow::Result<String> {
    let Client { cid, request, .. } = client;
    let (ciduser, registration_id) = names(site, cid)?;
    let account = site.account_of(&ciduser)?;
    let layout = Layout::new(&site.data_dir);
    plan.then(AddClient::new(&site.global, cid, &request.uuid, &ciduser));
    if site.has_accounts() {
        let owner = site.server.user.clone().context("the configuration names no [server] user")?;
        plan.then(MakeUser {
            name: ciduser.clone(),
            group: Some(site.server.group.clone()),
            home: site.data_dir.clone(),
            shell: site.server.shell.clone(),
            comment: format!("POFR {cid}"),
            client: true,
            made: false,
        });
        plan.then(MakeDir::owned(layout.inbox_dir(cid), &ciduser, &owner, 0o2770));
    } else {
        plan.then(MakeDir::new(layout.inbox_dir(cid), 0o700));
    }
    let path = Account::path(&site.data_dir, &ciduser)?;
    // An account that a killed approval left keeps its time.
    let approved =
        Account::load(&site.data_dir, &ciduser).map_or(server_clock().0, |account| account.approved);
    let file = Account {
        cid: cid.to_string(),
        ciduser: ciduser.clone(),
        public_key: request.public_key.clone(),
        former_keys: Vec::new(),
        quota_bytes: client.quota_bytes,
        v1: client.v1,
        registration_id: registration_id.clone(),
        approved,
    };
    plan.then(WriteFile::new(path, serde_json::to_string_pretty(&file)? + "\n", 0o644));
    let options = key_line::options(&site.receive_command(&ciduser)?)?;
    let (keys, mode) = site.keys_of(&account);
    plan.then(KeyLine::put(
        keys,
        format!("pofr:{ciduser}"),
        format!("{options} {}", request.public_key),
        mode,
    ));
    let line = status_line(&ciduser, &registration_id);
    let outcome = Outcome::Granted { ciduser, registration_id, account };
    let decision = Decision { request: (*request).clone(), outcome, at: server_clock().0, by: who::am_i() };
    plan.then(Answer::new(site.desk(), cid, decision));
    plan.then(ClearDesk { desk: site.desk(), cid: (*cid).clone() });
    Ok(line)
}

/// Returns the client's name here and its registration's id: those that it has already where an approval was killed, or the
/// record was kept.
fn names(site: &Site, cid: &Cid) -> anyhow::Result<(String, String)> {
    if let Some(account) = Account::of(&site.data_dir, cid)?.into_iter().next() {
        return Ok((account.ciduser, account.registration_id));
    }
    let known = client_row::on_record(&site.global, &["ciduser", "--cid", cid.as_str()])?;
    let ciduser = match known.trim() {
        known if is_ciduser(known) => known.to_owned(),
        _ => new_ciduser()?,
    };
    Ok((ciduser, digest::hex(&random::<32>()?)))
}

/// Writes the answer that the client asks for.
pub(crate) struct Answer {
    desk: Desk,
    cid: Cid,
    decision: Decision,
    before: Option<Option<Decision>>,
}

impl Answer {
    /// Says what was decided.
    pub(crate) fn new(desk: Desk, cid: &Cid, decision: Decision) -> Self {
        Self { desk, cid: cid.clone(), decision, before: None }
    }
}

impl Step for Answer {
    fn says(&self) -> String {
        let what = match &self.decision.outcome {
            Outcome::Granted { .. } => "granted",
            Outcome::Denied { .. } => "denied",
        };
        format!("answer {}: {what}", self.cid)
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        let same = |found: Decision| {
            found.outcome == self.decision.outcome && found.request == self.decision.request
        };
        Ok(self.desk.decision(&self.cid)?.is_some_and(same))
    }

    fn act(&mut self) -> anyhow::Result<()> {
        self.before = Some(self.desk.decision(&self.cid)?);
        Ok(self.desk.decide(&self.cid, &self.decision)?)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        let before = self.before.take();
        if before.as_ref() == Some(&self.desk.decision(&self.cid)?) {
            return Ok(());
        }
        match before {
            None => {}
            Some(None) => self.desk.undecide(&self.cid)?,
            Some(Some(before)) => self.desk.decide(&self.cid, &before)?,
        }
        Ok(())
    }
}

/// Takes the request from the desk: the last step, which nothing can undo after.
pub(crate) struct ClearDesk {
    /// The desk.
    pub(crate) desk: Desk,
    /// Whose request.
    pub(crate) cid: Cid,
}

impl Step for ClearDesk {
    fn says(&self) -> String {
        format!("take the request of {} from the desk", self.cid)
    }

    fn is_done(&self) -> anyhow::Result<bool> {
        Ok(!self.desk.at_the_desk()?.contains(&self.cid))
    }

    fn act(&mut self) -> anyhow::Result<()> {
        Ok(self.desk.clear(&self.cid)?)
    }

    fn undo(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
