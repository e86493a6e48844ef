//! The engine's loop: one task owns the engine; it commits what the engine says, and only then does it.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use signalbox_engine::{Context, Effect, Engine, Input, Outcome, Output, Refused, Restored, StepAt, Survived};
use signalbox_model::{
    Activity, Actor, Clock, EventData, NewEvent, Priority, ProjectId, Room, RunId, RunStatus, UnixMillis,
};
use signalbox_process::{end_each, start_time};
use signalbox_store::{Batch, KeyClaim, Store, StoreError};
use signalbox_wire::{CallError, ErrorCode};
use signalbox_workflow::{
    Plan,
    plan::{Command, Work},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::Instant,
};

use crate::{
    agents::{Services, landing, prepare, task},
    execute::{Job, Stop, sweep},
    expressions::{Plans, View},
    ids, plan, planless,
    script::{Draft, Setting},
    timers::Timers,
};

/// Messages that may wait for the engine. Executors wait past it.
const QUEUE: usize = 1024;
/// How long the end of the host waits for what is tidied up.
const TIDYING: Duration = Duration::from_secs(20);
/// How long after the end of an attempt what it left running is looked for.
const SWEEP: Duration = Duration::from_millis(500);
/// Inputs of executors committed as one unit at most.
const GROUP: usize = 128;
/// How long, at most, news that changes nothing at once waits to be committed with something else: a commit for each is a large part of
/// what a short step costs.
const HOLD: Duration = Duration::from_millis(4);

/// What became of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Applied {
    /// It was committed.
    Now,
    /// Its key was used before: nothing was done, and this is what the first call was answered (JSON).
    Before(String),
}

/// What others ask of the engine's task.
pub(crate) enum Request {
    /// Apply an input of a member; answer when it is committed.
    Call {
        input: Box<Input>,
        plan: Option<Arc<Plan>>,
        key: Option<KeyClaim>,
        reply: oneshot::Sender<Result<Applied, CallError>>,
    },
    /// How many runs are active and how many steps hold a slot.
    Figures(oneshot::Sender<(u32, u32)>),
    /// Stop: nothing more is started, processes are ended, their steps become what a restart makes of them.
    Stop(oneshot::Sender<()>),
}

/// Speaks to the engine's task. Cheap to clone.
#[derive(Clone)]
pub(crate) struct EngineHandle {
    requests: mpsc::Sender<Request>,
}

impl EngineHandle {
    /// Applies an input and waits until it is committed.
    pub(crate) async fn apply(
        &self,
        input: Input,
        plan: Option<Arc<Plan>>,
        key: Option<KeyClaim>,
    ) -> Result<Applied, CallError> {
        let (reply, answer) = oneshot::channel();
        self.send(Request::Call { input: Box::new(input), plan, key, reply }).await?;
        answer.await.map_err(|_| stopping())?
    }

    pub(crate) async fn figures(&self) -> (u32, u32) {
        let (reply, answer) = oneshot::channel();
        if self.send(Request::Figures(reply)).await.is_err() {
            return (0, 0);
        }
        answer.await.unwrap_or((0, 0))
    }

    pub(crate) async fn stop(&self) {
        let (reply, answer) = oneshot::channel();
        if self.send(Request::Stop(reply)).await.is_ok() {
            answer.await.ok();
        }
    }

    async fn send(&self, request: Request) -> Result<(), CallError> {
        self.requests.send(request).await.map_err(|_| stopping())
    }
}

fn stopping() -> CallError {
    CallError::new(ErrorCode::Unavailable, "the host is stopping; nothing was done")
}

/// What the loop is made of.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) slots: u32,
    pub(crate) log_limit: u64,
    /// Names this data folder in the markers of processes.
    pub(crate) host: String,
    pub(crate) services: Arc<Services>,
}

/// An attempt, or its checks, at work.
struct AtWork {
    stop: watch::Sender<Stop>,
    marker: String,
}

