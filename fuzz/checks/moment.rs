//! What must hold of times as people write them, whatever they write: the body of the fuzz target, and run by pofrs's tests.

use crate::{moment::Moment, output::when::Zones};
use jiff::Timestamp;
use pofr_core::time::{WallMicros, ZoneOffset};

/// Reads `data` as a time: what is read twice is the same moment, and one that is relative lies in the past.
pub(crate) fn time(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(moment) = text.parse::<Moment>() else { return };
    assert_eq!(text.trim().parse::<Moment>().as_ref(), Ok(&moment), "{text:?}");
    let now: Timestamp = "2026-11-23T10:00:00Z".parse().expect("a time");
    for zone in ["+0000", "+0545", "-1200"].map(|zone| ZoneOffset::parse(zone).expect("a zone")) {
        let Ok(at) = moment.resolve(&Zones::fixed(zone), now) else { continue };
        if matches!(moment, Moment::Ago(_)) {
            assert!(at <= WallMicros(now.as_microsecond()), "{text:?} is not in the past");
        }
    }
}

/// One of each form.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "2026-11-23T10:00:00Z",
        "2026-11-23T08:00:00.000007+02:00",
        "2026-11-23 08:00:01.5",
        "2026-11-23",
        "08:00",
        "-5m",
        "-1h30m",
        "-2d",
        "-250ms",
        "-1y 3mo",
        "-P1DT2H",
        "@1795413600000007",
        "now",
        "9999-12-31T23:59:59Z",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
