//! The fence: Landlock (landlock(7)) leaves this process its inbox and what it has open, whatever a client might make it do.
//! Best effort: what the kernel does not have is said in the log, and file permissions hold all the same.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus,
};
use std::{fmt, path::Path};

/// The newest set of rights that is asked for: files, and since the fourth, TCP.
const WANTED: ABI = ABI::V4;

/// What came of it.
pub(super) enum Fence {
    /// Everything asked for holds.
    Whole,
    /// An older kernel keeps a part of it.
    Partial,
    /// There is none.
    Missing(String),
}

impl Fence {
    /// Raises it around the process: from now on it may touch nothing but what is below `inbox`, nor call anybody.
    pub(super) fn raise(inbox: &Path) -> Self {
        match restrict(inbox) {
            Ok(RulesetStatus::FullyEnforced) => Self::Whole,
            Ok(RulesetStatus::PartiallyEnforced) => Self::Partial,
            Ok(RulesetStatus::NotEnforced) => Self::Missing("the kernel has none".to_owned()),
            Err(error) => Self::Missing(error.to_string()),
        }
    }
}

fn restrict(inbox: &Path) -> Result<RulesetStatus, RulesetError> {
    let inside = AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::RemoveFile;
    let Ok(inbox) = PathFd::new(inbox) else { return Ok(RulesetStatus::NotEnforced) };
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .create()?
        .add_rule(PathBeneath::new(inbox, inside))?
        .restrict_self()?;
    Ok(status.ruleset)
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole => f.write_str("confined to the inbox"),
            Self::Partial => f.write_str("confined to the inbox as far as this kernel can"),
            Self::Missing(why) => write!(f, "not confined by Landlock: {why}"),
        }
    }
}