struct Loop {
    parts: Parts,
    engine: Engine,
    plans: Plans,
    timers: Timers,
    working: HashMap<StepAt, AtWork>,
    /// Markers of attempts that ended: what they left running is looked for, for all of them at once.
    ended: HashSet<String>,
    sweep_at: Option<Instant>,
    /// Inputs that wait for others. To the engine they have not come yet.
    held: Vec<Input>,
    /// What is asked, while what came before it is recorded.
    asked: Option<Request>,
    /// So many processes keep the machine busy, if they are busy themselves.
    enough: usize,
    /// What is tidied up after runs that ended.
    tidying: JoinSet<()>,
    inputs: mpsc::Sender<Input>,
}

/// Takes up what the log says is unfinished and starts the loop.
pub(crate) async fn start(parts: Parts) -> Result<EngineHandle, StoreError> {
    let prefix = format!("{}/", parts.host);
    let ended = tokio::task::spawn_blocking(move || sweep(&prefix)).await.unwrap_or(0);
    let (requests, request_queue) = mpsc::channel(QUEUE);
    let (inputs, input_queue) = mpsc::channel(QUEUE);
    let slots = parts.slots;
    let mut this = Loop {
        parts,
        engine: Engine::new(slots),
        plans: Plans::default(),
        timers: Timers::default(),
        working: HashMap::new(),
        ended: HashSet::new(),
        sweep_at: None,
        held: Vec::new(),
        asked: None,
        enough: 2 * std::thread::available_parallelism().map_or(1, usize::from),
        tidying: JoinSet::new(),
        inputs,
    };
    let output = this.restore(Survived::No { ended })?;
    this.commit(&output, None).await?;
    this.perform(output.effects).await;
    tokio::spawn(this.run(request_queue, input_queue));
    Ok(EngineHandle { requests })
}

impl Loop {
    /// Builds the engine anew from the log.
    fn restore(&mut self, survived: Survived) -> Result<Output, StoreError> {
        let now = self.parts.clock.now();
        let (runs, lost, queues) = self.parts.store.read(|reader| {
            let (mut runs, mut lost) = (Vec::new(), Vec::new());
            for run in reader.active_runs(None)? {
                match load_run(&self.parts.store, reader, &run.id)? {
                    Some(found) => runs.push(found),
                    None => {
                        tracing::error!(run = %run.id, "the plan of an unfinished run is gone or broken: it cannot go on");
                        let steps = reader.steps(&run.id)?.into_iter().map(Arc::unwrap_or_clone).collect();
                        let questions = reader.approvals_of_run(&run.id)?.into_iter().map(Arc::unwrap_or_clone);
                        lost.extend(planless::end(Arc::unwrap_or_clone(run), steps, questions.collect(), now));
                    }
                }
            }
            Ok((runs, lost, reader.queues()?))
        })?;
        self.plans.0 = runs.iter().map(|(restored, plan)| (restored.run.id.clone(), Arc::clone(plan))).collect();
        let runs = runs.into_iter().map(|(restored, _)| restored).collect();
        let mut random = ids::random;
        let mut cx = Context { now, random: &mut random, expressions: &self.plans };
        let (engine, mut output) = Engine::restore(self.parts.slots, runs, &queues, survived, &mut cx);
        self.engine = engine;
        // While the processes of a run live it is not over, whatever became of its plan.
        if survived != Survived::Yes {
            output.events.extend(lost);
        }
        Ok(output)
    }

    async fn run(mut self, mut requests: mpsc::Receiver<Request>, mut inputs: mpsc::Receiver<Input>) {
        // Once set it stays, also when what was held has gone: to set a timer may wake a thread that sleeps.
        let release = tokio::time::sleep(HOLD);
        tokio::pin!(release);
        let mut is_set = false;
        loop {
            let wait = self.timers.wait(self.parts.clock.now(), Instant::now());
            tokio::select! {
                // What processes say goes first: it frees slots.
                biased;
                Some(input) = inputs.recv() => {
                    self.held.push(input);
                    while self.held.len() < GROUP && let Ok(more) = inputs.try_recv() {
                        self.held.push(more);
                    }
                    if self.held.len() < GROUP && self.can_be_later() {
                        if !std::mem::replace(&mut is_set, true) {
                            release.as_mut().reset(Instant::now() + HOLD);
                        }
                    } else if !self.take_held(&mut requests).await {
                        return;
                    }
                }
                () = &mut release, if is_set => {
                    is_set = false;
                    if !self.take_held(&mut requests).await {
                        return;
                    }
                }
                request = requests.recv() => {
                    if request.is_none() {
                        return;
                    }
                    // What was held came before it.
                    self.asked = request;
                    if !self.take_held(&mut requests).await {
                        return;
                    }
                    if let Some(request) = self.asked.take()
                        && !self.serve(request).await
                    {
                        return;
                    }
                },
                () = tokio::time::sleep_until(self.sweep_at.unwrap_or_else(Instant::now)), if self.sweep_at.is_some() => {
                    self.sweep_at = None;
                    self.sweep_ended();
                }
                () = tokio::time::sleep(wait) => {
                    let due = self.timers.due(self.parts.clock.now(), Instant::now());
                    self.held.extend(due.into_iter().map(Input::Timer));
                    if !self.take_held(&mut requests).await {
                        return;
                    }
                }
            }
        }
    }

