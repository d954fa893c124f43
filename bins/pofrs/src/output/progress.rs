//! Progress bars: on a terminal only, on standard error, so that output can be piped.

use indicatif::{ProgressBar, ProgressStyle};

/// Makes a bar that shows the message it is given, behind a wheel that turns.
pub(crate) fn message() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Makes a bar of `unit`s. It shows nothing where standard error is no terminal.
pub(crate) fn bar(what: &str, unit: &str) -> ProgressBar {
    let template = format!("{what} [{{bar:30}}] {{pos}}/{{len}} {unit} {{elapsed}} {{msg}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style.progress_chars("=> "))
}
