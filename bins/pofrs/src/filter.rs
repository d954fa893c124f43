//! The words in which people say what they look for, and the [`Filter`] and [`Span`] that they mean: one definition for every
//! command that looks for facts.

use crate::{
    moment::{Moment, MomentError},
    output::when::Zones,
};
use clap::{
    Args, ValueEnum,
    builder::{OsStringValueParser, TypedValueParser},
};
use jiff::{Timestamp, civil::Time};
use pofr_core::{
    digest::Sha256,
    fact::{TcpState, Transport},
    identity::Pid,
    raw::RawText,
    store::{ClientReader, StoreError},
    time::ZoneOffset,
};
use pofr_schema::query::{Filter, IpNet, Span, TextMatch};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

/// What is said of patterns, for every help text that has filters.
pub(crate) const HELP: &str = "\
A PATTERN is a text; with * ? or [ in it, a shell's pattern for all of it (* fits / as well). For --args it is a part of the arguments, which have \
a blank between each. Whatever the option, is:TEXT means exactly this, has:TEXT this somewhere in it, glob:PATTERN a shell's pattern, and \
re:REGEX a regular expression somewhere in it. Upper and lower case differ; re:(?i)text takes both.

All that is asked must hold; of several values for one option, one. What is asked of a process holds for a file or an endpoint where it holds for the \
process that has it open.";

const PROCESS: &str = "Of the process";
const FILE: &str = "Of the file";
const NET: &str = "Of the network endpoint";
const TIME: &str = "Of the time";

/// What to look for.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct FilterArgs {
    /// The user, real or effective: a number, or a name that the client's own accounts had at that time
    #[arg(long = "user", value_name = "USER", value_delimiter = ',', help_heading = PROCESS)]
    pub(crate) users: Vec<String>,
    /// Who had logged in, whatever the process became since (audit login uid)
    #[arg(long = "login-user", value_name = "USER", value_delimiter = ',', help_heading = PROCESS)]
    pub(crate) login_users: Vec<String>,
    /// The name, at most 15 bytes (comm)
    #[arg(long, value_name = "PATTERN", value_parser = whole(), help_heading = PROCESS)]
    pub(crate) command: Option<TextMatch>,
    /// The arguments: a part of them, unless told otherwise
    #[arg(long = "args", value_name = "PATTERN", value_parser = part(), allow_hyphen_values = true, help_heading = PROCESS)]
    pub(crate) arguments: Option<TextMatch>,
    /// The executable's path
    #[arg(long, value_name = "PATTERN", value_parser = whole(), help_heading = PROCESS)]
    pub(crate) exe: Option<TextMatch>,
    /// The executable's SHA-256, 64 hex digits
    #[arg(long, value_name = "HEX", value_parser = sha256, help_heading = PROCESS)]
    pub(crate) exe_sha256: Option<Sha256>,
    /// The process id
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',', help_heading = PROCESS)]
    pub(crate) pids: Vec<u32>,
    /// The parent's process id
    #[arg(long = "ppid", value_name = "PID", value_delimiter = ',', help_heading = PROCESS)]
    pub(crate) ppids: Vec<u32>,
    /// The systemd unit that it belongs to
    #[arg(long, value_name = "PATTERN", value_parser = whole(), help_heading = PROCESS)]
    pub(crate) unit: Option<TextMatch>,
    /// The container that it belongs to, by its id
    #[arg(long, value_name = "PATTERN", value_parser = whole(), help_heading = PROCESS)]
    pub(crate) container: Option<TextMatch>,

    /// The path
    #[arg(long, value_name = "PATTERN", value_parser = whole(), help_heading = FILE)]
    pub(crate) path: Option<TextMatch>,
    /// A directory: the file is this path or lies below it
    #[arg(long, value_name = "DIR", help_heading = FILE)]
    pub(crate) under: Option<OsString>,
    /// Open for writing
    #[arg(long, help_heading = FILE)]
    pub(crate) written: bool,
    /// Unlinked while it was open; of a process, its executable
    #[arg(long, help_heading = FILE)]
    pub(crate) deleted: bool,

    /// The port, at either end
    #[arg(long = "port", value_name = "PORT", value_delimiter = ',', help_heading = NET)]
    pub(crate) ports: Vec<u16>,
    /// Waiting for others: TCP in LISTEN, UDP without a peer
    #[arg(long, help_heading = NET)]
    pub(crate) listen: bool,
    /// Who connected: an address or a network such as 10.0.0.0/8
    #[arg(long, value_name = "NET", value_delimiter = ',', value_parser = network, help_heading = NET)]
    pub(crate) from_ip: Vec<IpNet>,
    /// To whom: an address or a network
    #[arg(long, value_name = "NET", value_delimiter = ',', value_parser = network, help_heading = NET)]
    pub(crate) to_ip: Vec<IpNet>,
    /// An address or a network, at either end
    #[arg(long, value_name = "NET", value_delimiter = ',', value_parser = network, help_heading = NET)]
    pub(crate) ip: Vec<IpNet>,
    /// The protocol
    #[arg(long, value_enum, value_name = "PROTOCOL", help_heading = NET)]
    pub(crate) transport: Option<Protocol>,
    /// The state, as ss(8) names it: ESTAB, LISTEN, SYN-SENT …
    #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = state, help_heading = NET)]
    pub(crate) states: Vec<TcpState>,
    /// The peer's country: two letters or a name, as enrichment at ingest wrote it
    #[arg(long = "country", value_name = "COUNTRY", value_delimiter = ',', help_heading = NET)]
    pub(crate) countries: Vec<String>,
    /// The name of either end, as enrichment at ingest wrote it
    #[arg(long, value_name = "PATTERN", value_parser = whole(), help_heading = NET)]
    pub(crate) fqdn: Option<TextMatch>,

    /// Only from one time of day to another in the client's zone: 01:00-04:00; 22:00-06:00 is over midnight
    #[arg(long, value_name = "HH:MM-HH:MM", value_parser = daily, help_heading = TIME)]
    pub(crate) between: Option<(Time, Time)>,
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

