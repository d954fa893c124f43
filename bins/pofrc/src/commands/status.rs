//! `pofrc status`: tells how the recording goes.

use crate::{
    cli::Status,
    exit::Exit,
    live::{Answer, ask},
    plan,
    report::{Report, short},
    run_dir::{Instance, RunDir},
    shipper::Account,
    state::StateDir,
};
use serde_json::json;

/// Asks the recorder and prints what it says.
pub(super) fn run(args: &Status) -> anyhow::Result<Exit> {
    let run = plan::find(&args.place)?;
    let Some(instance) = run.instance()? else { return Ok(not_running(&run, args.json)) };
    match ask(&run)? {
        Answer::Report(mut report) => {
            report.shipping =
                Account::look(&StateDir::new(&report.spool.state), &run).unwrap_or_else(|error| {
                    eprintln!("pofrc: {error:#}");
                    None
                });
            report.server = report.shipping.as_ref().map(|shipping| shipping.server.clone());
            print(&report, args.json)?;
        }
        Answer::Nobody | Answer::Silence => return Ok(silent(&instance, args.json)),
    }
    Ok(Exit::Done)
}

fn print(report: &Report, json: bool) -> anyhow::Result<()> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

/// Says that no recorder runs, and how the last one ended.
fn not_running(run: &RunDir, json: bool) -> Exit {
    let last = run.last();
    if json {
        println!("{}", json!({ "running": false, "last": last, "killed": run.ended_silently() }));
        return Exit::NotRunning;
    }
    println!("no recorder runs ({})", run.path().display());
    match last {
        Some(ended) => {
            let how = ended.error.map_or("as asked".to_owned(), |error| format!("with an error: {error}"));
            println!("the last one, process {}, ended {how}", ended.pid);
            if let Some(bundle) = ended.last_bundle {
                println!("its last bundle is {}", short(&bundle));
            }
        }
        None if run.ended_silently() => {
            println!(
                "the last one was killed: the next start seals what there is, and a gap says what is lost"
            );
        }
        None => {}
    }
    Exit::NotRunning
}

/// Says that a recorder runs and does not answer.
fn silent(instance: &Instance, json: bool) -> Exit {
    let stopped = instance.is_stopped();
    if json {
        println!("{}", json!({ "running": true, "pid": instance.pid, "answers": false, "stopped": stopped }));
    } else if stopped {
        println!(
            "process {} records, but is stopped (SIGSTOP): `kill -CONT {0}` lets it go on",
            instance.pid
        );
    } else {
        println!("process {} runs, but does not answer; it may just have begun, or be ending", instance.pid);
    }
    Exit::NoAnswer
}
