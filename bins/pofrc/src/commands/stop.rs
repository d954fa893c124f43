//! `pofrc stop`: ends the recording and waits until its last bundle is sealed, and the sending, which has some seconds for that
//! bundle.

use crate::{cli::Stop, exit::Exit, plan, report::short, run_dir::RunDir, target::Target, units};
use std::time::Instant;

/// Ends the recorder, if one runs.
pub(super) fn run(args: &Stop) -> anyhow::Result<Exit> {
    let run = plan::find(&args.place)?;
    let until = Instant::now() + args.timeout;
    let target = run.instance()?.map(Target::hold).transpose()?.flatten();
    let Some(target) = target else {
        println!("no recorder runs ({})", run.path().display());
        end_shipper(&run, until)?;
        return Ok(Exit::Done);
    };
    target.end()?;
    if !target.wait(args.timeout) {
        eprintln!("pofrc: it has not ended within {}; it still seals its bundle", units::span(args.timeout));
        return Ok(Exit::NoAnswer);
    }
    let said = tell(&run);
    end_shipper(&run, until)?;
    Ok(said)
}

/// Ends the shipper, if one runs: the recorder's is a process of its own, and one whose recorder was killed goes on.
fn end_shipper(run: &RunDir, until: Instant) -> anyhow::Result<()> {
    let Some(target) = run.shipper()?.map(Target::hold).transpose()?.flatten() else { return Ok(()) };
    target.end()?;
    if !target.wait(until.saturating_duration_since(Instant::now())) {
        eprintln!("pofrc: the shipper has not ended yet; what it does not send stays in the spool");
    }
    Ok(())
}

/// Says how it ended.
fn tell(run: &RunDir) -> Exit {
    let Some(ended) = run.last() else {
        eprintln!("pofrc: it was killed; the next start seals what there is, and a gap says what is lost");
        return Exit::Failed;
    };
    match (&ended.error, &ended.last_bundle) {
        (Some(error), _) => {
            eprintln!("pofrc: it ended with an error: {error}");
            return Exit::Failed;
        }
        (None, Some(last)) => println!("sealed {}", short(last)),
        (None, None) => println!("nothing was recorded yet"),
    }
    println!("ended: {}, {}", units::many(ended.bundles, "bundle"), units::many(ended.gaps, "gap"));
    Exit::Done
}