impl FilterArgs {
    /// Returns what is meant.
    pub(crate) fn filter(&self) -> Filter {
        let texts = |texts: &[String]| texts.iter().map(|text| RawText::from(text.as_str())).collect();
        Filter {
            users: texts(&self.users),
            login_users: texts(&self.login_users),
            command: self.command.clone(),
            arguments: self.arguments.clone(),
            exe: self.exe.clone(),
            exe_sha256: self.exe_sha256,
            pids: self.pids.iter().copied().map(Pid).collect(),
            ppids: self.ppids.iter().copied().map(Pid).collect(),
            unit: self.unit.clone(),
            container: self.container.clone(),
            path: self.path.clone(),
            under: self.under.as_ref().map(|dir| RawText::from(dir.as_bytes())),
            written: self.written,
            deleted: self.deleted,
            ports: self.ports.iter().copied().collect(),
            listening: self.listen,
            from_ip: self.from_ip.clone(),
            to_ip: self.to_ip.clone(),
            ip: self.ip.clone(),
            transport: self.transport.map(|protocol| match protocol {
                Protocol::Tcp => Transport::Tcp,
                Protocol::Udp => Transport::Udp,
            }),
            states: self.states.clone(),
            countries: self.countries.clone(),
            names: self.fqdn.clone(),
            daily: self.between,
        }
    }
}

/// From when to when.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SpanArgs {
    /// Only what held at this time or later; see the end of --help
    #[arg(long, alias = "from", value_name = "TIME", allow_hyphen_values = true, help_heading = TIME)]
    pub(crate) since: Option<Moment>,
    /// Only what held at this time or earlier
    #[arg(long, alias = "to", value_name = "TIME", allow_hyphen_values = true, help_heading = TIME)]
    pub(crate) until: Option<Moment>,
}

