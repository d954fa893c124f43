//! What became of a request: the file that the administrator's decision leaves for the client to ask for.

use super::request::Pending;
use pofr_core::wire::link::{self, status_line};
use serde::{Deserialize, Serialize};

/// A decision, and the request that it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The request.
    pub request: Pending,
    /// What was decided.
    pub outcome: Outcome,
    /// When, µs since 1970.
    pub at: i64,
    /// Who decided: the server's account.
    pub by: String,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The client may send.
    Granted {
        /// Its name on the server.
        ciduser: String,
        /// The registration's id, 64 hex digits.
        registration_id: String,
        /// The account to log in as.
        account: String,
    },
    /// It may not.
    Denied {
        /// Why.
        reason: String,
    },
}

impl Decision {
    /// Returns what the client is told.
    #[must_use]
    pub fn answer(&self) -> link::Answer {
        match &self.outcome {
            Outcome::Granted { ciduser, registration_id, account } => link::Answer::Granted {
                ciduser: ciduser.clone(),
                registration_id: registration_id.clone(),
                account: account.clone(),
            },
            Outcome::Denied { reason } => link::Answer::Denied { reason: reason.clone() },
        }
    }

    /// Returns the line that the first POFR's scripts look for; `None` where the client was denied.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        match &self.outcome {
            Outcome::Granted { ciduser, registration_id, .. } => Some(status_line(ciduser, registration_id)),
            Outcome::Denied { .. } => None,
        }
    }
}
