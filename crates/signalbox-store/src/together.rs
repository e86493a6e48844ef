//! What one poll hands in becomes one commit.
//!
//! A connection that posts many events has many calls at work, which are polled one after the other. Each by itself would make a
//! commit of its own, or wake the writer's thread for it and be woken by it. Gathered until the poll is over they are one commit,
//! made on the spot where that is short.

use std::cell::RefCell;

use tokio::sync::{mpsc, oneshot};

use crate::{
    Inner,
    batch::Submission,
    thread::{self, Done, Job, Reply},
};

/// A batch, and its place in the writer's queue in case it has to go there.
struct Gathered {
    submission: Box<Submission>,
    reply: Reply,
    place: mpsc::OwnedPermit<Job>,
}

struct Gathering {
    store: *const Inner,
    batches: Vec<Gathered>,
}

thread_local! {
    static GATHERING: RefCell<Option<Gathering>> = const { RefCell::new(None) };
}

/// Ends the gathering also where the poll panics: then nobody is there to be answered.
struct Ending;

impl Drop for Ending {
    fn drop(&mut self) {
        drop(take());
    }
}

fn take() -> Option<Gathering> {
    GATHERING.with_borrow_mut(Option::take)
}

/// Runs `poll` and commits what it hands in. True if that was done here, so that the answers are there.
pub(crate) fn gather<T>(store: &Inner, poll: impl FnOnce() -> T) -> (T, bool) {
    if GATHERING.with_borrow(Option::is_some) {
        return (poll(), false);
    }
    GATHERING.set(Some(Gathering { store, batches: Vec::new() }));
    let ending = Ending;
    let polled = poll();
    let batches = take().map(|gathering| gathering.batches).unwrap_or_default();
    drop(ending);
    (polled, !batches.is_empty() && commit(store, batches))
}

/// What became of a batch.
pub(crate) enum Put {
    /// It is committed with the others; here the answer will come.
    Gathered(oneshot::Receiver<Done>),
    /// The queue is full: it has to wait behind those that are gathered, and behind who waits already.
    NoPlace(Box<Submission>),
    /// Nothing is gathered here.
    ByItself(Box<Submission>),
}

/// Gathers a batch, where that is done.
pub(crate) fn put(store: &Inner, jobs: &mpsc::Sender<Job>, submission: Box<Submission>) -> Put {
    GATHERING.with_borrow_mut(|gathering| {
        let Some(gathering) = gathering.as_mut().filter(|gathering| std::ptr::eq(gathering.store, store)) else {
            return Put::ByItself(submission);
        };
        if !store.state.line.is_empty() {
            return Put::NoPlace(submission);
        }
        let Ok(place) = jobs.clone().try_reserve_owned() else { return Put::NoPlace(submission) };
        let (reply, answer) = oneshot::channel();
        gathering.batches.push(Gathered { submission, reply, place });
        Put::Gathered(answer)
    })
}

fn commit(store: &Inner, batches: Vec<Gathered>) -> bool {
    let mut group = Vec::with_capacity(batches.len());
    let mut callers = Vec::with_capacity(batches.len());
    for Gathered { submission, reply, place } in batches {
        group.push(submission);
        callers.push((reply, place));
    }
    let answers = thread::commit_here(&store.desk, &store.state, &store.thread_handle, &mut group);
    let here = answers.is_some();
    // With nobody to read it a place takes what it is given, and nobody would be told.
    let is_read = store.jobs.lock().is_ok_and(|jobs| jobs.as_ref().is_none_or(|jobs| !jobs.is_closed()));
    let mut answers = answers.into_iter().flatten();
    for (submission, (reply, place)) in group.into_iter().zip(callers) {
        match answers.next() {
            Some(answer) => drop(reply.send((submission, answer))),
            // Nothing was done: it goes the way of everybody. Without an answer, and without a reader, its caller is told.
            None if !here && is_read => drop(place.send(Job::Append(submission, reply, store.state.ticket()))),
            None => {}
        }
    }
    here
}