impl SpanArgs {
    /// Returns the span that is meant on a client's clock.
    pub(crate) fn span(
        &self,
        reader: &mut dyn ClientReader,
        utc: bool,
        now: Timestamp,
    ) -> anyhow::Result<Span> {
        let zones = zones(reader, [&self.since, &self.until].into_iter().flatten(), utc)?;
        let resolve = |at: &Option<Moment>| at.as_ref().map(|at| at.resolve(&zones, now)).transpose();
        let span = Span { from: resolve(&self.since)?, until: resolve(&self.until)? };
        if let (Some(from), Some(until)) = (span.from, span.until)
            && from > until
        {
            anyhow::bail!("--since {} lies behind --until {}", zones.full(from), zones.full(until));
        }
        Ok(span)
    }
}

/// Returns the zones by which to read these times: those of the record where a time is as the client's clock showed it, which
/// only the ledger knows.
pub(crate) fn zones<'a>(
    reader: &mut dyn ClientReader,
    times: impl IntoIterator<Item = &'a Moment>,
    utc: bool,
) -> Result<Zones, StoreError> {
    let all_absolute = times.into_iter().all(|at| matches!(at, Moment::Absolute(_) | Moment::Ago(_)));
    if utc || all_absolute {
        return Ok(Zones::fixed(ZoneOffset::UTC));
    }
    Ok(Zones::of(&reader.ledger()?, false))
}

/// Reads one time on a client's clock.
pub(crate) fn moment(
    reader: &mut dyn ClientReader,
    at: &Moment,
    utc: bool,
) -> anyhow::Result<pofr_core::time::WallMicros> {
    let zones = zones(reader, [at], utc)?;
    at.resolve(&zones, Timestamp::now()).map_err(|error: MomentError| error.into())
}

/// Reads a pattern that without a prefix is for the whole text.
pub(crate) fn whole() -> impl TypedValueParser<Value = TextMatch> {
    OsStringValueParser::new().try_map(|text| pattern(&text, false))
}

/// Reads a pattern that without a prefix is for a part of the text.
fn part() -> impl TypedValueParser<Value = TextMatch> {
    OsStringValueParser::new().try_map(|text| pattern(&text, true))
}

fn pattern(text: &OsStr, part: bool) -> Result<TextMatch, String> {
    let bytes = text.as_bytes();
    let raw = |bytes: &[u8]| RawText::from(bytes);
    let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| "a pattern must be UTF-8".to_owned());
    let bad = |error: pofr_schema::query::BadPattern| error.to_string();
    if let Some(text) = bytes.strip_prefix(b"is:") {
        return Ok(TextMatch::Is(raw(text)));
    }
    if let Some(text) = bytes.strip_prefix(b"has:") {
        return Ok(TextMatch::Contains(raw(text)));
    }
    if let Some(text) = bytes.strip_prefix(b"re:") {
        return TextMatch::regex(utf8(text)?).map_err(bad);
    }
    if let Some(text) = bytes.strip_prefix(b"glob:") {
        return TextMatch::glob(utf8(text)?).map_err(bad);
    }
    if part {
        Ok(TextMatch::Contains(raw(bytes)))
    } else if bytes.iter().any(|b| b"*?[".contains(b)) {
        TextMatch::glob(utf8(bytes)?).map_err(bad)
    } else {
        Ok(TextMatch::Is(raw(bytes)))
    }
}

/// Reads 64 hex digits.
pub(crate) fn sha256(text: &str) -> Result<Sha256, String> {
    Sha256::parse(&text.to_ascii_lowercase()).ok_or_else(|| "a SHA-256 has 64 hex digits".to_owned())
}

/// Reads an address or a network.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<std::net::IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        "give an address such as 192.0.2.7 or fd00::1, or a network such as 10.0.0.0/8".to_owned()
    })
}

fn state(text: &str) -> Result<TcpState, String> {
    let upper = text.to_ascii_uppercase().replace('_', "-");
    let name = if upper == "ESTABLISHED" { "ESTAB" } else { &upper };
    TcpState::parse(name).ok_or_else(|| {
        "give a state as ss(8) names it: ESTAB, LISTEN, SYN-SENT, SYN-RECV, TIME-WAIT, UNCONN …".to_owned()
    })
}

