//! Steps of kind agent and git, and the goal's own step.

use std::collections::HashSet;

use indexmap::IndexMap;
use signalbox_model::{StepKey, StepKind};

use super::{Instance, Plan, PlannedStep, Problem, Work, problem};
use crate::{
    definition::{AgentMode, Definition, Isolation, Permission, Permissions, Stall, Step},
    plan::{AgentWork, GitWork},
};

/// The id of the step that checks the goal when everything else is done.
pub(crate) const GOAL_STEP: &str = "goal-check";

pub(super) fn place(definition: &Definition, id: &str) -> Result<usize, Problem> {
    definition.steps.get_index_of(id).ok_or_else(|| problem(format!("there is no step {id:?}")))
}

pub(super) fn agent(definition: &Definition, id: &str, step: &Step) -> Result<AgentWork, Problem> {
    let defaults = &definition.defaults;
    let (own, default) = (step.agent.as_deref(), defaults.agent.as_deref());
    let agents: Vec<String> = definition.agents_of(step).into_iter().map(|id| (**id).clone()).collect();
    if agents.is_empty() {
        return Err(problem(format!("step {id:?} names no agent")));
    }
    let mode = definition.mode_of(step);
    let isolation = step.isolation.as_deref().or(defaults.isolation.as_deref()).copied();
    let session = own.and_then(|own| own.session.as_ref()).map(|session| place(definition, session)).transpose()?;
    let from = match (&step.from, session) {
        (Some(from), _) => vec![place(definition, from)?],
        (None, Some(_)) => Vec::new(),
        (None, None) => nearest_workers(definition, step.needs.iter().map(|need| need.as_str())),
    };
    Ok(AgentWork {
        agents,
        mode,
        model: own.and_then(|own| own.model.clone()).or_else(|| default.and_then(|default| default.model.clone())),
        session,
        prompt: step.prompt.as_deref().cloned().ok_or_else(|| problem(format!("step {id:?} has no `prompt`")))?,
        isolation: isolation.unwrap_or(if mode == AgentMode::Work { Isolation::Worktree } else { Isolation::SharedRo }),
        from,
        working_dir: step.working_dir.as_deref().or(defaults.working_dir.as_deref()).cloned(),
        env: step.env.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
        permissions: permissions(step.permissions.as_deref(), defaults.permissions.as_ref()),
        budget: step.budget.as_deref().or(defaults.budget.as_ref()).cloned().unwrap_or_default(),
        correct: step.correct.as_deref().map_or(0, |correct| correct.max),
        schema: step.outputs.as_deref().and_then(|outputs| outputs.schema.clone()),
        artifacts: step.artifacts.iter().map(|artifact| artifact.path.to_string()).collect(),
    })
}

/// What it may do: the step's own rule, else the workflow's, else: read and edit, and ask for everything else.
fn permissions(own: Option<&Permissions>, default: Option<&Permissions>) -> Permissions {
    let pick = |part: fn(&Permissions) -> Option<Permission>, otherwise: Permission| {
        Some(own.and_then(part).or(default.and_then(part)).unwrap_or(otherwise))
    };
    Permissions {
        read: pick(|p| p.read, Permission::Allow),
        edit: pick(|p| p.edit, Permission::Allow),
        execute: pick(|p| p.execute, Permission::Ask),
        fetch: pick(|p| p.fetch, Permission::Ask),
        other: pick(|p| p.other, Permission::Ask),
    }
}

/// The agents before a step whose work nobody else between has taken up: work flows along `needs`.
pub(crate) fn nearest_workers<'a>(definition: &'a Definition, needs: impl Iterator<Item = &'a str>) -> Vec<usize> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut next: Vec<&str> = needs.collect();
    while let Some(id) = next.pop() {
        let Some((index, _, above)) = definition.steps.get_full(id).filter(|_| seen.insert(id)) else { continue };
        // What was merged is in the project itself.
        if *above.kind == StepKind::Git {
            continue;
        }
        let works = *above.kind == StepKind::Agent && {
            let isolation = above.isolation.as_deref().or(definition.defaults.isolation.as_deref());
            let mode = definition.mode_of(above);
            match isolation {
                Some(isolation) => *isolation == Isolation::Worktree,
                None => mode == AgentMode::Work,
            }
        };
        if works {
            found.push(index);
        } else {
            next.extend(above.needs.iter().map(|need| need.as_str()));
        }
    }
    found.sort_unstable();
    found
}

pub(super) fn git(definition: &Definition, id: &str, step: &Step) -> Result<GitWork, Problem> {
    Ok(GitWork {
        action: step.action.as_deref().copied().ok_or_else(|| problem(format!("step {id:?} has no `action`")))?,
        from: match &step.from {
            Some(from) => vec![place(definition, from)?],
            None => nearest_workers(definition, step.needs.iter().map(|need| need.as_str())),
        },
        message: step.message.as_deref().cloned(),
        name: step.name.as_deref().cloned(),
        into: step.into.as_deref().cloned(),
    })
}

/// The goal is checked before each landing, and once more when everything is done: by a step of its own, so that it is
/// seen, can be retried, and makes the run fail.
pub(super) fn add_goal_step(definition: &Definition, plan: &mut Plan) -> Result<(), Problem> {
    if plan.steps.iter().any(|step| step.id == GOAL_STEP) {
        return Err(problem(format!("{GOAL_STEP:?} is the name of the step that checks the goal; rename yours")));
    }
    // Telling somebody is no work: it neither is checked nor does anything depend on it.
    let works = |step: &PlannedStep| !matches!(step.work, Work::Notify(_));
    let needed: HashSet<usize> =
        plan.steps.iter().filter(|step| works(step)).flat_map(|step| step.needs.iter().copied()).collect();
    let needs: Vec<usize> =
        (0..plan.steps.len()).filter(|index| !needed.contains(index) && works(&plan.steps[*index])).collect();
    let from = nearest_workers(definition, needs.iter().map(|need| plan.steps[*need].id.as_str()));
    let index = plan.steps.len();
    plan.steps.push(PlannedStep {
        id: GOAL_STEP.to_owned(),
        needs,
        condition: None,
        is_matrix: false,
        max_parallel: None,
        continue_on_error: false,
        timeout_ms: None,
        stall: Stall::default(),
        retry: None,
        verify: Vec::new(),
        files: IndexMap::new(),
        work: Work::Goal { from },
    });
    let key = StepKey::new(GOAL_STEP).map_err(|error| problem(error.to_string()))?;
    plan.instances.push(Instance { key, step: index, title: "Goal check".to_owned(), matrix: IndexMap::new() });
    Ok(())
}
