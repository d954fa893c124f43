//! The log: what is said on stderr, to a person, to a file, or to a journal that knows levels (sd-daemon(3)).

use crate::cli::{Command, Start};
use std::{fmt, io::IsTerminal as _};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// Begins to log. `POFR_LOG` says what, as tracing's `EnvFilter` reads it; else a recorder that stays tells what happens to it,
/// and all other commands warn.
pub(crate) fn start(command: &Command) {
    let (stays, detached) = match command {
        Command::Start(Start { detached, .. }) => (true, *detached),
        Command::Ship(_) => (true, !std::io::stderr().is_terminal()),
        _ => (false, false),
    };
    let level = if stays { "info" } else { "warn" };
    let filter = EnvFilter::try_from_env("POFR_LOG").unwrap_or_else(|_| level.into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A log on a full disk is silent: what tells of that would be written to the same place, and fail for good.
    let log = log.log_internal_errors(false);
    let log = log.with_ansi(!detached && std::io::stderr().is_terminal()).with_target(false);
    if stays && std::env::var_os("JOURNAL_STREAM").is_some() {
        log.event_format(Journal).init();
    } else if detached {
        log.init();
    } else {
        log.without_time().init();
    }
}

/// One line an event: `<4>` for the level, then what is said. The journal adds the time.
struct Journal;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static> FormatEvent<S, N>
    for Journal
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            Level::DEBUG | Level::TRACE => 7,
        };
        write!(writer, "<{level}>")?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