/// Reads `01:00-04:00`.
fn daily(text: &str) -> Result<(Time, Time), String> {
    let bad = || "give two times of day, such as 01:00-04:00".to_owned();
    let (from, to) = text.split_once('-').ok_or_else(bad)?;
    let time = |text: &str| {
        let text = text.trim();
        let good = text.contains(':') && text.bytes().all(|b| b.is_ascii_digit() || b":.".contains(&b));
        good.then(|| text.parse::<Time>().ok()).flatten()
    };
    // 24:00 is how people write the end of a day.
    let end = if to.trim() == "24:00" { Some(Time::midnight()) } else { time(to) };
    time(from).zip(end).filter(|(from, to)| from != to).ok_or_else(bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filter: FilterArgs,
        #[command(flatten)]
        span: SpanArgs,
    }

    fn read(words: &[&str]) -> Result<Line, clap::Error> {
        Line::try_parse_from(std::iter::once(&"x").chain(words))
    }

    fn filter(words: &[&str]) -> Filter {
        read(words).map_err(|error| error.to_string()).unwrap().filter.filter()
    }

    #[test]
    fn patterns_are_what_people_mean() {
        let fits = |pattern: Option<TextMatch>, text: &str| pattern.unwrap().fits(text.as_bytes());
        let command = |pattern: &str, text: &str| fits(filter(&["--command", pattern]).command, text);
        assert!(command("id", "id") && !command("id", "systemd"));
        assert!(command("ht*d", "httpd") && command("glob:ht?pd", "httpd") && !command("is:ht*d", "httpd"));
        assert!(
            command("has:ttp", "httpd") && command("re:^h.*d$", "httpd") && command("re:(?i)HTTP", "httpd")
        );
        let args = |pattern: &str, text: &str| fits(filter(&["--args", pattern]).arguments, text);
        assert!(args("-P0 192", "nmap -P0 192.0.2.1") && args("http://x/?a=*", "curl http://x/?a=* -o y"));
        assert!(args("glob:nmap *", "nmap -P0") && !args("is:nmap", "nmap -P0"));
        assert!(read(&["--path", "re:("]).is_err() && read(&["--path", "glob:["]).is_err());
    }

    #[test]
    fn bytes_that_are_no_utf8_can_be_asked_for() {
        let path = OsStr::from_bytes(b"/tmp/\xff");
        assert!(pattern(path, false).unwrap().fits(b"/tmp/\xff"));
        assert!(pattern(OsStr::from_bytes(b"/tmp/\xff*"), false).is_err());
    }

    #[test]
    fn lists_networks_and_states() {
        let line = [
            "--user",
            "ann,0",
            "--port",
            "22,137",
            "--from-ip",
            "10.0.0.0/8,fd00::1",
            "--state",
            "estab,syn_sent",
        ];
        let filter = filter(&line);
        assert_eq!(filter.users, [RawText::from("ann"), RawText::from("0")]);
        assert_eq!(filter.ports, [22, 137].into());
        assert_eq!(filter.from_ip, ["10.0.0.0/8".parse().unwrap(), "fd00::1/128".parse().unwrap()]);
        assert_eq!(filter.states, [TcpState::Established, TcpState::SynSent]);
        for bad in [["--port", "65536"], ["--ip", "10.0.0.0/33"], ["--state", "OPEN"], ["--exe-sha256", "ab"]]
        {
            assert!(read(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn times_of_day() {
        let time = |hour| Time::constant(hour, 0, 0, 0);
        assert_eq!(daily("01:00-04:00"), Ok((time(1), time(4))));
        assert_eq!(daily("22:00-06:00"), Ok((time(22), time(6))));
        assert_eq!(daily("22:00-24:00"), Ok((time(22), time(0))));
        for bad in ["", "01:00", "1-4", "01:00-01:00", "01:00-25:00", "-5m-now", "01:00--04:00"] {
            assert!(daily(bad).is_err(), "{bad}");
        }
        let line =
            read(&["--since", "-1d", "--until", "now", "--args", "-x"]).map_err(|e| e.to_string()).unwrap();
        assert_eq!(line.span.since, Some("-1d".parse().unwrap()));
    }
}
