//! What a host that has run for years has in its log.

use std::sync::Arc;

use signalbox_model::{
    Actor, Attempt, CustomType, EventBody, EventData, LogChunk, LogStream, NewEvent, Project, ProjectId, Room, Run,
    RunConclusion, RunId, RunStatus, Step, StepConclusion, StepKey, StepKind, StepStatus,
};
use signalbox_store::{Batch, Store};

/// In every note.
pub(super) const COMMON: &str = "deploy";
/// In one note of a hundred thousand.
pub(super) const RARE: &str = "heliotrope";

const STEPS: u32 = 8;
const NOTES: u32 = 30;
/// Events that go into one batch.
const BATCH: usize = 2_000;

/// Project 0 has half of the runs; 1 to 6 share the other half, but for one run in a thousand, which is of 7.
pub(super) fn project(n: u64) -> anyhow::Result<ProjectId> {
    Ok(ProjectId::new(format!("project-{n}"))?)
}

/// Goes on where it was left.
#[derive(Default)]
pub(super) struct History {
    written: u64,
    runs: u64,
    notes: u64,
    numbers: [u64; 8],
    random: u64,
}

impl History {
    /// Appends until this many events were written; what others wrote between does not count.
    pub(super) async fn write(&mut self, store: &Store, events: u64) -> anyhow::Result<()> {
        if store.head() == 0 {
            let projects = (0..8).map(opened).collect::<anyhow::Result<_>>()?;
            store.append(Batch::of(projects)).await?;
        }
        let mut batch = Vec::with_capacity(BATCH + 200);
        while self.written + (batch.len() as u64) < events {
            self.run(&mut batch)?;
            if batch.len() >= BATCH {
                self.written += batch.len() as u64;
                store.append(Batch::of(std::mem::take(&mut batch))).await?;
            }
        }
        self.written += batch.len() as u64;
        store.append(Batch::of(batch)).await?;
        Ok(())
    }

    fn word(&mut self) -> u64 {
        // Xorshift: the same log every time.
        self.random = self.random.max(0x9e37_79b9_7f4a_7c15);
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % 20_000
    }

    fn text(&mut self) -> String {
        self.notes += 1;
        let mut text = format!("{COMMON} of checkout number {}:", self.notes);
        if self.notes % 100_000 == 7 {
            text.push(' ');
            text.push_str(RARE);
        }
        while text.len() < 220 {
            text.push_str(&format!(" word{}", self.word()));
        }
        text
    }

    /// One run from its start to its end, about a hundred events.
    fn run(&mut self, out: &mut Vec<NewEvent>) -> anyhow::Result<()> {
        self.runs += 1;
        let which = match self.runs {
            n if n % 1_000 == 1 => 7,
            n if n % 2 == 0 => 0,
            n => 1 + n % 6,
        };
        let project = project(which)?;
        let number = &mut self.numbers[usize::try_from(which)?];
        *number += 1;
        let run = Run {
            id: RunId::new(format!("r_{:010}", self.runs))?,
            number: *number,
            project: project.clone(),
            workflow: "ship".into(),
            file: None,
            plan: "0".repeat(64),
            status: RunStatus::Running,
            conclusion: None,
            generation: 1,
            inputs: Default::default(),
            actor: Actor::engine(),
            started_by: None,
            created_at: 0,
            started_at: Some(1),
            ended_at: None,
            progress: 0.0,
            steps_total: STEPS,
            steps_done: 0,
            current_step: None,
            group: None,
            goal: None,
            queue_position: None,
            paused: false,
            reason: None,
        };
        out.push(run_event(&run));
        for index in 0..STEPS {
            step(&run, index, out)?;
            for _ in 0..NOTES / STEPS {
                let data = serde_json::json!({ "text": self.text(), "step": index });
                let body = EventBody::Custom(CustomType::new("x_note")?, data.into());
                out.push(NewEvent::new(Room::Project(project.clone()), Actor::new("reporter")?, body));
            }
        }
        let ended = Run {
            status: RunStatus::Done,
            conclusion: Some(RunConclusion::Success),
            generation: 2,
            ended_at: Some(2),
            progress: 1.0,
            steps_done: STEPS,
            ..run
        };
        out.push(run_event(&ended));
        Ok(())
    }
}

fn opened(n: u64) -> anyhow::Result<NewEvent> {
    let (id, name) = (project(n)?, format!("{COMMON} {n}"));
    let project = Project { id, name, path: "/".into(), trusted: true, open: true, opened_at: 0 };
    Ok(NewEvent::new(Room::Host, Actor::host(), EventData::ProjectUpdated(project)))
}

fn run_event(run: &Run) -> NewEvent {
    let room = Room::Project(run.project.clone());
    NewEvent::new(room, Actor::engine(), EventData::RunUpdated(Arc::new(run.clone()))).of_run(run.id.clone())
}

/// A step starts, prints and ends.
fn step(run: &Run, index: u32, out: &mut Vec<NewEvent>) -> anyhow::Result<()> {
    let key = StepKey::new(format!("step-{index}"))?;
    let started = Step {
        run: run.id.clone(),
        key: key.clone(),
        id: key.as_str().to_owned(),
        index,
        title: format!("Step {index}"),
        kind: StepKind::Command,
        needs: Vec::new(),
        status: StepStatus::Running,
        conclusion: None,
        generation: 1,
        attempts: vec![Attempt::begin(1, 1)],
        started_at: Some(1),
        ended_at: None,
        duration_ms: None,
        due_at: None,
        retries: 0,
        rejections: 0,
        stalled: false,
        progress: None,
        approval: None,
        agent: None,
        outputs: Default::default(),
        artifacts: Vec::new(),
        reason: None,
    };
    let of_run = |event: NewEvent| event.of_run(run.id.clone());
    let room = Room::Project(run.project.clone());
    out.push(of_run(NewEvent::new(room.clone(), Actor::engine(), EventData::StepUpdated(Arc::new(started.clone())))));
    for chunk in 0..6 {
        let text = "a line of what the step printed, as long as such lines are\n".repeat(4);
        let lines = 4;
        let chunk = LogChunk {
            step: key.clone(),
            attempt: 1,
            stream: LogStream::Stdout,
            offset: chunk * text.len() as u64,
            line: chunk * lines,
            lines,
            text,
            blob: None,
        };
        out.push(of_run(NewEvent::new(Room::Run(run.id.clone()), Actor::engine(), EventData::Log(chunk))));
    }
    let ended = Step {
        status: StepStatus::Done,
        conclusion: Some(StepConclusion::Success),
        generation: 2,
        ended_at: Some(2),
        duration_ms: Some(1),
        ..started
    };
    out.push(of_run(NewEvent::new(room, Actor::engine(), EventData::StepCompleted(Arc::new(ended)))));
    Ok(())
}
