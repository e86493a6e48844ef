//! Steps of kind agent and git.

use super::{
    Checker, did_you_mean,
    scope::{Scope, Source},
};
use crate::{
    at::At,
    definition::{GitAction, Isolation, Step, StepKind},
    plan::nearest_workers,
};

/// Most corrections of one attempt.
const MOST_CORRECTIONS: u32 = 20;

impl Checker<'_> {
    pub(super) fn agent(&mut self, id: &str, step: &Step) {
        if let Some(prompt) = &step.prompt {
            if prompt.trim().is_empty() {
                self.error("empty-prompt", prompt.position(), "the prompt is empty", "write what the agent is to do");
            }
            self.template(prompt, &Scope::new("prompt", Source::Step).of(id, step));
        }
        self.working_dir(id, step);
        self.from(id, step);
        if let Some(correct) = step.correct.as_ref().filter(|correct| correct.max > MOST_CORRECTIONS) {
            let message = format!("`max` is 0 to {MOST_CORRECTIONS}");
            self.error("out-of-range", correct.position(), message, "write `max: 3`");
        }
        let checked = !step.verify.is_empty() || step.outputs.as_ref().is_some_and(|outputs| outputs.schema.is_some());
        if let Some(correct) = step.correct.as_ref().filter(|_| !checked) {
            let hint = "add `verify: [{ run: make test }]`";
            self.error("nothing-to-correct", correct.position(), "`correct` without `verify` never happens", hint);
        }
        if let Some(budget) = &step.budget
            && (budget.usd.is_some_and(|usd| !(usd > 0.0 && usd.is_finite())) || budget.tokens == Some(0))
        {
            self.error("out-of-range", budget.position(), "a budget is more than nothing", "write `tokens: 200000`");
        }
        if let Some(outputs) =
            step.outputs.as_ref().filter(|outputs| outputs.schema.as_ref().is_some_and(|s| !s.is_object()))
        {
            let hint = "write `schema: { type: object, required: [summary] }`";
            self.error("bad-schema", outputs.position(), "`schema` is a JSON Schema: an object", hint);
        }
        if let Some(session) = step.agent.as_ref().and_then(|agent| agent.session.as_ref()) {
            self.session(id, step, session);
        }
        if !self.capabilities.kinds.contains(&StepKind::Agent) {
            return;
        }
        const LIST: &str = "`signalbox agent list` shows which agents are there and how to install one";
        let names = self.definition.agents_of(step);
        for name in &names {
            if !self.capabilities.known_agents.contains(name.as_str()) {
                let known = self.capabilities.known_agents.clone();
                let hint = did_you_mean(name, known.iter().map(String::as_str), LIST);
                self.error("unknown-agent", name.position(), format!("there is no agent {:?}", ***name), hint);
                return;
            }
        }
        // One of them has to be there: the others are there for when it cannot work, or the other way round.
        if let Some(first) =
            names.first().filter(|_| !names.iter().any(|n| self.capabilities.agents.contains(n.as_str())))
        {
            let all = names.iter().map(|name| format!("{:?}", ***name)).collect::<Vec<_>>().join(", ");
            self.error("missing-agent", first.position(), format!("agent {all} is not installed"), LIST);
        }
    }

    /// A session lives in one folder of one agent: the step that goes on with it has no others.
    fn session(&mut self, id: &str, step: &Step, session: &At<String>) {
        let target = self.definition.steps.get(session.as_str());
        if !self.graph.is_before(session, id) {
            let message = format!("step {:?} does not come before {id:?}", **session);
            self.error(
                "not-upstream",
                session.position(),
                message,
                format!("add {:?} to `needs` of {id:?}", **session),
            );
        } else if target.is_some_and(|target| *target.kind != StepKind::Agent || target.matrix.is_some()) {
            let message = format!("step {:?} has no single agent session", **session);
            self.error("no-session", session.position(), message, "name a step of kind agent without a matrix");
        } else if let Some(theirs) = target.and_then(|target| self.definition.agents_of(target).first().copied())
            && let Some(ours) = self.definition.agents_of(step).first()
            && **theirs != ***ours
        {
            let message = format!("step {:?} is the work of agent {:?}, not of {:?}", **session, **theirs, ***ours);
            self.error("no-session", session.position(), message, "a session is continued by the same agent");
        }
        if let Some(isolation) = step.isolation.as_ref().filter(|isolation| ***isolation != Isolation::Worktree) {
            self.error(
                "no-session",
                isolation.position(),
                "a continued session stays in the folder of the step that began it",
                "remove `isolation`",
            );
        }
    }

    pub(super) fn from(&mut self, id: &str, step: &Step) {
        let Some(from) = &step.from else { return };
        if !self.graph.is_before(from, id) {
            let message = format!("step {:?} does not come before {id:?}", **from);
            self.error("not-upstream", from.position(), message, format!("add {:?} to `needs` of {id:?}", **from));
        } else if self.definition.steps.get(from.as_str()).is_some_and(|target| *target.kind != StepKind::Agent) {
            let message = format!("step {:?} is no agent's: it has no work of its own to take", **from);
            self.error("no-worktree", from.position(), message, "name a step of kind agent");
        }
    }

    pub(super) fn git(&mut self, id: &str, step: &Step) {
        for (text, key) in [(&step.message, "message"), (&step.name, "name"), (&step.into, "into")] {
            if let Some(text) = text {
                self.template(text, &Scope::new(key, Source::Step).of(id, step));
            }
        }
        self.from(id, step);
        if let Some(action) = &step.action {
            let named = matches!(**action, GitAction::Tag | GitAction::Branch);
            let takes = matches!(**action, GitAction::Merge | GitAction::Commit);
            if takes
                && step.from.is_none()
                && nearest_workers(self.definition, step.needs.iter().map(|n| n.as_str())).is_empty()
            {
                let message = format!("no agent with a worktree comes before {id:?}: there would be nothing to take");
                let hint = "let it need a step of kind agent that works in a worktree, or name one with `from`";
                self.error("no-worktree", action.position(), message, hint);
            }
            if named && step.name.is_none() {
                let message = "a tag or a branch needs a `name`";
                self.error("missing-key", action.position(), message, "add `name: ...`");
            }
        }
    }
}
