//! What an agent may use up.

use std::{sync::Arc, time::Duration};

use signalbox_engine::Phase;
use signalbox_model::{
    FailureCause, OptionKind, Permission, PermissionOption, PermissionTopic, Severity, StopKind, Usage,
};
use signalbox_workflow::definition::{Budget, OnExceed};
use tokio::{sync::watch, time::Instant};

use super::{
    asks,
    record::Recorder,
    task::{Failed, Task, wanted},
};
use crate::execute::Stop;

impl Task {
    /// A budget is used up: asks whether to go on, if the workflow says so.
    pub(super) async fn over_budget(
        &self,
        recorder: &Arc<Recorder>,
        budget: &Budget,
        what: &str,
    ) -> Result<Budget, Failed> {
        let failed = || Failed::new(FailureCause::Budget, format!("the budget is used up: {what}"));
        self.risk(
            "budget",
            Severity::Warning,
            format!("{}: the budget is used up", self.job.key),
            what,
            "raise the budget, or end the step",
        )
        .await;
        if budget.on_exceed == OnExceed::Fail {
            return Err(failed());
        }
        let option = |id: &str, name: &str, kind| PermissionOption { id: id.into(), name: name.into(), kind };
        let title = format!("The budget is used up: {what}. Go on with as much again?");
        let agent = recorder.step_agent().id;
        let asked = asks::question(&self.job, &self.prepared.about, &agent, PermissionTopic::Budget, title);
        let options = vec![
            option("go_on", "Go on", OptionKind::AllowOnce),
            option("stop", "End the step", OptionKind::RejectOnce),
        ];
        let question = Permission { options, ..asked };
        let id = question.id.clone();
        let Ok(answer) = self.services.asks.ask(question).await else { return Err(failed()) };
        recorder.phase(Phase::Waiting, Some(format!("the budget is used up: {what}"))).await;
        let mut stop = self.job.stop.clone();
        let answer = tokio::select! {
            answer = answer => answer.ok(),
            () = wanted(&mut stop, Stop::Terminate) => {
                self.services.asks.withdraw(&id, "the step was ended").await;
                let failed = Failed::new(FailureCause::Budget, "was ended");
                return Err(Failed { stopped: Some(StopKind::Graceful), ..failed });
            }
        };
        if answer.and_then(|answer| answer.option).as_deref() != Some("go_on") {
            return Err(failed());
        }
        recorder.phase(Phase::Working, None).await;
        let more = &self.prepared.budget;
        Ok(Budget {
            usd: budget.usd.zip(more.usd).map(|(now, more)| now + more),
            tokens: budget.tokens.zip(more.tokens).map(|(now, more)| now.saturating_add(more)),
            wall: budget
                .wall
                .zip(more.wall)
                .map(|(now, more)| signalbox_workflow::Span::from_millis(now.millis().saturating_add(more.millis()))),
            on_exceed: budget.on_exceed,
        })
    }
}

/// Waits until a budget is used up, and says which.
pub(super) async fn exceeded(
    usage: &mut watch::Receiver<(Usage, u64)>,
    before: &Usage,
    budget: &Budget,
    began: Instant,
) -> String {
    let wall = budget.wall.map(|wall| (began + Duration::from_millis(wall.millis()), wall));
    loop {
        let mut used = *before;
        let (now, context) = *usage.borrow_and_update();
        used.add(&now);
        // What is in the context went in at least once.
        let least = before.tokens().saturating_add(context).max(used.tokens());
        if let Some(tokens) = budget.tokens.filter(|tokens| least > *tokens) {
            return format!("{least} of {tokens} tokens");
        }
        if let Some((limit, usd)) = budget.usd.zip(used.usd).filter(|(limit, usd)| usd > limit) {
            return format!("{usd:.2} of {limit:.2} US dollars");
        }
        tokio::select! {
            changed = usage.changed() => if changed.is_err() {
                std::future::pending::<()>().await;
            },
            () = tokio::time::sleep_until(wall.map_or_else(Instant::now, |(due, _)| due)), if wall.is_some() => {
                let limit = wall.map(|(_, wall)| wall.to_string()).unwrap_or_default();
                return format!("it worked longer than {limit}");
            }
        }
    }
}
