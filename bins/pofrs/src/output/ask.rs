//! Questions on the terminal.

use anyhow::bail;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

/// Asks; where nobody is there to be asked, fails with a hint.
pub(crate) fn agreed(question: &str, hint: &str) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nobody is there to be asked\nhint: {hint}");
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
