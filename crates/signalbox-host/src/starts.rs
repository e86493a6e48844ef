//! Runs that begin otherwise than by `run.start`: with a goal in words, or again by the workflow as it is now; and who may
//! name which room.

use std::collections::HashMap;

use signalbox_model::{ProjectId, Room, RoomFilter, Run, RunId, StepKey};
use signalbox_wire::{
    CallError, Caller, ErrorCode,
    method::{RetryScope, RunReply},
};
use signalbox_workflow::{ProjectContext, plan::resolve};

use crate::{Host, handlers::Reply, workflows};

impl Host {
    /// Starts a run for a page that says what it wants in words: the workflow's input `goal`, if it has one.
    ///
    /// # Errors
    /// As `run.start`.
    pub async fn start_with_goal(
        &self,
        caller: &Caller,
        project: &ProjectId,
        workflow: &str,
        inputs: serde_json::Map<String, serde_json::Value>,
        goal: Option<String>,
    ) -> Reply<RunId> {
        let project = self.present_project(caller, project)?;
        let workflow = workflows::find(&project, workflow, &self.capabilities().await)?;
        let mut inputs: indexmap::IndexMap<_, _> = inputs.into_iter().collect();
        let declared = workflow.definition.iter().flat_map(|definition| definition.inputs.keys());
        if let Some(goal) = goal
            && declared.into_iter().any(|name| **name == *"goal")
        {
            inputs.entry("goal".to_owned()).or_insert(serde_json::Value::String(goal));
        }
        Ok(self.start_run(caller, &project, &workflow, inputs, HashMap::new()).await?.run)
    }

    /// By the workflow as it is now: a new run that takes over what succeeded and still holds.
    pub(crate) async fn retry_latest(
        &self,
        caller: &Caller,
        run: &Run,
        scope: RetryScope,
        step: Option<&StepKey>,
    ) -> Reply<RunReply> {
        let project = self.present_project(caller, &run.project)?;
        let which = run.file.as_deref().unwrap_or(&run.workflow);
        let workflow = workflows::find(&project, which, &self.capabilities().await)?;
        let steps = self.read(|reader| reader.steps(&run.id))?;
        let old_plan = self.inner.store.blobs().get(&run.plan).ok();
        let old_plan: Option<signalbox_workflow::Plan> =
            old_plan.and_then(|content| serde_json::from_slice(&content).ok());
        let mut reuse = HashMap::new();
        if let (Some(old), Some(definition)) = (&old_plan, &workflow.definition)
            && scope != RetryScope::All
        {
            let context =
                ProjectContext { id: project.id.to_string(), name: project.name.clone(), path: project.path.clone() };
            if let Ok(new) = resolve(definition, &run.inputs, &context) {
                reuse = crate::plan::reusable(old, &new, &steps, step);
            }
        }
        let started = self.start_run(caller, &project, &workflow, run.inputs.clone(), reuse).await?;
        self.run_reply(&started.run)
    }

    /// Refuses a room that the caller may not read, in the words of one that is not there.
    pub(crate) fn check_room(&self, caller: &Caller, room: &RoomFilter) -> Reply<()> {
        match room {
            RoomFilter::Activity(_) => Ok(()),
            RoomFilter::One(Room::Host | Room::Activity) if caller.projects.is_empty() => Ok(()),
            RoomFilter::One(Room::Host | Room::Activity) => {
                Err(CallError::new(ErrorCode::Forbidden, format!("the room {room} is for members of all projects")))
            }
            RoomFilter::One(Room::Project(project) | Room::Feed(project)) | RoomFilter::ProjectTree(project) => {
                self.project(caller, project).map(|_| ())
            }
            RoomFilter::One(Room::Run(run)) => self.visible_run(caller, run).map(|_| ()),
            RoomFilter::One(Room::Member(member)) if *member == caller.member => Ok(()),
            RoomFilter::One(Room::Member(member)) => Err(CallError::not_found("member", member)),
        }
    }
}