    /// The time. A clock that was set since the last look is no time that passed: the engine is told.
    fn now(&mut self) -> UnixMillis {
        let now = self.parts.clock.now();
        let by = self.timers.set_by(now, Instant::now());
        if by != 0 {
            tracing::info!(milliseconds = by, "the clock was set, or the machine slept");
            self.engine.clock_was_set(by);
        }
        now
    }

    fn apply(&mut self, input: Input) -> Result<Output, Refused> {
        let (mut random, now) = (ids::random, self.now());
        let mut cx = Context { now, random: &mut random, expressions: &self.plans };
        self.engine.apply(input, &mut cx)
    }

    /// Whether nothing is done later if the engine hears of it later.
    fn can_be_later(&self) -> bool {
        let mut at_work = self.working.len();
        for input in &self.held {
            match input {
                // That it is to start was committed before.
                Input::Started { .. } | Input::Progress { .. } | Input::Alive { .. } => {}
                Input::Finished { .. } => at_work = at_work.saturating_sub(1),
                _ => return false,
            }
        }
        // What would start in the place of those that ended would have no core to run on, if the others are busy.
        at_work == self.working.len() || at_work >= self.enough
    }

    /// Applies what was held. Returns whether the loop goes on.
    async fn take_held(&mut self, requests: &mut mpsc::Receiver<Request>) -> bool {
        let mut held = std::mem::take(&mut self.held);
        add_start_times(&mut held);
        held.is_empty() || self.take(held, requests).await
    }

    /// Applies what processes and timers say, as one unit. Returns whether the loop goes on.
    async fn take(&mut self, group: Vec<Input>, requests: &mut mpsc::Receiver<Request>) -> bool {
        let mut output = Output::default();
        for input in group {
            if let Input::Finished { at, .. } | Input::StartFailed { at, .. } | Input::Checked { at, .. } = &input
                && let Some(done) = self.working.remove(at)
            {
                self.ended.insert(done.marker);
                self.sweep_at.get_or_insert_with(|| Instant::now() + SWEEP);
            }
            match self.apply(input) {
                Ok(more) => {
                    output.events.extend(more.events);
                    output.effects.extend(more.effects);
                }
                Err(Refused::Stale) => {}
                Err(error) => tracing::warn!(%error, "the engine refused what a step reported"),
            }
        }
        let mut wait = Duration::from_millis(200);
        loop {
            match self.commit(&output, None).await {
                Ok(()) => break,
                Err(StoreError::Closed) => return false,
                Err(error) if error.is_transient() => {
                    // What a process did cannot be undone or asked again: hold on until it can be recorded.
                    tracing::error!(%error, "the engine cannot record what happened; it waits");
                    if !self.refuse(&error, Instant::now() + wait, requests).await {
                        return false;
                    }
                    wait = (wait * 2).min(Duration::from_secs(5));
                }
                Err(error) => {
                    tracing::error!(%error, "the engine and the log disagree; the engine is built anew from the log");
                    match self.restore(Survived::Yes) {
                        Ok(restored) => output = restored,
                        Err(error) => {
                            tracing::error!(%error, "the engine could not be built anew");
                            return false;
                        }
                    }
                }
            }
        }
        self.perform(output.effects).await;
        true
    }

