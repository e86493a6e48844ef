//! What a run is going to do: every step instance, with its rules resolved.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use signalbox_model::{FailureCause, FormField, Role, StepKind};

/// A resolved workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Step instances. A step's needs come before it or after it; there are no cycles.
    pub steps: Vec<StepPlan>,
}

/// One step instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepPlan {
    /// Its key, unique in the plan.
    pub key: String,
    /// Its id in the workflow.
    pub id: String,
    /// What is shown.
    pub title: String,
    /// What it does.
    pub kind: StepKind,
    /// Indexes of the steps it needs.
    pub needs: Vec<u32>,
    /// It has an `if`: ask [`crate::Expressions::condition`].
    pub condition: bool,
    /// That `if` uses a status function, which replaces the default join.
    pub status_function: bool,
    /// Its failure is no failure of the run, and what needs it goes on.
    pub continue_on_error: bool,
    /// May be repeated when nobody knows whether it ran.
    pub idempotent: bool,
    /// Longest time of one attempt, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What silence means.
    pub stall: Stall,
    /// What failure means.
    pub retry: Retry,
    /// How many checks follow its own work.
    pub checks: u32,
    /// Which matrix it belongs to and how many of that may run at once.
    pub matrix: Option<(u32, u32)>,
    /// For an approval: its rules.
    pub approval: Option<ApprovalPlan>,
}

/// What silence means, in milliseconds; absent: nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// Mark it.
    pub warn_ms: Option<u64>,
    /// End it.
    pub fail_ms: Option<u64>,
}

/// When and how often to try again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// At most this many more attempts.
    pub max: u32,
    /// Only for these causes.
    pub causes: Vec<FailureCause>,
    /// The first wait in milliseconds.
    pub initial_ms: u64,
    /// Each further wait is twice the one before.
    pub exponential: bool,
    /// Longest wait in milliseconds.
    pub cap_ms: u64,
    /// The wait varies by this share of itself in either direction, 0 to 1.
    pub jitter: f64,
}

impl Retry {
    /// The wait before retry number `retry` (from 0), with a random number for the jitter.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a wait of milliseconds needs no more"
    )]
    pub fn wait_ms(&self, retry: u32, random: u64) -> u64 {
        let factor = if self.exponential { 2f64.powi(i32::try_from(retry.min(40)).unwrap_or(40)) } else { 1.0 };
        let base = (self.initial_ms as f64 * factor).min(self.cap_ms as f64);
        let spread = (random as f64 / u64::MAX as f64).mul_add(2.0, -1.0);
        (base * self.jitter.clamp(0.0, 1.0).mul_add(spread, 1.0)).clamp(0.0, self.cap_ms as f64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wait_is_longer_than_the_cap_whatever_chance_adds() {
        let retry = Retry { max: 9, causes: Vec::new(), initial_ms: 100, exponential: true, cap_ms: 300, jitter: 0.5 };
        assert_eq!([0, 1, 2, 60].map(|n| retry.wait_ms(n, u64::MAX)), [150, 300, 300, 300]);
        assert_eq!([0, 1, 2, 60].map(|n| retry.wait_ms(n, 0)), [50, 100, 150, 150]);
    }
}

/// The rules of an approval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApprovalPlan {
    /// Roles that may answer; empty: operator and owner.
    pub roles: Vec<Role>,
    /// How many approvals it takes.
    pub min: u32,
    /// Whether who started the run may answer.
    pub self_approval: bool,
    /// How long it waits, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// What happens then.
    pub on_timeout: OnTimeout,
    /// What a rejection leads to.
    pub on_reject: Option<OnReject>,
    /// What to fill in.
    pub form: Vec<FormField>,
}

/// What happens when nobody answers in time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnTimeout {
    /// It counts as a rejection.
    #[default]
    Reject,
    /// It counts as an approval.
    Approve,
    /// Nothing.
    KeepWaiting,
}

/// A rejection sends the run back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnReject {
    /// Back to this step (all its instances), and everything that follows from it.
    pub rerun_from: Vec<u32>,
    /// At most this often.
    pub max: u32,
}

/// The texts of a question, made when it is asked.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApprovalText {
    /// The question.
    pub question: String,
    /// What to look at: label and text.
    pub show: IndexMap<String, String>,
}

/// A concurrency group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name, within the project.
    pub name: String,
    /// Runs of the group at once.
    pub max: u32,
    /// What a further run does.
    pub on_conflict: Conflict,
}

/// What a run does whose group is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// It waits.
    Queue,
    /// It ends at once.
    Skip,
    /// It ends those that run, and waits until they have.
    CancelRunning,
}
