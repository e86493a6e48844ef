//! A run's status and conclusion: pure functions of its steps' states.

use signalbox_model::{RunConclusion, RunStatus, StepConclusion, StepStatus};

/// How many steps of a run are in each state. Kept up to date with every transition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps in all.
    pub total: u32,
    /// Done.
    pub done: u32,
    /// Starting, running or verifying.
    pub active: u32,
    /// Waiting for a person.
    pub waiting: u32,
    /// Waiting for a time.
    pub scheduled: u32,
    /// Being ended.
    pub cancelling: u32,
    /// May start.
    pub ready: u32,
    /// Done and failed, not counting those that are allowed to.
    pub failed: u32,
    /// Done and out of time.
    pub timed_out: u32,
    /// Done with unknown outcome.
    pub crashed: u32,
    /// Done and rejected.
    pub rejected: u32,
    /// Done and cancelled.
    pub cancelled: u32,
}

impl Tally {
    /// Counts a step in (`by` = 1) or out (`by` = -1).
    pub(crate) fn count(&mut self, status: StepStatus, conclusion: Option<StepConclusion>, tolerated: bool, by: i32) {
        let add = |slot: &mut u32| *slot = slot.saturating_add_signed(by);
        match status {
            StepStatus::Blocked | StepStatus::Paused => {}
            StepStatus::Ready => add(&mut self.ready),
            StepStatus::Scheduled => add(&mut self.scheduled),
            StepStatus::Starting | StepStatus::Running | StepStatus::Verifying => add(&mut self.active),
            StepStatus::WaitingInput => add(&mut self.waiting),
            StepStatus::Cancelling => add(&mut self.cancelling),
            StepStatus::Done => {
                add(&mut self.done);
                match conclusion {
                    // A step that may fail is cancelled all the same.
                    Some(StepConclusion::Cancelled | StepConclusion::Superseded) => add(&mut self.cancelled),
                    _ if tolerated => {}
                    Some(StepConclusion::Failed) => add(&mut self.failed),
                    Some(StepConclusion::TimedOut) => add(&mut self.timed_out),
                    Some(StepConclusion::Crashed) => add(&mut self.crashed),
                    Some(StepConclusion::Rejected) => add(&mut self.rejected),
                    _ => {}
                }
            }
        }
    }
}

/// Where a run is.
#[must_use]
pub fn run_status(tally: &Tally, queued: bool, paused: bool, cancelling: bool) -> RunStatus {
    if tally.done == tally.total && !queued {
        RunStatus::Done
    } else if cancelling {
        RunStatus::Cancelling
    } else if queued {
        RunStatus::Queued
    } else if tally.active + tally.cancelling > 0 {
        RunStatus::Running
    } else if paused {
        RunStatus::Paused
    } else if tally.ready > 0 {
        RunStatus::Running
    } else if tally.waiting > 0 {
        RunStatus::WaitingInput
    } else if tally.scheduled > 0 {
        RunStatus::Scheduled
    } else {
        RunStatus::Running
    }
}

/// How a run ended, once every step is done.
#[must_use]
pub fn run_conclusion(tally: &Tally, cancelled: bool, superseded: bool) -> RunConclusion {
    if superseded && tally.cancelled > 0 {
        RunConclusion::Superseded
    } else if cancelled && tally.cancelled > 0 {
        RunConclusion::Cancelled
    } else if tally.failed > 0 {
        RunConclusion::Failed
    } else if tally.timed_out > 0 {
        RunConclusion::TimedOut
    } else if tally.crashed > 0 {
        RunConclusion::Crashed
    } else if tally.rejected > 0 {
        RunConclusion::Rejected
    } else if tally.cancelled > 0 {
        RunConclusion::Cancelled
    } else {
        RunConclusion::Success
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUSES: [StepStatus; 10] = [
        StepStatus::Blocked,
        StepStatus::Ready,
        StepStatus::Scheduled,
        StepStatus::Starting,
        StepStatus::Running,
        StepStatus::WaitingInput,
        StepStatus::Paused,
        StepStatus::Verifying,
        StepStatus::Cancelling,
        StepStatus::Done,
    ];
    const CONCLUSIONS: [StepConclusion; 9] = [
        StepConclusion::Success,
        StepConclusion::Failed,
        StepConclusion::TimedOut,
        StepConclusion::Cancelled,
        StepConclusion::Skipped,
        StepConclusion::Omitted,
        StepConclusion::Rejected,
        StepConclusion::Crashed,
        StepConclusion::Superseded,
    ];

    /// Every combination of three steps' states, and of the run's own flags.
    #[test]
    fn status_by_enumeration() {
        let mut states: Vec<(StepStatus, Option<StepConclusion>)> =
            STATUSES.iter().filter(|s| **s != StepStatus::Done).map(|s| (*s, None)).collect();
        states.extend(CONCLUSIONS.map(|c| (StepStatus::Done, Some(c))));
        let mut seen = 0;
        for a in &states {
            for b in &states {
                for c in &states {
                    let three = [a, b, c];
                    let mut tally = Tally { total: 3, ..Tally::default() };
                    three.iter().for_each(|(s, c)| tally.count(*s, *c, false, 1));
                    let any = |wanted: &[StepStatus]| three.iter().any(|(s, _)| wanted.contains(s));
                    for flags in 0..8u8 {
                        let (queued, paused, cancelling) = (flags & 1 > 0, flags & 2 > 0, flags & 4 > 0);
                        let status = run_status(&tally, queued, paused, cancelling);
                        let all_done = three.iter().all(|(s, _)| *s == StepStatus::Done);
                        assert_eq!(status == RunStatus::Done, all_done && !queued);
                        if !all_done && !queued && !paused && !cancelling {
                            let at_work = any(&[
                                StepStatus::Starting,
                                StepStatus::Running,
                                StepStatus::Verifying,
                                StepStatus::Cancelling,
                                StepStatus::Ready,
                            ]);
                            if at_work {
                                assert_eq!(status, RunStatus::Running);
                            } else if any(&[StepStatus::WaitingInput]) {
                                assert_eq!(status, RunStatus::WaitingInput);
                            } else if any(&[StepStatus::Scheduled]) {
                                assert_eq!(status, RunStatus::Scheduled);
                            }
                        }
                        seen += 1;
                    }
                    if three.iter().all(|(s, _)| *s == StepStatus::Done) {
                        let conclusion = run_conclusion(&tally, false, false);
                        let good = |c: &Option<StepConclusion>| {
                            matches!(
                                c,
                                Some(StepConclusion::Success | StepConclusion::Skipped | StepConclusion::Omitted)
                            )
                        };
                        assert_eq!(conclusion == RunConclusion::Success, three.iter().all(|(_, c)| good(c)));
                    }
                    three.iter().for_each(|(s, c)| tally.count(*s, *c, false, -1));
                    assert_eq!(tally, Tally { total: 3, ..Tally::default() });
                }
            }
        }
        assert_eq!(seen, 18usize.pow(3) * 8);
    }
}