    /// Waits, while what happened cannot be recorded: calls are refused meanwhile, not left without an answer. Returns
    /// whether the loop goes on.
    async fn refuse(&mut self, why: &StoreError, until: Instant, requests: &mut mpsc::Receiver<Request>) -> bool {
        loop {
            let request = match self.asked.take() {
                Some(request) => request,
                None => tokio::select! {
                    () = tokio::time::sleep_until(until) => return true,
                    request = requests.recv() => match request {
                        Some(request) => request,
                        None => return false,
                    },
                },
            };
            match request {
                Request::Call { reply, .. } => {
                    let text = format!("the engine waits until it can record what happened: {why}");
                    reply.send(Err(CallError::new(ErrorCode::Unavailable, text).hint("nothing was done"))).ok();
                }
                request => {
                    if !self.serve(request).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Does what others ask. Returns whether the loop goes on.
    async fn serve(&mut self, request: Request) -> bool {
        match request {
            Request::Call { input, plan, key, reply } => {
                let answer = self.call(*input, plan, key).await;
                reply.send(answer).ok();
            }
            Request::Figures(reply) => {
                let active = self.engine.runs().filter(|run| run.run().status != RunStatus::Done).count();
                reply.send((u32::try_from(active).unwrap_or(u32::MAX), self.engine.used_slots())).ok();
            }
            Request::Stop(reply) => {
                self.end_processes().await;
                // Whoever runs one workflow and leaves wants no worktrees left; but nobody waits long for git.
                let tidied = async { while self.tidying.join_next().await.is_some() {} };
                tokio::time::timeout(TIDYING, tidied).await.ok();
                reply.send(()).ok();
                return false;
            }
        }
        true
    }

    /// Applies what a member wants. If it cannot be recorded it did not happen.
    async fn call(
        &mut self,
        input: Input,
        plan: Option<Arc<Plan>>,
        key: Option<KeyClaim>,
    ) -> Result<Applied, CallError> {
        if let (Input::Submit(new), Some(plan)) = (&input, plan) {
            self.plans.0.insert(new.id.clone(), plan);
        }
        if let Input::Retry { run, .. } = &input {
            self.load(run)?;
        }
        let output = self.apply(input).map_err(refused)?;
        if let Err(error) = self.commit(&output, key).await {
            if let Err(error) = self.restore(Survived::Yes) {
                tracing::error!(%error, "the engine could not be built anew from the log");
            }
            return match error {
                StoreError::Repeated { reply } => Ok(Applied::Before(reply)),
                error => Err(crate::host::store_error(error)),
            };
        }
        self.perform(output.effects).await;
        Ok(Applied::Now)
    }

    /// Brings a run that ended back into the engine.
    fn load(&mut self, run: &RunId) -> Result<(), CallError> {
        if self.engine.run(run).is_some() {
            return Ok(());
        }
        let found = self
            .parts
            .store
            .read(|reader| load_run(&self.parts.store, reader, run))
            .map_err(crate::host::store_error)?;
        let Some((restored, plan)) = found else {
            return Err(CallError::conflict("the plan of this run is no longer kept").hint("start it anew"));
        };
        self.plans.0.insert(run.clone(), plan);
        let mut random = ids::random;
        let cx = Context { now: self.parts.clock.now(), random: &mut random, expressions: &self.plans };
        self.engine.load(restored, &cx);
        Ok(())
    }

    async fn commit(&mut self, output: &Output, key: Option<KeyClaim>) -> Result<(), StoreError> {
        if output.events.is_empty() && key.is_none() {
            return Ok(());
        }
        self.parts.store.append(Batch { events: output.events.clone(), key, ..Batch::default() }).await?;
        Ok(())
    }

    async fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Start { at, attempt } => self.start_step(at, attempt).await,
                Effect::Check { at, attempt } => self.start_checks(at, attempt),
                Effect::Terminate(at) => self.stop_step(&at, Stop::Terminate),
                Effect::Kill(at) => self.stop_step(&at, Stop::Kill),
                Effect::Arm { timer, at } => {
                    self.timers.arm(timer, at, self.parts.clock.now(), Instant::now());
                }
                Effect::Ended(run) => {
                    let prefix = format!("{}/{run}/", self.parts.host);
                    // This look is for these as well.
                    self.ended.retain(|marker| !marker.starts_with(&prefix));
                    let plan = self.plans.0.remove(&run);
                    let services = Arc::clone(&self.parts.services);
                    while self.tidying.try_join_next().is_some() {}
                    self.tidying.spawn_blocking(move || {
                        sweep(&prefix);
                        if let Some(plan) = plan.filter(|plan| uses_worktrees(plan)) {
                            services.worktrees.tidy(plan.project.path.as_ref(), &run);
                        }
                    });
                }
            }
        }
        self.engine.forget_done();
    }

    fn stop_step(&self, at: &StepAt, stop: Stop) {
        if let Some(at_work) = self.working.get(at) {
            at_work.stop.send_if_modified(|current| {
                let more = stop > *current;
                *current = (*current).max(stop);
                more
            });
        }
    }

    fn job(&mut self, at: &StepAt, attempt: u32) -> Option<(Job, Arc<Plan>)> {
        let plan = Arc::clone(self.plans.0.get(&at.run)?);
        let run = self.engine.run(&at.run)?;
        let step = run.step(at.step)?;
        let (sender, stop) = watch::channel(Stop::No);
        let job = Job {
            at: at.clone(),
            attempt,
            key: step.key.clone(),
            project: run.run().project.clone(),
            folder: PathBuf::from(&plan.project.path),
            marker: format!("{}/{}/{}/{attempt}", self.parts.host, at.run, at.step),
            store: self.parts.store.clone(),
            clock: Arc::clone(&self.parts.clock),
            stop,
            inputs: self.inputs.clone(),
            log_limit: self.parts.log_limit,
            watched: run.plan().steps[at.step as usize].stall != signalbox_engine::Stall::default(),
        };
        self.working.insert(at.clone(), AtWork { stop: sender, marker: job.marker.clone() });
        Some((job, plan))
    }

    async fn start_step(&mut self, at: StepAt, attempt: u32) {
        let Some((job, plan)) = self.job(&at, attempt) else { return };
        let Some(run) = self.engine.run(&at.run) else { return };
        let planned = &plan.steps[plan.instances[at.step as usize].step];
        let view = View { plan: &plan, run, step: at.step, env: None };
        let services = Arc::clone(&self.parts.services);
        match &planned.work {
            Work::Command(command) => {
                let draft = Draft::new(&view, &command.script, setting(command));
                let artifacts = command.artifacts.iter().map(|pattern| view.text(pattern)).collect();
                match command.from.map(|from| prepare::place(&view, &[from])) {
                    None => {
                        tokio::spawn(job.command(draft, artifacts));
                    }
                    Some(place) => {
                        tokio::spawn(job.command_in(draft, artifacts, place, services));
                    }
                }
            }
            Work::Agent(work) => {
                if let Some(prepared) = prepare::agent(&view, planned, work) {
                    tokio::spawn(task::Task::new(job, prepared, services).run());
                }
            }
            Work::Git(work) => {
                tokio::spawn(landing::run(job, prepare::git(&view, planned, work), services));
            }
            Work::Goal { from } => {
                let Some(goal) = prepare::goal(&view) else { return };
                let place = (!from.is_empty()).then(|| prepare::place(&view, from));
                let project = PathBuf::from(&plan.project.path);
                tokio::spawn(landing::run_goal(job, place, project, goal, services));
            }
            Work::Notify(notice) => {
                let activity = Activity {
                    kind: "notify".into(),
                    priority: Priority::High,
                    project: Some(ProjectId::clone(&run.run().project)),
                    actor: Actor::engine(),
                    text: view.text(&notice.message),
                    run: Some(at.run.clone()),
                    step: Some(job.key.clone()),
                    to: notice.to.iter().map(|to| to.as_str().to_owned()).collect(),
                };
                let room = Room::feed(activity.project.clone());
                let event = NewEvent::new(room, Actor::engine(), EventData::ActivityCreated(activity));
                let (store, inputs) = (self.parts.store.clone(), self.inputs.clone());
                tokio::spawn(async move {
                    let input = match store.append(Batch::of(vec![event])).await {
                        Ok(_) => Input::Finished { at, outcome: Outcome::success() },
                        Err(error) => Input::StartFailed { at, message: error.to_string() },
                    };
                    inputs.send(input).await.ok();
                });
            }
            // The engine asks questions itself.
            Work::Approval(_) => {}
        }
    }

    fn start_checks(&mut self, at: StepAt, attempt: u32) {
        let Some((job, plan)) = self.job(&at, attempt) else { return };
        let Some(run) = self.engine.run(&at.run) else { return };
        let planned = &plan.steps[plan.instances[at.step as usize].step];
        let view = View { plan: &plan, run, step: at.step, env: None };
        let none = indexmap::IndexMap::new();
        let (setting, from) = match &planned.work {
            Work::Command(command) => (setting(command), command.from),
            _ => (Setting { shell: None, dir: None, env: &none }, None),
        };
        let checks = prepare::checks(&view, &planned.verify, setting);
        // Where the step works is where its files are.
        let folder = setting.folder(&view).unwrap_or_else(|_| job.folder.clone());
        match from.map(|from| prepare::place(&view, &[from])) {
            None => {
                tokio::spawn(job.checks(folder, checks));
            }
            Some(place) => {
                tokio::spawn(job.checks_in(folder, checks, place, Arc::clone(&self.parts.services)));
            }
        }
    }

    /// Ends what ended attempts left running outside their group. One look at the system costs as much as starting a
    /// process, so it is taken for all that ended in a while, and never waited for.
    fn sweep_ended(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        // The checks of an attempt carry its marker.
        for at_work in self.working.values() {
            ended.remove(&at_work.marker);
        }
        if ended.is_empty() {
            return;
        }
        tokio::task::spawn_blocking(move || {
            let (killed, survivors) = end_each(&ended);
            if killed > 0 || survivors {
                tracing::info!(killed, survivors, "steps that ended had left processes running");
            }
        });
    }

    /// At shutdown: ends every process. What they were doing is settled at the next start, as after a crash.
    async fn end_processes(&mut self) {
        for at_work in self.working.values() {
            at_work.stop.send_replace(Stop::Kill);
        }
        let prefix = format!("{}/", self.parts.host);
        tokio::task::spawn_blocking(move || sweep(&prefix)).await.ok();
    }
}

/// When each process started, if it did not end since: asking the system is a good part of what a short step costs.
fn add_start_times(group: &mut [Input]) {
    for index in 0..group.len() {
        let (before, after) = group.split_at_mut(index + 1);
        let Input::Started { at, process: Some((pid, started)) } = &mut before[index] else { continue };
        if !after.iter().any(|later| matches!(later, Input::Finished { at: ended, .. } if ended == at)) {
            *started = start_time(*pid);
        }
    }
}

fn uses_worktrees(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| matches!(step.work, Work::Agent(_)))
}

