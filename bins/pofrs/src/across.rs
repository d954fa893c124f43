//! One question to several clients at once, on a bounded number of threads.
//!
//! What one client answers comes in its order; whose answers come first is whoever finds them first. Answers wait in a short
//! queue for whoever takes them, so memory does not grow with what is found. A client that fails does not keep the others from
//! answering.

use pofr_core::{Store, identity::Cid, store::ClientReader};
use std::{
    ops::ControlFlow,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread::available_parallelism,
    time::Duration,
};

/// Threads at most. More than there are cores would only make the first answer wait for those of others.
const THREADS: usize = 8;
/// Answers that may wait.
const WAITING: usize = 256;
/// How often who takes them is called when there are none.
const TICK: Duration = Duration::from_millis(100);

/// What comes from the threads.
#[derive(Debug)]
pub(crate) enum Event<T> {
    /// An answer of the client with this index.
    Answer(usize, T),
    /// Nothing has come for a while.
    Quiet,
}

/// Takes an answer; breaks where no more is wanted.
pub(crate) type HandOn<'a, T> = &'a mut dyn FnMut(T) -> ControlFlow<()>;

/// Asks the client with this index.
pub(crate) type Question<'a, T> =
    &'a (dyn Fn(usize, &mut dyn ClientReader, HandOn<'_, T>) -> anyhow::Result<()> + Sync);

/// A question that a client could not answer.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Which client.
    pub(crate) cid: Cid,
    /// Why.
    pub(crate) error: anyhow::Error,
}

/// Asks each client by `ask`, which hands its answers on, and gives them to `each` on this thread, until that breaks.
///
/// Returns which clients failed; fails itself where `each` does, or where the only client does.
pub(crate) fn ask<T: Send>(
    store: &dyn Store,
    clients: &[Cid],
    ask: Question<'_, T>,
    each: &mut dyn FnMut(Event<T>) -> anyhow::Result<ControlFlow<()>>,
) -> anyhow::Result<Vec<Failure>> {
    let next = AtomicUsize::new(0);
    let cores = available_parallelism().map_or(2, |cores| cores.get().max(2));
    let threads = THREADS.min(cores).min(clients.len());
    let mut failures = Vec::new();
    let mut result = Ok(());
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING);
        for _ in 0..threads {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                let mut wanted = true;
                while wanted {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cid) = clients.get(index) else { break };
                    let mut hand_on = |answer| {
                        // Nobody takes answers any more: enough have come.
                        wanted = send.send((index, Ok(answer))).is_ok();
                        if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                    };
                    let asked = store.read(cid).map_err(anyhow::Error::from);
                    let asked = asked.and_then(|mut reader| ask(index, &mut *reader, &mut hand_on));
                    if let Err(error) = asked {
                        wanted &= send.send((index, Err(error))).is_ok();
                    }
                }
            });
        }
        drop(send);
        loop {
            let event = match receive.recv_timeout(TICK) {
                Ok((index, Ok(answer))) => Event::Answer(index, answer),
                Ok((index, Err(error))) => {
                    failures.push(Failure { cid: clients[index].clone(), error });
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => Event::Quiet,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            match each(event) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        // With the receiver goes whatever still waits, and every thread ends at its next answer.
        drop(receive);
    });
    result?;
    if clients.len() == 1
        && let Some(failure) = failures.pop()
    {
        return Err(failure.error);
    }
    Ok(failures)
}
