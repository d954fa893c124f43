//! JSON lines: one object a line, for programs.

use serde::Serialize;
use std::io::Write;

/// Writes `value` as one line. Within JSON, control characters are escaped by its own rules, so a line stays one.
pub(crate) fn line(out: &mut dyn Write, value: &impl Serialize) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")?;
    Ok(())
}