fn setting(command: &Command) -> Setting<'_> {
    Setting { shell: command.shell.as_deref(), dir: command.working_dir.as_deref(), env: &command.env }
}

fn refused(refused: Refused) -> CallError {
    let code = match &refused {
        Refused::NotFound(_) => ErrorCode::NotFound,
        Refused::Conflict(_) | Refused::Stale => ErrorCode::Conflict,
        Refused::Forbidden(_) => ErrorCode::Forbidden,
        Refused::Invalid(_) => ErrorCode::BadRequest,
    };
    CallError::new(code, refused.to_string())
}

type Loaded = (Restored, Arc<Plan>);

/// A run with its plan, steps and questions; none if the plan is gone or broken.
fn load_run(store: &Store, reader: &signalbox_store::Reader<'_>, id: &RunId) -> Result<Option<Loaded>, StoreError> {
    let Some(run) = reader.run(id)? else { return Ok(None) };
    let content = match store.blobs().get(&run.plan) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Ok(plan) = serde_json::from_slice::<Plan>(&content) else { return Ok(None) };
    let plan = Arc::new(plan);
    let restored = Restored {
        plan: Arc::new(plan::engine_plan(&plan)),
        steps: reader.steps(id)?.into_iter().map(Arc::unwrap_or_clone).collect(),
        approvals: reader.approvals_of_run(id)?.into_iter().map(Arc::unwrap_or_clone).collect(),
        group_max: plan.concurrency.as_ref().map_or(u32::MAX, |group| group.max),
        run: Arc::unwrap_or_clone(run),
    };
    Ok(Some((restored, plan)))
}
