//! The wake-up of the fan-out, in every interleaving of its steps that the memory model allows.

#[path = "../src/bell.rs"]
mod bell;

/// What the file above is made of here.
mod sync {
    pub(crate) use loom::sync::atomic::{AtomicBool, Ordering, fence};
}

use bell::Bell;
use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// Commits, and the thread of the fan-out that lets somebody in who follows. Loom fails if the thread sleeps for ever
/// while a commit was not served.
fn check(commits: u64) {
    loom::model(move || {
        let (bell, head) = (Arc::new(Bell::new()), Arc::new(AtomicU64::new(0)));
        let fanout = {
            let (bell, head) = (Arc::clone(&bell), Arc::clone(&head));
            thread::spawn(move || {
                // Somebody joined: that rang, and from now on there is an audience.
                let mut served = 0;
                while served < commits {
                    bell.set_audience(true);
                    let newest = head.load(Ordering::Acquire);
                    assert!(newest >= served, "the head never goes back");
                    served = newest;
                    while served < commits && !bell.was_rung() {
                        thread::park();
                    }
                }
            })
        };
        for commit in 1..=commits {
            head.store(commit, Ordering::Release);
            if bell.ring_for_audience() {
                fanout.thread().unpark();
            }
        }
        fanout.join().unwrap();
    });
}

#[test]
fn no_commit_is_slept_through() {
    check(1);
    check(2);
}
